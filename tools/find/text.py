"""The text of `perception find`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perception.text import plural
from perception_tools.printing import say

if TYPE_CHECKING:
    from perception.evaluation.find import FoundMoments

_SHORT = {"number": "", "text": " (text)", "flag": " (true or false)"}


def show(found: FoundMoments, limit: int) -> None:
    """Print the first moments with their values and commands, and what was not asked."""
    moments = found.moments
    where = f"{plural(found.recordings, 'recording')}, {plural(found.of_ticks, 'tick')}"
    say(f"{plural(len(moments), 'moment')}, {plural(found.ticks, 'tick')} of {where}")
    for moment in moments[:limit]:
        span = f"{moment.from_s:.3f} s"
        if moment.ticks > 1:
            span = f"{moment.from_s:.3f} to {moment.to_s:.3f} s, {moment.ticks} ticks"
        values = ", ".join(f"{name} {_shown(value)}" for name, value in moment.values.items())
        say(f"{moment.recording} {span}: {values}", f"  {moment.command}")
    if len(moments) > limit:
        say(f"and {len(moments) - limit} more; --limit {len(moments)} prints all")
    for text in found.left_out:
        say(f"not asked: {text}")


def show_names(names: Mapping[str, str]) -> None:
    """Print the names that conditions may use."""
    say(*(f"{name}{_SHORT[kind]}" for name, kind in names.items()))


def names_document(names: Mapping[str, str]) -> dict[str, Any]:
    """Return the names as a JSON document."""
    return {"schema": "perception.find/1", "status": "clean", "names": dict(names)}


def _shown(value: Any) -> str:
    if value is None:
        return "not known"
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
