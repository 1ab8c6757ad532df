"""`replay --check N`: does the backend say what float32 in eager torch says, on samples of this very log?"""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any

import typer

from perception_tools.replay.job import ReplayJob

EVERY = 5
"""Samples are taken this far apart: neighbours are alike."""


def check_engine(job: ReplayJob, count: int) -> None:
    """Compare on so many samples of the log, and say on stderr what was found.

    Raises:
        Exit: With code 4, if the answers are others.
        BadParameter: The plugin has no such check.
    """
    from perception.align.ledger import Ledger
    from perception.autoconfig import complete
    from perception.logs import open_log
    from perception.pipeline import open_plugin
    from perception.pipeline.source import LogSource
    from perception.plugin import load_plugin

    with open_log(job.log) as log:
        config = complete(log, job.config, job.overrides).config
        plugin: Any = load_plugin(config.plugin.name)
        if not hasattr(plugin, "check"):
            raise typer.BadParameter(f"--check: plugin '{config.plugin.name}' cannot check its engine")
        with open_plugin(plugin, config, device=job.device):
            source = LogSource(log, config, Ledger(None, None, None))
            chosen = islice(source.samples(), 0, None, EVERY)
            verdict = plugin.check([plugin.prepare(sample) for sample in islice(chosen, count)])
            told = plugin.describe()
    print(f"check of {told['backend']} {told['precision']}: {verdict}", file=sys.stderr)
    if not verdict.passed:
        raise typer.Exit(4)
