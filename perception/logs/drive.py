"""The segments of one drive as one log: a recorder that splits its files, or was begun again.

Messages that stand in two overlapping files are read twice, and the ledger counts the second as duplicate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from perception.errors import LogError
from perception.logs.damage import Damage
from perception.logs.joined_log import JoinedLog, Part
from perception.logs.joined_path import JoinedPath, numbered
from perception.logs.readers import Log
from perception.logs.survey import Survey

_LEAST_GAP_NS = 1_000_000_000
_PERIODS = 5  # of the slowest topic: a longer silence between two files is a gap


class DriveLog(JoinedLog):
    """Open segments as one log, with a record of them among the metadata."""

    def file_of(self, topic: str, log_time_ns: int) -> str:
        """Return the name of the file that holds a message; of files that overlap there, all, with ` or `."""
        holding = [
            name
            for name, log in self._parts
            if (held := log.survey.topics.get(topic)) is not None
            and held.first_ns <= log_time_ns <= held.last_ns
        ]
        return " or ".join(holding)

    def completed(self, survey: Survey) -> Survey:
        segments = {name: _described(log.survey) for name, log in self._parts}
        record = ("drive", MappingProxyType(segments))
        return replace(survey, metadata=(record, *survey.metadata))


def open_drive(path: JoinedPath, open_log: Callable[[Path], Log]) -> DriveLog:
    """Open several files as one log. A file that cannot be read is damage.

    Raises:
        LogError: None can be read.
    """
    with ExitStack() as stack:
        parts: list[Part] = []
        damage: list[Damage] = []
        names = _names(path.joined)
        for part, name in zip(path.joined, names, strict=True):
            try:
                parts.append((name, stack.enter_context(open_log(part))))
            except LogError as error:
                size = part.stat().st_size if part.exists() else 0
                damage.append(Damage(None, None, size, None, f"{name} is not read: {error}"))
        if not parts:
            raise LogError(f"expected logs, found none that can be read ({damage[0].reason}): {path}")
        damage += _missing_numbers(path.joined, names)
        damage += _gaps(parts)
        return DriveLog(path, parts, damage, stack.pop_all())


def _names(paths: Sequence[Path]) -> list[str]:
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _missing_numbers(paths: Sequence[Path], names: Sequence[str]) -> list[Damage]:
    """Return the damage of numbers that are left out in the names of the files."""
    numbers = [numbered(path) for path in paths]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or len({before for before, _ in known}) > 1:
        return []
    damage = []
    rows = sorted(zip([number for _, number in known], names, strict=True))
    for (low, before), (high, after) in pairwise(rows):
        if high > low + 1:
            missing = f"number {low + 1}" if high == low + 2 else f"numbers {low + 1} to {high - 1}"
            reason = f"a segment is missing: {missing} between {before} and {after}"
            damage.append(Damage(None, None, 0, None, reason))
    return damage


def _gaps(parts: Sequence[Part]) -> list[Damage]:
    """Return the damage of times between two files in which nothing was recorded."""
    surveys = [(log.survey, name) for name, log in parts if log.survey.start_ns is not None]
    surveys.sort(key=lambda item: (item[0].start_ns or 0, item[1]))
    damage = []
    for place, ((_, before), (survey, after)) in enumerate(pairwise(surveys)):
        end_ns = max(other.end_ns or 0 for other, _ in surveys[: place + 1])
        start_ns = survey.start_ns or 0
        if start_ns - end_ns > max(_LEAST_GAP_NS, _PERIODS * _slowest_period_ns(survey)):
            seconds = (start_ns - end_ns) / 1e9
            reason = f"nothing was recorded for {seconds:.1f} s between {before} and {after}"
            damage.append(Damage(end_ns, start_ns, 0, None, reason))
    return damage


def _slowest_period_ns(survey: Survey) -> int:
    """Return the mean period of the slowest topic that has several messages."""
    spans = [
        (topic.last_ns - topic.first_ns) // (topic.count - 1)
        for topic in survey.topics.values()
        if topic.count > 5
    ]
    return max(spans, default=0)


def _described(survey: Survey) -> str:
    if survey.start_ns is None:
        return "no messages"
    return f"{survey.message_count} messages in {survey.duration_s:.1f} s from {survey.start_ns}"
