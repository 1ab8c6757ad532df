"""The alignment of a log under a configuration, simulated: which sensors take part in how many ticks.

The real `Aligner` runs on the stamps and arrivals of parts of the log; pictures and returns are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from perception.align import Aligner, feed
from perception.config import Config
from perception.logs import Log, Query
from perception.logs.decoding.dispatch import decoder
from perception.logs.sparing import is_sparing, look
from perception.types import (
    SENSORS,
    CameraFrame,
    Decoded,
    DepthImage,
    Float64,
    Input,
    Message,
    RangeScan,
    Sample,
    Tick,
    Undecodable,
    VideoPacket,
)

MS = 1_000_000  # nanoseconds in a millisecond
PART_NS = 10_000_000_000
"""A part of the log that is simulated; three of them where the log is longer."""

MOST_TICKS = 300  # of one part
MOST_BYTES = 32 << 20  # of one part
SETTLING_NS = 1_000_000_000
"""Ticks so soon after the start of a part that begins inside the log are not counted."""


@dataclass(slots=True)
class SensorAlignment:
    """The part of one sensor in the simulated ticks.

    Attributes:
        present: The ticks that have it.
        absences: The others by the code of their absence.
        reasons: Code -> text of the first absence of that code.
        late_ms: How long after a tick the message that it has arrived; below 0: before.
        distances_ms: How far the stamp of that message is from the tick's.
    """

    present: int = 0
    absences: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)
    distances_ms: list[float] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """The text of the commonest absence; empty without any."""
        return self.reasons[self.absences.most_common(1)[0][0]] if self.absences else ""


@dataclass(frozen=True, slots=True)
class AlignmentReport:
    """The simulated ticks of the reference, and the part of each configured sensor in them."""

    ticks: int
    sensors: Mapping[str, SensorAlignment]


@dataclass(slots=True)
class _Part:
    messages: list[Decoded]
    first_ns: int  # ticks from here on count
    last_ns: int  # ticks that arrived by then count


class AlignmentSimulation:
    """Parts of a log, read once and aligned under any configuration of the same topics.

    Args:
        log: An open log.
        config: Sensors with their topics; `reference_rate_hz` is known.
        start_ns, end_ns: The part of the log, on the arrival clock; None: from its beginning, to its end.
    """

    def __init__(
        self, log: Log, config: Config, start_ns: int | None = None, end_ns: int | None = None
    ) -> None:
        self._roles = config.roles()
        self._sizes: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))  # of videos
        self._decode = decoder(config)
        self._reference = config.sensors.named[config.reference].topic
        times = [log.survey.topics[topic] for topic in self._roles if topic in log.survey.topics]
        first_ns = max(start_ns or 0, min((topic.first_ns for topic in times), default=0))
        last_ns = min((end_ns or 1 << 64) - 1, max((topic.last_ns for topic in times), default=0))
        self._parts = [
            self._read(log, begin_ns, last_ns, inside=begin_ns > first_ns)
            for begin_ns in _begins(first_ns, last_ns, log.survey.indexed and not is_sparing(log))
        ]

    def _read(self, log: Log, begin_ns: int, last_ns: int, inside: bool) -> _Part:
        """Read one part: until its time, its ticks or its bytes are enough."""
        messages: list[Decoded] = []
        ticks = size = 0
        now_ns, complete = begin_ns, True
        stream = look(log, Query(frozenset(self._roles), begin_ns, last_ns + 1))
        for message in stream:
            size += len(message.data)
            ticks += message.topic == self._reference
            if message.log_time_ns - begin_ns > PART_NS or ticks > MOST_TICKS or size > MOST_BYTES:
                complete = False
                if message.log_time_ns - now_ns > SETTLING_NS:  # a pause: nothing else comes in it
                    now_ns = min(message.log_time_ns, begin_ns + PART_NS)
                break
            now_ns = message.log_time_ns
            messages.append(self._stamp_alone(message))
        first_ns = begin_ns + SETTLING_NS if inside else begin_ns
        return _Part(messages, first_ns, now_ns if complete else now_ns - SETTLING_NS)

    def _stamp_alone(self, message: Message) -> Decoded:
        """Return a message without its pictures and returns; one of no sensor only moves the clock.

        A depth image becomes returns by its camera info: both are kept, without the depth.
        """
        role = self._roles[message.topic]
        if role == "calibration":
            return self._decode(message)
        if role not in SENSORS:
            return Undecodable(message.topic, message.publish_time_ns, message.log_time_ns, "not needed")
        decoded = self._decode(message)
        source = hash(decoded.source).to_bytes(8, "little", signed=True)
        if isinstance(decoded, VideoPacket):  # every packet has its picture here; none is decoded
            head = decoded.topic, decoded.stamp_ns, decoded.log_time_ns, decoded.frame_id
            if any(decoded.size):
                self._sizes[decoded.topic] = decoded.size
            size = self._sizes[decoded.topic]
            return CameraFrame(*head, b"", "i420", *size, source=source, stamped=decoded.stamped)
        if isinstance(decoded, CameraFrame):
            return replace(decoded, data=b"", source=source)
        if isinstance(decoded, RangeScan):
            empty = np.empty((0, 3), np.float32)
            return replace(decoded, points_m=empty, intensity=None, radial_speed_m_s=None, source=source)
        if isinstance(decoded, DepthImage):
            unknown = np.broadcast_to(np.float32(np.nan), decoded.depth_m.shape)
            return replace(decoded, depth_m=unknown, source=source)
        return replace(decoded, source=source)

    def delay_spread_ms(self, topic: str, other: str) -> float:
        """Return the spread of arrival less stamp over a topic, from the 5th to the 95th percentile.

        Where that of another topic changes alike, the recorder's clock runs otherwise (a log that was played
        slowly, and recorded again): then the spread of their difference.
        """
        (arrivals, delays), (known, beside) = self._delays_ns(topic), self._delays_ns(other)
        if not delays.size or not beside.size:
            return 0.0
        differences = delays - np.interp(arrivals, known, beside)
        spreads = (np.subtract(*np.quantile(each, (0.95, 0.05))) for each in (delays, differences))
        return float(min(spreads)) / MS

    def _delays_ns(self, topic: str) -> tuple[Float64, Float64]:
        """Return the arrivals of a topic, and arrival less stamp of each."""
        messages = [message for part in self._parts for message in part.messages if message.topic == topic]
        arrivals = np.array([message.log_time_ns for message in messages], np.float64)
        return arrivals, np.array([m.log_time_ns - m.stamp_ns for m in messages], np.float64)

    def run(self, config: Config) -> AlignmentReport:
        """Align the parts under a configuration of the same topics.

        Raises:
            ConfigError: As `Aligner`.
        """
        sensors = {name: SensorAlignment() for name in config.sensors.named}
        ticks = 0
        for part in self._parts:
            for sample in _reference_ticks(config, part):
                ticks += 1
                for source in sample.sensors:
                    if source.name in sensors:
                        _count(sensors[source.name], sample.tick, source)
        return AlignmentReport(ticks, sensors)


def _begins(first_ns: int, last_ns: int, indexed: bool) -> list[int]:
    """Return where the parts begin: at the start and, with an index, in the middle and near the end."""
    spare_ns = last_ns - first_ns - PART_NS
    if not indexed or spare_ns < 2 * PART_NS:
        return [first_ns]
    return [first_ns, first_ns + spare_ns // 2, first_ns + spare_ns]


def _reference_ticks(config: Config, part: _Part) -> Iterator[Sample]:
    for sample in feed(Aligner(config), part.messages):
        if sample.tick.kind == "reference" and part.first_ns <= sample.tick.log_time_ns <= part.last_ns:
            yield sample


def _count(sensor: SensorAlignment, tick: Tick, taken: Input[Any]) -> None:
    if taken.present and taken.age_ms is not None:
        sensor.present += 1
        sensor.distances_ms.append(abs(taken.age_ms))
        newest = max(entry.log_time_ns for entry in taken.entries)
        sensor.late_ms.append((newest - tick.log_time_ns) / MS)
        return
    assert taken.absence is not None
    sensor.absences[taken.absence.code] += 1
    sensor.reasons.setdefault(taken.absence.code, taken.absence.text)
