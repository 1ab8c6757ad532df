"""What is wrong with a log, a run, a machine or a plugin: audit, monitor, bench, conformance."""
