"""What keeps a score from meaning what it seems to: each in words that name the way out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from perception.evaluation.metrics import Result
from perception.logs import Log
from perception.sinks import RunInfo


def other_log(run: RunInfo | None, log: Log) -> str:
    """Outputs of another log would be scored against truth that is not theirs. Empty: it is their own."""
    size = log.path.stat().st_size
    if run is None or run.input is None or run.input_bytes in (None, size):
        return ""
    return (
        f"the stored outputs were made from {run.input.name} of {run.input_bytes} bytes, and are scored "
        f"with the truth of {log.path.name} of {size} bytes"
    )


def foreign_words(said: Sequence[str], true: Collection[str]) -> str:
    """Truth may use words that the plugin does not have: no detection can ever match them. Empty: it has all.

    Args:
        said: The classes that the plugin knows; none: it does not tell.
        true: The words of truth.
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
    """A warning for each kind of truth that no frame had."""
    found = []
    for metric, what, option in (
        ("mean_average_precision", "boxes", "truth.boxes"),
        ("control_errors", "control", "truth.control"),
    ):
        frames = next((dict(result.frames) for result in results if result.metric == metric), {})
        if frames.get("no_truth") and not frames.get("scored") and not frames.get("invalid"):
            text = f"no frame has truth of {what}, so it is not scored; configure it in {option}"
            found.append({"code": "no_truth", "text": text, "count": frames["no_truth"], "log": ""})
    return found
