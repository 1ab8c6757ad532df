"""The first messages of a topic: decoded, their number fields, their rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, pairwise
from statistics import median
from typing import TypeVar
from weakref import WeakKeyDictionary

from perception.config import Role
from perception.config.values import LOWEST_HZ
from perception.logs import Log, Query, decode
from perception.logs.sparing import arrival_times, is_sparing, look
from perception.types import Decoded, Message, StatusReading

T = TypeVar("T")

FIRST = 5  # messages that are decoded to see what a topic holds
ARRIVALS = 256  # messages from which a rate is measured
LATER = 4096  # messages of all topics together in which numbers are looked for that come later
FASTEST_HZ = 5000.0  # of a sensor; messages that come faster come in bursts


MANY_TOPICS = 64
"""The first messages of more topics are read in one pass: one for each costs the square of their number."""

KEPT_BYTES = 64_000_000
"""Bytes of messages that this pass keeps in memory; a topic beyond it is read again when it is asked for."""

_first: WeakKeyDictionary[Log, dict[str, list[Message]]] = WeakKeyDictionary()


def first_messages(log: Log, topic: str, count: int) -> Iterator[Message]:
    """Return the first messages of a topic; it need not be in the log."""
    survey = log.survey.topics.get(topic)
    if survey is None:
        return iter(())
    if count <= FIRST and len(log.survey.topics) > MANY_TOPICS:
        messages = _first_of_all(log).get(topic)
        if messages is not None:
            return iter(messages[:count])
    query = Query(topics=frozenset({topic}), start_ns=survey.first_ns)
    return islice(look(log, query), count)


def _first_of_all(log: Log) -> dict[str, list[Message]]:
    """Return the first messages of each topic, from one pass that ends when all are there. A topic whose
    messages are too large to keep is left out."""
    if log in _first:
        return _first[log]
    kept: dict[str, list[Message]] = {topic: [] for topic in log.survey.topics}
    missing = {topic: min(FIRST, survey.count or FIRST) for topic, survey in log.survey.topics.items()}
    kept_bytes = 0
    for message in look(log):
        if message.topic not in missing:
            continue
        kept_bytes += len(message.data)
        if kept_bytes > KEPT_BYTES:
            kept.pop(message.topic, None)
        elif message.topic in kept:
            kept[message.topic].append(message)
        missing[message.topic] -= 1
        if not missing[message.topic]:
            del missing[message.topic]
            if not missing:
                break
    _first[log] = kept
    return kept


def first_decoded(log: Log, topic: str, role: Role | None = None, count: int = FIRST) -> list[Decoded]:
    """Return the first messages of a topic, decoded."""
    return [decode(message, role) for message in first_messages(log, topic, count)]


def spread_decoded(log: Log, topic: str, role: Role | None = None) -> list[Decoded]:
    """Return messages of a topic, decoded: the first, and with an index as many of two later parts.

    Vehicles stand when a recording begins: what moves is seen later.
    """
    survey = log.survey.topics.get(topic)
    if survey is None or survey.count <= ARRIVALS or not log.survey.indexed or is_sparing(log):
        return first_decoded(log, topic, role, ARRIVALS)
    decoded: list[Decoded] = []
    for part in range(3):
        begin_ns = survey.first_ns + (survey.last_ns - survey.first_ns) * part // 3
        messages = look(log, Query(frozenset({topic}), begin_ns))
        decoded += [decode(message, role) for message in islice(messages, ARRIVALS // 3)]
    return decoded


def first_of(log: Log, topic: str, kind: type[T], role: Role | None = None) -> T | None:
    """Return the first of the first messages of a topic that decodes to a class; None where none does.

    Drivers begin with empty messages: the very first one does not tell what a topic holds.
    """
    decoded = (decode(message, role) for message in first_messages(log, topic, FIRST))
    return next((message for message in decoded if isinstance(message, kind)), None)


def first_frame(log: Log, topic: str, role: Role | None = None) -> str:
    """Return the frame that the first messages of a topic name; empty where they name none."""
    frames = (getattr(message, "frame_id", "") for message in first_decoded(log, topic, role))
    return next(filter(None, frames), "")


def number_fields(log: Log, topic: str, role: Role = "status") -> set[str]:
    """Return the dotted paths of the numbers in the first messages of a topic."""
    readings = (message for message in first_decoded(log, topic, role) if isinstance(message, StatusReading))
    return {path for reading in readings for path in reading.values}


def later_number_fields(log: Log, topics: Collection[str], role: Role = "status") -> Mapping[str, set[str]]:
    """Return for topics the dotted paths of the numbers in messages of three parts of the log; without an
    index in its first messages. Each part is read once for all topics, and no further than `LATER` messages.
    """
    surveys = [log.survey.topics[topic] for topic in topics if topic in log.survey.topics]
    found: dict[str, set[str]] = {topic: set() for topic in topics}
    if not surveys:
        return found
    begin_ns, end_ns = min(s.first_ns for s in surveys), max(s.last_ns for s in surveys)
    parts = 3 if log.survey.indexed and not is_sparing(log) else 1
    most = max(FIRST, min(ARRIVALS, LATER // len(surveys)) // parts)  # of a topic, in a part
    for part in range(parts):
        query = Query(frozenset(topics), begin_ns + (end_ns - begin_ns) * part // parts)
        seen: Counter[str] = Counter()
        for message in islice(look(log, query), LATER):
            seen[message.topic] += 1
            if seen[message.topic] <= most:
                decoded = decode(message, role)
                found[message.topic].update(decoded.values if isinstance(decoded, StatusReading) else ())
            elif len(seen) == len(surveys) and min(seen.values()) >= most:
                break
    return found


def rate_hz(log: Log, topic: str) -> float | None:
    """Return the rate of a topic, by the median difference of its first arrivals; None where there is none.

    Where the arrivals have no rate (a converter wrote all at one time, or in bursts), that of the stamps is
    taken. Messages that came twice count once: a recorder that doubles them must not double the rate.
    """
    arrivals: dict[tuple[int, int], int] = {}
    count = 0
    for message in first_messages(log, topic, ARRIVALS):  # images are large: their hash is kept instead
        arrivals.setdefault((decode(message).stamp_ns, hash(message.data)), message.log_time_ns)
        count += 1
    times = arrival_times(log, frozenset({topic}), ARRIVALS) if count == len(arrivals) else None
    rate = _rate_hz(arrivals.values() if times is None else times)
    return rate if rate is not None else _rate_hz(sorted(stamp_ns for stamp_ns, _ in arrivals))


def _rate_hz(times_ns: Iterable[int]) -> float | None:
    """Return the rate of events; None without any, or for one that no sensor has."""
    steps = [b - a for a, b in pairwise(times_ns) if b > a]
    if not steps:
        return None
    rate = 1e9 / median(steps)
    rate = round(rate, 3) if rate >= 1 else float(f"{rate:.3g}")
    return rate if LOWEST_HZ <= rate <= FASTEST_HZ else None
