"""The injector, which applies faults to messages and reorders them by their new arrival."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from perception.config import Config, Role
from perception.config.fault_plan import (
    CLOCK_OFFSET_NS,
    JITTER_NS,
    LATENCY_NS,
    REORDERING_NS,
    Fault,
    FaultPlan,
)
from perception.errors import ConfigError
from perception.pipeline.faults.draws import generator, uniform
from perception.pipeline.faults.readings import RangeFaults, StatusFaults
from perception.types import (
    SENSORS,
    CameraFrame,
    Decoded,
    DepthImage,
    Message,
    RangeScan,
    StatusReading,
    Undecodable,
)
from perception.types.stamp_rule import StampRule

if TYPE_CHECKING:
    from perception.pipeline.faults.pictures import PictureFaults

BREAK_NS = 1_000_000_000
"""A step back of the arrival clock that resets the injector, as it resets the aligner."""

Removed = Callable[[Decoded], None]


class Injector:
    """Injects faults into a stream of messages.

    Delayed messages wait in a heap, which holds at most the messages within the longest delay.
    Messages of topics without a sensor pass unchanged.

    Args:
        plan: The faults.
        roles: Topic -> its role (`Config.roles`).
        on_removed: Called with every message that a fault removed, for the ledger.
        stamps: Topic -> how its stamps are read (`Config.stamps`).
        names: Topic -> the sensor that the plan calls it by (`Config.sensor_names`); None: by its role.
    """

    def __init__(
        self,
        plan: FaultPlan,
        roles: Mapping[str, Role],
        on_removed: Removed = lambda message: None,
        stamps: Mapping[str, StampRule] = MappingProxyType({}),
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._plan = plan
        self._roles = roles
        self._stamps = stamps
        self._on_removed = on_removed
        self._names = names or {topic: role for topic, role in roles.items() if role in SENSORS}
        self._pictures: dict[str, PictureFaults] = {}
        self._ranges: dict[str, RangeFaults] = {}
        self._statuses: dict[str, StatusFaults] = {}
        for topic, sensor in self._names.items():
            self._add(sensor, roles[topic], plan.of(sensor))
        self._heap: list[tuple[int, int, Message | Decoded]] = []
        self._count = 0
        self._clock_ns: int | None = None
        self._latest: dict[str, int] = {}  # the last arrival on each topic, which jitter does not overtake

    def _add(self, sensor: str, kind: str, faults: Sequence[Fault]) -> None:
        """Keep what changes the measurements of a sensor."""
        if kind == "range":
            self._ranges[sensor] = RangeFaults(faults)
        elif kind == "status":
            self._statuses[sensor] = StatusFaults(faults)
        elif faults:
            from perception.pipeline.faults.pictures import PictureFaults  # loads OpenCV

            self._pictures[sensor] = PictureFaults(faults)

    def push(self, message: Message | Decoded) -> list[Message | Decoded]:
        """Accept a message in arrival order; return the messages that have arrived by then, in order."""
        out: list[Message | Decoded] = []
        arrival_ns = message.log_time_ns
        if self._clock_ns is not None and arrival_ns < self._clock_ns - BREAK_NS:
            out += self.flush()
            self._forget()
        self._clock_ns = max(self._clock_ns or arrival_ns, arrival_ns)
        sensor = self._names.get(message.topic)
        changed: Message | Decoded | None = message
        if sensor is not None and self._plan.of(sensor):
            changed = self._changed(message, sensor)
        if changed is not None:
            heapq.heappush(self._heap, (changed.log_time_ns, self._count, changed))
            self._count += 1
        while self._heap and self._heap[0][0] <= self._clock_ns:
            out.append(heapq.heappop(self._heap)[2])
        return out

    def flush(self) -> list[Message | Decoded]:
        """Return all messages that still wait, in order, at the end of the log."""
        return [heapq.heappop(self._heap)[2] for _ in range(len(self._heap))]

    def _forget(self) -> None:
        self._clock_ns = None
        self._latest.clear()
        for statuses in self._statuses.values():
            statuses.forget()
        for pictures in self._pictures.values():
            pictures.forget()

    def _changed(self, message: Message | Decoded, sensor: str) -> Decoded | None:
        """Return the message of a sensor as it arrives, or None if it does not."""
        original = self._decoded(message)
        key = (original.topic, original.stamp_ns, original.log_time_ns)
        fault = self._plan.get(sensor, "loss")
        if fault is not None and uniform(fault, *key) < fault.severity:
            self._on_removed(original)
            return None
        changed = self._measured(self._corrupted(message, original, sensor), sensor)
        if changed is None:
            self._on_removed(original)
            return None
        if (fault := self._plan.get(sensor, "clock_offset")) and not isinstance(changed, Undecodable):
            changed = replace(changed, stamp_ns=changed.stamp_ns + round(CLOCK_OFFSET_NS * fault.severity))
        return replace(changed, log_time_ns=self._arrival(sensor, key))

    def _measured(self, message: Decoded, sensor: str) -> Decoded | None:
        if isinstance(message, CameraFrame) and sensor in self._pictures:
            return self._pictures[sensor].apply(message)
        if isinstance(message, RangeScan | DepthImage):
            return self._ranges[sensor].apply(message)
        if isinstance(message, StatusReading):
            return self._statuses[sensor].apply(message)
        return message

    def _corrupted(self, raw: Message | Decoded, message: Decoded, sensor: str) -> Decoded:
        """Return the message with wrong bytes: in its payload, or in the picture if it is decoded."""
        fault = self._plan.get(sensor, "corruption")
        if fault is None:
            return message
        key = (message.topic, message.stamp_ns, message.log_time_ns)
        if uniform(fault, *key) >= fault.severity:
            return message
        rng = generator(fault, "bytes", *key)
        if isinstance(raw, Message):
            return self._decoded(replace(raw, data=_damage(raw.data, rng)))
        if isinstance(message, CameraFrame):
            return replace(message, data=_damage(bytes(message.data), rng))
        return Undecodable(message.topic, message.stamp_ns, message.log_time_ns, "damaged", message.source)

    def _arrival(self, sensor: str, key: tuple[str, int, int]) -> int:
        topic, _, arrival_ns = key
        if fault := self._plan.get(sensor, "latency"):
            arrival_ns += round(LATENCY_NS * fault.severity)
        if fault := self._plan.get(sensor, "jitter"):
            arrival_ns += round(JITTER_NS * fault.severity * uniform(fault, *key))
            arrival_ns = self._latest[topic] = max(arrival_ns, self._latest.get(topic, 0))
        fault = self._plan.get(sensor, "reordering")
        if fault is not None and uniform(fault, *key) < fault.severity:
            arrival_ns += round(REORDERING_NS * uniform(fault, "back", *key))
        return arrival_ns

    def _decoded(self, message: Message | Decoded) -> Decoded:
        if not isinstance(message, Message):
            return message
        from perception.logs import decode

        return decode(message, self._roles[message.topic], self._stamps.get(message.topic))


def inject(
    messages: Iterable[Message | Decoded],
    plan: FaultPlan,
    roles: Mapping[str, Role],
    on_removed: Removed = lambda message: None,
    stamps: Mapping[str, StampRule] = MappingProxyType({}),
    names: Mapping[str, str] | None = None,
) -> Iterator[Message | Decoded]:
    """Yield the messages of a log with their faults, in arrival order; without faults the same objects."""
    if not plan:
        yield from messages
        return
    injector = Injector(plan, roles, on_removed, stamps, names)
    for message in messages:
        yield from injector.push(message)
    yield from injector.flush()


def _damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the data truncated, or with up to 16 bytes overwritten, with equal probability."""
    if not data:
        return data
    if rng.random() < 0.5:
        return data[: int(rng.integers(len(data)))]
    changed = np.frombuffer(data, np.uint8).copy()
    number = int(rng.integers(1, 17))
    changed[rng.integers(len(data), size=number)] = rng.integers(256, size=number, dtype=np.uint8)
    return changed.tobytes()


def check_truth_stays(plan: FaultPlan, config: Config) -> None:
    """Raise if a fault of a status would change truth that is read from the same topic.

    Raises:
        ConfigError: Names each such fault and topic.
    """
    errors = []
    for sensor, status in config.sensors.statuses.items():
        names = [fault.name for fault in plan.of(sensor)]
        if names and status.topic in config.truth.topics:
            errors.append(
                f"faults: {', '.join(names)} would change the truth, too: {status.topic} is both status and "
                "truth; leave the truth or these faults out"
            )
    if errors:
        raise ConfigError(errors)
