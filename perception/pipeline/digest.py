"""Hashes of a run: over its outputs, and over the messages that it read."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping

from perception.sinks import OutputSink
from perception.types import (
    NOT_STATED,
    Control,
    Detections,
    Message,
    Output,
    Sample,
    TruthFrame,
    unknown_values,
)


class OutputDigest(OutputSink):
    """A sink that keeps one hash over all fields of all outputs, to compare runs by."""

    ignores_truth = True

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Add an output to the hash."""
        text, numbers = _text(output), _numbers(output)
        self._hash.update(text.encode())
        self._hash.update(struct.pack(f"<{len(numbers)}d", *numbers))

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _text(output: Output) -> str:
    """Return the fields of an output that are not numbers, and which numbers there are and are unknown."""
    tick = output.tick
    parts: list[object] = [tick.kind, tick.stamp_ns, tick.log_time_ns]  # its index counts within a run
    for name, boxes in _boxes(output):
        labels = [(item.label, item.track_id, *unknown_values(item)) for item in boxes.items]
        parts.append((name, boxes.valid, boxes.based_on, boxes.error, labels))
        # Outputs without positions keep the hash that they had before there were any.
        places = [(d.position_unknown, d.position_m is None, d.position_cov_m2 is None) for d in boxes.items]
        if boxes.position_frame or any(place != (NOT_STATED, True, True) for place in places):
            parts.append(
                (f"positions of {name}", boxes.position_frame, places)
            )  # else the hash is that of before
    for name, control in _controls(output):
        units = [(channel.name, channel.unit, *unknown_values(channel)) for channel in control.channels]
        parts.append((name, control.valid, control.based_on, control.error, units))
    return repr([*parts, *output.warnings.items()])


def _numbers(output: Output) -> list[float]:
    """Return the known numbers of an output, in order: packed, exact, and in a tenth of the time of text."""
    numbers: list[float] = []
    for _, boxes in _boxes(output):
        for d in boxes.items:
            numbers += (d.score, *d.xyxy)
            numbers += d.box_std or ()
            if d.distance_m is not None:
                numbers.append(d.distance_m)
            if d.distance_std_m is not None:
                numbers.append(d.distance_std_m)
            numbers.append(d.visible)
            numbers += d.position_m or ()
            for row in d.position_cov_m2 or ():
                numbers += row
    for _, control in _controls(output):
        for channel in control.channels:
            numbers += (channel.value,) if channel.std is None else (channel.value, channel.std)
    return numbers


def _boxes(output: Output) -> Iterator[tuple[str, Detections]]:
    """Yield the detections; with several cameras those of each, by its name."""
    if output.cameras:
        yield from output.cameras.items()
    elif output.detections is not None:
        yield "detections", output.detections


def _controls(output: Output) -> Iterator[tuple[str, Control]]:
    """Yield the heads that are channels: control, and those of other packages."""
    if output.control is not None:
        yield "control", output.control
    yield from output.extra.items()


class ContentDigest:
    """A hash over the messages that a run reads, taken while it reads them.

    It does not depend on the layout of the file: a copy with other chunks or compression has the same hash.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.messages = 0

    def add(self, message: Message) -> None:
        """Add a message to the hash: topic, times and payload."""
        head = f"{message.topic}\0{message.log_time_ns}\0{message.publish_time_ns}\0{len(message.data)}\0"
        self._hash.update(head.encode())
        self._hash.update(message.data)
        self.messages += 1

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
