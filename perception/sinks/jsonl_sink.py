"""Outputs as JSON lines: one object for each tick, for scripts and `jq`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from perception.errors import OutputError
from perception.files import make_file
from perception.sinks.protocol import refuse_input
from perception.sinks.run_info import RunInfo
from perception.types import Control, Detections, Input, Output, Sample, TruthFrame


class JsonlSink:
    """Writes one JSON object a line. Keys keep their order; a number that is not finite is `null`.

    A line is handed to the operating system whole, as soon as it is made. Units are those of
    `perception.types`, written in the keys where the name does not say them.

    Args:
        path: The file to make; one that exists is replaced. A pipe or `/dev/stdout` will do.
        timing: Keep the wall-clock times that come with the outputs, under `timing_ms`.

    Raises:
        OutputError: From every method, where the file cannot be written; names the path.
    """

    def __init__(self, path: str | Path, *, timing: bool = False) -> None:
        self.path = Path(path)
        self._timing = timing
        self._file: FileIO | None = None

    def open(self, run: RunInfo) -> None:
        refuse_input(self.path, run)
        try:
            self._file = make_file(self.path)
        except OSError as error:
            raise OutputError(f"cannot make a file here: {_reason(error)}: {self.path}") from error

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        if self._file is None:
            raise OutputError(f"this sink is not open: {self.path}")
        row = as_row(sample, output)
        if self._timing and timing_ms is not None:
            row["timing_ms"] = {stage: _number(value) for stage, value in timing_ms.items()}
        left = memoryview((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode())
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            raise OutputError(f"writing stopped: {_reason(error)}: {self.path}") from error

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
        except OSError as error:
            raise OutputError(f"closing failed: {_reason(error)}: {self.path}") from error


def as_row(sample: Sample, output: Output) -> dict[str, Any]:
    """An output as plain values that JSON takes: no NaN, no tuples of our own."""
    tick = output.tick
    return {
        "tick": {
            "index": tick.index,
            "kind": tick.kind,
            "stamp_ns": tick.stamp_ns,
            "log_time_ns": tick.log_time_ns,
        },
        "detections": None if output.detections is None else _detections(output.detections),
        "control": None if output.control is None else _control(output.control),
        "inputs": {source.name: _input(source) for source in sample.inputs},
        "warnings": dict(sorted(output.warnings.items())),
    }


def _detections(head: Detections) -> dict[str, Any]:
    items = [
        {
            "label": item.label,
            "score": _number(item.score),
            "xyxy": [_number(value) for value in item.xyxy],
            "box_std": [_number(value) for value in item.box_std],
            "distance_m": _number(item.distance_m),
            "distance_std_m": _number(item.distance_std_m),
            "visible": _number(item.visible),
            "track_id": item.track_id,
        }
        for item in head.items
    ]
    return {"valid": head.valid, "based_on": list(head.based_on), "error": head.error, "items": items}


def _control(head: Control) -> dict[str, Any]:
    channels = {
        channel.name: {"value": _number(channel.value), "std": _number(channel.std), "unit": channel.unit}
        for channel in head.channels
    }
    return {"valid": head.valid, "based_on": list(head.based_on), "error": head.error, "channels": channels}


def _input(source: Input[Any]) -> dict[str, Any]:
    return {
        "topic": source.topic,
        "present": source.present,
        "stamp_ns": source.stamp_ns,
        "age_ms": None if source.age_ms is None else _number(source.age_ms),
        "absence": source.absence.code if source.absence else None,
        "reason": source.reason,
    }


def _number(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
