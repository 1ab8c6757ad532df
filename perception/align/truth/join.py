"""Truth joined to samples by stamp, in a stream or from a finished log."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Generic, NamedTuple, TypeVar

from perception.align.truth.boxes import boxes_of
from perception.config import TruthConfig
from perception.types import Cuboids, Decoded, Sample, StatusReading, TruthBoxes, TruthFrame

M = TypeVar("M", Cuboids | TruthBoxes, StatusReading)

TOLERANCE_MS = 60.0
LOOK_AHEAD_MS = 250.0
AHEAD_NS = 500_000_000
"""Control truth stamped t is what the driver commands at t + 0.5 s."""

_OLDEST_COMMAND_NS = 250_000_000
_BREAK_NS = 1_000_000_000


class Joined(NamedTuple):
    """A sample, the truth at its stamp, and the payload that was passed with it."""

    sample: Sample
    truth: TruthFrame
    payload: Any = None


class _Track(Generic[M]):
    """Messages by stamp."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.messages: list[M] = []

    def add(self, message: M) -> None:
        at = bisect_right(self.stamps, message.stamp_ns)
        self.stamps.insert(at, message.stamp_ns)
        self.messages.insert(at, message)

    def nearest(self, stamp_ns: int, tolerance_ns: float) -> M | None:
        """Return the message with the smallest difference, within the tolerance; ties to the older."""
        after = bisect_left(self.stamps, stamp_ns)
        near = [i for i in (after - 1, after) if 0 <= i < len(self.stamps)]
        best = min(near, key=lambda i: abs(self.stamps[i] - stamp_ns), default=None)
        if best is None or abs(self.stamps[best] - stamp_ns) > tolerance_ns:
            return None
        return self.messages[best]

    def latest(self, stamp_ns: int, oldest_ns: int) -> M | None:
        """Return the newest message stamped at or before `stamp_ns` and not before `oldest_ns`."""
        at = bisect_right(self.stamps, stamp_ns) - 1
        return self.messages[at] if at >= 0 and self.stamps[at] >= oldest_ns else None

    def forget_before(self, stamp_ns: int) -> None:
        count = bisect_left(self.stamps, stamp_ns)
        del self.stamps[:count], self.messages[:count]


class TruthStore:
    """The truth messages of a log, looked up by the stamp of a sample."""

    def __init__(self, config: TruthConfig, tolerance_ms: float = TOLERANCE_MS) -> None:
        self.config = config
        self.tolerance_ms = tolerance_ms
        self.boxes: _Track[Cuboids | TruthBoxes] = _Track()
        self.control: _Track[StatusReading] = _Track()
        self.heads: dict[str, _Track[StatusReading]] = {name: _Track() for name in config.heads}

    def tracks(self) -> Iterator[tuple[str | None, _Track[Any]]]:
        """Yield each topic of truth with its messages."""
        yield self.config.boxes, self.boxes
        yield self.config.control, self.control
        yield from ((self.config.heads[name].topic, track) for name, track in self.heads.items())

    def add(self, message: Decoded) -> None:
        """Keep the message if it is truth by the configuration; others are ignored."""
        for topic, track in self.tracks():
            kind = Cuboids | TruthBoxes if track is self.boxes else StatusReading
            if message.topic == topic and isinstance(message, kind):
                track.add(message)

    def at(self, sample: Sample) -> TruthFrame:
        """Return the truth at the sample's stamp: the nearest message within the tolerance, before or after.

        `measured` is the command in force at that moment: what the message half a second before announced.
        """
        stamp_ns = sample.tick.stamp_ns
        boxes = self.boxes.nearest(stamp_ns, self.tolerance_ms * 1e6)
        control = self.control.nearest(stamp_ns, self.tolerance_ms * 1e6)
        in_force = stamp_ns - AHEAD_NS
        before = self.control.latest(in_force, in_force - _OLDEST_COMMAND_NS)
        return TruthFrame(
            stamp_ns,
            None if boxes is None else boxes_of(boxes, sample.rig, self.config.classes),
            None if control is None else _numbers(control, self.config.control_fields),
            None if before is None else _numbers(before, self.config.control_fields),
            dict(self._extra(stamp_ns)),
        )

    def _extra(self, stamp_ns: int) -> Iterator[tuple[str, Mapping[str, float]]]:
        for name, track in self.heads.items():
            reading = track.nearest(stamp_ns, self.tolerance_ms * 1e6)
            values = None if reading is None else _numbers(reading, self.config.head_fields(name))
            if values is not None:
                yield name, values

    def forget_before(self, stamp_ns: int) -> None:
        """Drop messages that no sample from `stamp_ns` on needs."""
        oldest = stamp_ns - AHEAD_NS - _OLDEST_COMMAND_NS - int(self.tolerance_ms * 1e6)
        for _, track in self.tracks():
            track.forget_before(oldest)


