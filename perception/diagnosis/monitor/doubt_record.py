"""The record of doubts: which heads and inputs were in doubt, when and why."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from perception.diagnosis.monitor.hysteresis import Alarm
from perception.diagnosis.monitor.limits import Limits

MOST_EPISODES = 100
_WITHOUT_NUMBERS = dict.fromkeys(map(ord, "0123456789."))


@dataclass(frozen=True, slots=True)
class HeadHealth:
    """Whether a head can be believed at a tick, since when, and why not."""

    head: str
    believed: bool
    since_ns: int
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class Episode:
    """A time in which a head, or an input, was in doubt. `until_ns` is None while it lasts."""

    subject: str
    from_ns: int
    until_ns: int | None
    reasons: tuple[str, ...]


class DoubtRecord:
    """Keeps which heads and inputs are in doubt, since when and why, with an alarm for each kind of problem.

    Args:
        limits: When to raise an alarm.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._alarms: dict[tuple[str, str], Alarm] = {}
        self._open: dict[str, Episode] = {}
        self._in_doubt_s: dict[str, float] = {}
        self.health: dict[str, HeadHealth] = {}
        self.episodes: deque[Episode] = deque(maxlen=MOST_EPISODES)
        self.episodes_total = 0

    def in_doubt_s(self, subject: str) -> float:
        """Return how long a head or an input was in doubt."""
        return self._in_doubt_s.get(subject, 0.0)

    def judge(self, head: str, problems: Mapping[str, str], now_ns: int, elapsed_s: float) -> None:
        """Add the problems of a head at a tick (code -> words), and so its health."""
        reasons = self.add(head, problems, now_ns, elapsed_s)
        before = self.health.get(head)
        believed = not reasons
        since_ns = before.since_ns if before is not None and before.believed == believed else now_ns
        self.health[head] = HeadHealth(head, believed, since_ns, reasons)

    def add(
        self, subject: str, problems: Mapping[str, str], now_ns: int, elapsed_s: float
    ) -> tuple[str, ...]:
        """Add the problems of a head or an input at a tick; return the texts of raised alarms."""
        reasons = self._raised(subject, problems, now_ns)
        running = self._open.get(subject)
        if reasons:
            self._in_doubt_s[subject] = self._in_doubt_s.get(subject, 0.0) + (elapsed_s if running else 0.0)
            if running is None:
                running = self._open[subject] = Episode(subject, now_ns, None, reasons)
                self.episodes.append(running)
                self.episodes_total += 1
            elif len(running.reasons) < 8:
                running.reasons = tuple(
                    dict.fromkeys((*running.reasons, *_of_other_kinds(running.reasons, reasons)))
                )
        elif running is not None:
            running.until_ns = now_ns
            del self._open[subject]
        return reasons

    def _raised(self, subject: str, problems: Mapping[str, str], now_ns: int) -> tuple[str, ...]:
        """Update the alarms of a subject; return the texts of those that are raised."""
        for code in problems:
            if (subject, code) not in self._alarms:
                # A "still" problem has lasted already when it is reported.
                raise_s = 0.0 if code.partition("/")[0] == "still" else self._limits.raise_s
                self._alarms[subject, code] = Alarm(raise_s, self._limits.clear_s)
        reasons = []
        for (whose, code), alarm in self._alarms.items():
            if whose == subject and alarm.update(now_ns, problems.get(code, "")):
                reasons.append(alarm.text)
        return tuple(reasons)

    def to_json(self) -> dict[str, Any]:
        """Return the episodes, for a summary."""
        episodes = [{**asdict(episode), "reasons": list(episode.reasons)} for episode in self.episodes]
        return {"episodes": episodes, "episodes_total": self.episodes_total}


def _of_other_kinds(known: tuple[str, ...], reasons: tuple[str, ...]) -> list[str]:
    """Return the reasons of another kind than the known ones: numbers change all the time."""
    kinds = {kind_of_reason(text) for text in known}
    return [text for text in reasons if kind_of_reason(text) not in kinds]


def kind_of_reason(text: str) -> str:
    """Return the start of a reason without its numbers, which change from tick to tick."""
    return text.translate(_WITHOUT_NUMBERS)[:24]
