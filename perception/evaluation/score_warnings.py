"""Warnings about misleading scores: outputs of another log, unknown class names, missing truth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from perception.evaluation.metrics import Result
from perception.logs import Log
from perception.sinks import RunInfo


def other_log(run: RunInfo | None, log: Log) -> str:
    """Return a warning if outputs and truth come from different logs; else an empty text."""
    size = log.path.stat().st_size
    if run is None or run.input is None or run.input_bytes in (None, size):
        return ""
    return (
        f"the stored outputs were made from {run.input.name} of {run.input_bytes} bytes, and are scored "
        f"with the truth of {log.path.name} of {size} bytes"
    )


def foreign_words(said: Sequence[str], true: Collection[str]) -> str:
    """Return a warning if truth has classes that the plugin does not know; else an empty text.

    Args:
        said: The classes of the plugin; empty: unknown.
        true: The classes of truth.
    """
    foreign = sorted(set(true) - set(said))
    if not said or not foreign:
        return ""
    return (
        f"truth says {', '.join(foreign)}; the plugin knows only {', '.join(said)}: those boxes are "
        "all missed. Say in the configuration what is what (words that are not listed are dropped), "
        f"under truth: classes: {{{foreign[0]}: {said[0]}, ...}}"
    )


def without_truth(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return a warning for each kind of truth that no frame has."""
    warnings = []
    for metric, truth, option in (
        ("mean_average_precision", "boxes", "truth.boxes"),
        ("control_errors", "control", "truth.control"),
    ):
        frames = next((dict(result.frames) for result in results if result.metric == metric), {})
        if frames.get("no_truth") and not frames.get("scored") and not frames.get("invalid"):
            text = f"no frame has truth of {truth}, so it is not scored; configure it in {option}"
            warnings.append({"code": "no_truth", "text": text, "count": frames["no_truth"], "log": ""})
    return warnings
