"""The files that an evaluation reads and writes, for `perception.path_guard.check_paths`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from perception.autoconfig import GivenConfig, as_config
from perception.config import Config
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.path_guard import Read, Write
from perception.pipeline.files_read import files_read
from perception.sinks import ScoredMcapSink


def evaluation_files(
    logs: Iterable[Path], config: GivenConfig | None, options: EvaluateOptions
) -> tuple[list[Read], list[Write]]:
    """Return the files that `evaluate_logs` reads with these arguments, and those that it writes.

    The folder of tables is not among them: `perception.pipeline.tables.check_tables` checks it.

    Raises:
        ConfigError: The file of the configuration cannot be read, or has errors.
    """
    base, source = as_config(config)
    base, given = base or Config(), options.overrides
    names = {"name": given.plugin, "checkpoint": given.checkpoint}
    plugin = base.plugin.model_copy(update={key: value for key, value in names.items() if value is not None})
    reads = files_read(logs, base.model_copy(update={"plugin": plugin}), source)
    reads += [Read("a file of --outputs", path) for path in options.outputs]
    reads += [Read("a file of --reference", path) for path in options.references]
    output = options.output
    return reads, [] if output is None else [Write("--output", output, ScoredMcapSink.is_ours)]
