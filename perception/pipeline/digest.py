"""One hash over all outputs of a run, and one over all messages that it read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from perception.messages import Message, Sample, TruthFrame
from perception.outputs import Output
from perception.sinks.base import RunInfo


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
        # repr of floats is exact; the index of a tick counts within a run and says nothing of the output.
        self._hash.update(repr(replace(output, tick=replace(output.tick, index=0))).encode())

    def close(self) -> None:
        """Nothing to close."""

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


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
