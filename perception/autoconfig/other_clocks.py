"""Stamps of another clock than that of the recorder, where other sensors have the recorder's.

A scanner that counts from its start, one that has GPS time or a time zone, a camera on a clock of its own:
none of their messages is ever near a tick. Arrival is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from statistics import median_low

from perception.autoconfig.first_messages import FIRST
from perception.config import Role
from perception.logs import Log, Query, decode
from perception.logs.sparing import is_sparing, look
from perception.types import Undecodable

_AHEAD_NS = 5_000_000_000  # no message arrives so long before it is measured
_BEHIND_NS = 3_600_000_000_000  # none is so long on its way


def other_clocks(
    log: Log,
    ahead_ns: Mapping[str, int],
    roles: Mapping[str, Role],
    reference: str,
    truth_ahead_ns: Iterable[int] = (),
) -> dict[str, str]:
    """Return for each topic whose clock is not the recorder's the beginning of a warning.

    Where more sensors share another clock with the reference than have the recorder's, it is theirs (of a
    simulation, or of a log that was played and recorded again): arrival would tell less. Nor is that of a
    reference changed whose clock truth has, too: its stamps are those of the pictures.

    Args:
        log: The log. With an index, the middle of it is looked at, too: a clock may be set late.
        ahead_ns: Topic -> how far its first stamps are ahead of arrival, of all topics with stamps.
        roles: Topic -> how its messages are read.
        reference: The topic that makes the ticks.
        truth_ahead_ns: As `ahead_ns`, of the topics of truth.
    """
    other = [topic for topic, ahead in ahead_ns.items() if _is_other(ahead)]
    alike = [topic for topic in ahead_ns if topic not in other]
    if not alike:
        return {}
    if reference not in alike:
        own_ns = ahead_ns.get(reference)
        sharing = [topic for topic in other if _is_same(ahead_ns[topic], own_ns)]
        of_truth = any(_is_other(ahead) and _is_same(ahead, own_ns) for ahead in truth_ahead_ns)
        if of_truth or len(alike) < len(sharing):
            return {}
    texts = {}
    for topic in other:
        if _is_other(_ahead_in_the_middle(log, topic, roles[topic], ahead_ns[topic])):
            seconds = ahead_ns[topic] / 1e9
            where = f"{abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} their arrival"
            texts[topic] = f"stamps on {topic} are of another clock ({where}, unlike those on {alike[0]})"
    return texts


def _is_same(ahead_ns: int, own_ns: int | None) -> bool:
    """Return whether a clock may be the reference's; of one that is not known every clock may.

    That of a simulation runs slower than the recorder's, and its sensors start at other moments.
    """
    return own_ns is None or abs(ahead_ns - own_ns) <= _BEHIND_NS


def _is_other(ahead_ns: int) -> bool:
    return ahead_ns > _AHEAD_NS or -ahead_ns > _BEHIND_NS


def _ahead_in_the_middle(log: Log, topic: str, role: Role, first_ns: int) -> int:
    """Return how far stamps are ahead of arrival in the middle of a log; without an index at its start."""
    survey = log.survey.topics[topic]
    if not log.survey.indexed or is_sparing(log):
        return first_ns
    query = Query(frozenset({topic}), (survey.first_ns + survey.last_ns) // 2)
    decoded = (decode(message, role) for message in islice(look(log, query), FIRST))
    ahead = [m.stamp_ns - m.log_time_ns for m in decoded if not isinstance(m, Undecodable) and m.stamped]
    return median_low(ahead) if ahead else first_ns
