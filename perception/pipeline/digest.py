"""One hash over all outputs of a run, and one over all messages that it read."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

from perception.sinks import RunInfo
from perception.types import Message, Output, Sample, TruthFrame


class OutputDigest:
    """A sink that keeps only a hash over everything that outputs say, so that runs can be compared."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def open(self, run: RunInfo) -> None:
        """Nothing to open."""

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Take in one output."""
        text, numbers = _words(output), _numbers(output)
        self._hash.update(text.encode())
        self._hash.update(struct.pack(f"<{len(numbers)}d", *numbers))

    def close(self) -> None:
        """Nothing to close."""

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _words(output: Output) -> str:
    """All that an output says but for its numbers, whose count and meaning it fixes."""
    tick, boxes, control = output.tick, output.detections, output.control
    said: list[object] = [tick.kind, tick.stamp_ns, tick.log_time_ns]  # its index counts within a run
    if boxes is not None:
        labels = [(item.label, item.track_id) for item in boxes.items]
        said.append(("detections", boxes.valid, boxes.based_on, boxes.error, labels))
    if control is not None:
        units = [(channel.name, channel.unit) for channel in control.channels]
        said.append(("control", control.valid, control.based_on, control.error, units))
    for name, head in output.extra.items():
        units = [(channel.name, channel.unit) for channel in head.channels]
        said.append((name, head.valid, head.based_on, head.error, units))
    return repr([*said, *output.warnings.items()])


def _numbers(output: Output) -> list[float]:
    """All numbers of an output, in order. Packed they are exact, in a tenth of the time that text takes."""
    found: list[float] = []
    if output.detections is not None:
        for d in output.detections.items:
            found += (d.score, *d.xyxy, *d.box_std, d.distance_m, d.distance_std_m, d.visible)
    for head in (output.control, *output.extra.values()):
        for c in head.channels if head is not None else ():
            found += (c.value, c.std)
    return found


class ContentDigest:
    """A hash over the messages that a run read, taken while it reads them: no file is read twice.

    It does not depend on how the file is laid out: a copy with other chunks or compression has the same.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.messages = 0

    def add(self, message: Message) -> None:
        """Take in one message: topic, times and payload."""
        head = f"{message.topic}\0{message.log_time_ns}\0{message.publish_time_ns}\0{len(message.data)}\0"
        self._hash.update(head.encode())
        self._hash.update(message.data)
        self.messages += 1

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
