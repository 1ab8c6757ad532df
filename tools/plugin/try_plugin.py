"""`perception plugin try`: a class in a file runs as an installed plugin does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from perception.align.ledger import Ledger
from perception.autoconfig import Overrides, complete_config
from perception.errors import LogError
from perception.logs import open_log
from perception.pipeline import Summary
from perception.pipeline.log_source import LogSource
from perception.pipeline.opened_plugin import open_plugin
from perception.pipeline.replay_job import ReplayJob, run_job
from perception.plugin import register_plugin
from perception.plugin.plugin_file import PluginFile, load_plugin_file


def try_plugin(
    text: str,
    log: Path,
    config: Path | None,
    checkpoint: Path | None,
    options: Mapping[str, Any],
    output: Path | None,
    end: str | None,
) -> tuple[Summary, str]:
    """Replay a log through a class in a file; return the summary, and what was assumed about the class.

    Args:
        text: `FILE.py:Class`.
        log: The log.
        config: The configuration; None: found in the log.
        checkpoint, options: For the plugin.
        output: The file to write, if any.
        end: As `perception replay --end`.

    Raises:
        PerceptionError: The file, the plugin or the log cannot be used.
    """
    found = load_plugin_file(text)
    overrides = Overrides(found.manifest.name, checkpoint, options=options)
    job = ReplayJob(log, output=output, config=config, overrides=overrides, end=end)
    manifest, note = found.manifest, ""
    register_plugin(manifest, found.factory)
    if not manifest.heads:
        manifest = replace(manifest, heads=_first_heads(found, job))
        register_plugin(manifest, found.factory)
        note = (
            f"heads: {', '.join(manifest.heads)}, as in its first output; to declare them, give the class "
            f'`manifest = {{"inputs": [...], "heads": {list(manifest.heads)}}}`'
        )
    return run_job(job), note


def _first_heads(found: PluginFile, job: ReplayJob) -> tuple[str, ...]:
    """Return the heads of the output for the first sample of the log."""
    with open_log(job.log) as log:
        config = complete_config(log, job.config, job.overrides).config
        sample = next(islice(LogSource(log, config, Ledger()).samples(), 1), None)
        if sample is None:
            raise LogError(f"no sample could be made from the log, so nothing can be tried: {job.log}")
        with open_plugin(found.factory(found.manifest), config) as plugin:
            return tuple(plugin(sample).heads())
