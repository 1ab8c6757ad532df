"""Diagnosis of logs (audit), runs (monitor), machines (bench) and plugins (conformance)."""