def _numbers(reading: StatusReading, fields: Mapping[str, str]) -> Mapping[str, float] | None:
    """Return the values that are finite numbers, by name; None if there is none."""
    values = {
        name: reading.values[path]
        for name, path in fields.items()
        if path in reading.values and isfinite(reading.values[path])
    }
    return values or None


class TruthJoiner:
    """Joins truth to samples while a log streams by: they wait for the truth that comes after them.

    A sample is released when every truth topic has had a stamp too late to be the sample's, or when the
    stream has moved `look_ahead_ms` past the sample's arrival. Memory is bounded by that wait. Samples leave
    in the order in which they came. When time starts again (a loop, a joined log), the truth of before serves
    only the samples of before.
    """

    def __init__(
        self, config: TruthConfig, tolerance_ms: float = TOLERANCE_MS, look_ahead_ms: float = LOOK_AHEAD_MS
    ) -> None:
        self._store = TruthStore(config, tolerance_ms)
        self._look_ahead_ns = look_ahead_ms * 1e6
        self._clock_ns: int | None = None
        self._before: TruthStore | None = None  # what was known when time last started again
        self._waiting: deque[tuple[Sample, Any, TruthStore]] = deque()
        self._released: deque[Joined] = deque()

    def push(self, message: Decoded) -> None:
        """Add a message of the stream, of any kind, in order of arrival."""
        if self._clock_ns is not None and message.log_time_ns < self._clock_ns - _BREAK_NS:
            self._release_all()
            self._before = self._store
            self._store = TruthStore(self._before.config, self._before.tolerance_ms)
            self._clock_ns = None
        self._clock_ns = max(self._clock_ns or message.log_time_ns, message.log_time_ns)
        self._store.add(message)

    def add(self, sample: Sample, payload: Any = None) -> list[Joined]:
        """Add the next sample, with a payload to return beside it. Returns the settled samples."""
        late = self._clock_ns is not None and sample.tick.log_time_ns > self._clock_ns + _BREAK_NS
        store = self._before if late and self._before is not None else self._store
        self._waiting.append((sample, payload, store))
        return self.ready()

    def ready(self) -> list[Joined]:
        """Return the samples whose truth is complete."""
        while self._waiting and self._settled(self._waiting[0][0], self._waiting[0][2]):
            self._release()
        released = list(self._released)
        self._released.clear()
        return released

    def flush(self) -> list[Joined]:
        """Return all waiting samples: the stream has ended."""
        self._release_all()
        return self.ready()

    def watch(self, messages: Iterable[Decoded]) -> Iterator[Decoded]:
        """Yield the same messages after adding each to the joiner."""
        for message in messages:
            self.push(message)
            yield message

    def pairs(self, samples: Iterable[Sample]) -> Iterator[Joined]:
        """Yield each sample with its truth, in order."""
        for sample in samples:
            yield from self.add(sample)
        yield from self.flush()

    def _settled(self, sample: Sample, store: TruthStore) -> bool:
        if store is not self._store:
            return True
        if self._clock_ns is not None and self._clock_ns >= sample.tick.log_time_ns + self._look_ahead_ns:
            return True
        too_late_ns = sample.tick.stamp_ns + store.tolerance_ms * 1e6
        return all(
            topic is None or (track.stamps and track.stamps[-1] >= too_late_ns)
            for topic, track in store.tracks()
        )

    def _release(self) -> None:
        sample, payload, store = self._waiting.popleft()
        self._released.append(Joined(sample, store.at(sample), payload))
        store.forget_before(sample.tick.stamp_ns - _BREAK_NS)

    def _release_all(self) -> None:
        while self._waiting:
            self._release()
