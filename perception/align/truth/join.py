"""Truth joined to samples by stamp, in a stream or from a finished log."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from perception.align.truth.late_truth import LateTruth
from perception.align.truth.store import TruthStore
from perception.config import SensorsConfig, TruthConfig
from perception.types import Decoded, Sample, TruthFrame

_BREAK_NS = 1_000_000_000


def look_ahead_ns(config: TruthConfig) -> int:
    """Return how long after a tick the stream is waited for, for truth that is stamped or arrives later."""
    return round(max(config.wait_ms, config.tolerance_ms) * 1e6) + max(0, config.control_shift_ns)


class Joined(NamedTuple):
    """A sample, the truth at its stamp, and the payload that was passed with it."""

    sample: Sample
    truth: TruthFrame
    payload: Any = None


class TruthJoiner:
    """Joins truth to samples while a log streams by: they wait for the truth that comes after them.

    A sample is released when every truth topic has had a stamp too late to be the sample's, or when the
    stream has moved `look_ahead_ns` past the sample's arrival. Memory is
    bounded by that wait. Samples leave in the order in which they came. When time starts again (a loop, a
    joined log), the truth of before serves only the samples of before. Arguments as for `TruthStore`.

    Attributes:
        late: The truth that arrived when its samples had left.
    """

    def __init__(
        self, config: TruthConfig, sensors: SensorsConfig | None = None, places_boxes: bool = True
    ) -> None:
        self._store = TruthStore(config, sensors, places_boxes)
        self.late = LateTruth(look_ahead_ns(config) / 1e6)
        self._look_ahead_ns = look_ahead_ns(config)
        self._clock_ns: int | None = None
        self._before: TruthStore | None = None  # what was known when time last started again
        self._waiting: deque[tuple[Sample, Any, TruthStore]] = deque()
        self._released: deque[Joined] = deque()

    def push(self, message: Decoded) -> None:
        """Add a message of the stream, of any kind, in order of arrival."""
        if self._clock_ns is not None and message.log_time_ns < self._clock_ns - _BREAK_NS:
            self._release_all()
            self._before = self._store
            self._store = self._before.successor()
            self.late.begin_anew()
            self._clock_ns = None
        self._clock_ns = max(self._clock_ns or message.log_time_ns, message.log_time_ns)
        if self._store.add(message):
            self.late.arrive(message, self._store.tolerance_ns)

    def recall(self, message: Decoded) -> None:
        """Add a message of the rig, or an image for its size, from before the stream."""
        if self._store.rig is not None:
            self._store.rig.learn(message)

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
        return all(
            track.has_passed(stamp_ns + store.tolerance_ns)
            for _, track, stamp_ns in store.wanted(sample.tick.stamp_ns)
        )

    def _release(self) -> None:
        sample, payload, store = self._waiting.popleft()
        self._released.append(Joined(sample, store.at(sample), payload))
        for topic, track, stamp_ns in store.wanted(sample.tick.stamp_ns) if store is self._store else ():
            away_ns = track.away_ns(stamp_ns)
            if away_ns is None or away_ns > store.tolerance_ns:
                self.late.miss(topic, stamp_ns, sample.tick.log_time_ns)
        store.forget_before(sample.tick.stamp_ns - _BREAK_NS)

    def _release_all(self) -> None:
        while self._waiting:
            self._release()
