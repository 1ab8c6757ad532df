"""Stamps that many messages share: a clock that stands still, or that is coarser than the messages come.

They say when a group of messages was measured, and not when each was: arrival says more. A picture that is
sent again, the scans of several frames, and groups of messages that come together share a stamp rightly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from perception.autoconfig.first_messages import first_messages
from perception.config import Role
from perception.logs import Log, Query, decode
from perception.logs.sparing import is_sparing, look
from perception.types import Message, Undecodable

_FIRST = 8  # messages that are looked at in any log
_MOST = 1024  # messages that are looked at where these share stamps
_SHARED = 4  # messages to a stamp
_PASSED_NS = 2_500_000_000  # what the messages looked at span, at most
_STEP_NS = 500_000_000  # stamps that advance more often are kept
_LEAST_NS = 1_000_000_000


def shared_stamps(log: Log, role: Role, topic: str) -> str | None:
    """Return the beginning of a warning of stamps that do not tell messages apart; None: they do.

    Looked at are the first messages and, with an index, some in the middle of the log: a clock may be set
    late.
    """
    first = _Shared()
    first.add(first_messages(log, topic, _FIRST), role)
    if not first.often:
        return None
    survey = log.survey.topics[topic]
    starts = {survey.first_ns}
    if log.survey.indexed and not is_sparing(log):
        middle_ns = (survey.first_ns + survey.last_ns) // 2
        starts.add(max(survey.first_ns, min(middle_ns, survey.last_ns - _PASSED_NS)))
    for start_ns in sorted(starts):
        found = _Shared()
        found.add(look(log, Query(frozenset({topic}), start_ns)), role)
        if not (found.often and found.coarse):
            return None
    return (
        f"stamps on {topic} do not say when each message was measured ({found.messages} messages in "
        f"{found.passed_ns / 1e9:.1f} s have {len(found.stamps)} of them)"
    )


class _Shared:
    """How many messages have each frame and stamp, and what arrivals they span.

    A message that equals the one before of its frame is not counted: it was sent again.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._arrivals: dict[tuple[str, int], tuple[int, int]] = {}
        self._last: dict[str, int] = {}
        self.passed_ns = 0

    def add(self, messages: Iterator[Message], role: Role) -> None:
        first_ns = None
        for _, message in zip(range(_MOST), messages, strict=False):
            decoded = decode(message, role)
            if isinstance(decoded, Undecodable) or not decoded.stamped:
                continue
            first_ns = message.log_time_ns if first_ns is None else first_ns
            self.passed_ns = max(message.log_time_ns - first_ns, self.passed_ns)
            frame, content = getattr(decoded, "frame_id", ""), hash(message.data)
            key = frame, decoded.stamp_ns
            self._counts[key] += content != self._last.get(frame)
            self._arrivals[key] = self._arrivals.get(key, (message.log_time_ns,))[0], message.log_time_ns
            self._last[frame] = content
            if self.passed_ns > _PASSED_NS:
                break

    @property
    def messages(self) -> int:
        return self._counts.total()

    @property
    def stamps(self) -> set[int]:
        return {stamp_ns for _, stamp_ns in self._counts}

    @property
    def often(self) -> bool:
        """Return whether a stamp has several messages of one frame."""
        return self.messages >= max(_SHARED * len(self._counts), 2 * _SHARED)

    @property
    def coarse(self) -> bool:
        """Return whether time passed, and stamps hardly advanced, within a stamp, too: not between bursts."""
        within_ns = sum(last_ns - first_ns for first_ns, last_ns in self._arrivals.values())
        bursts = 2 * within_ns < self.passed_ns * len({frame for frame, _ in self._arrivals})
        return not bursts and self.passed_ns >= max((len(self.stamps) - 1) * _STEP_NS, _LEAST_NS)
