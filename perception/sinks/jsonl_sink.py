"""Outputs as JSON lines: one object per tick, for scripts and `jq`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from perception.errors import OutputError
from perception.output_file import OutputFile
from perception.path_guard import marked
from perception.sinks.protocol import refuse_input
from perception.sinks.run_info import RunInfo
from perception.types import Control, Detection, Detections, Input, Output, Sample, TruthFrame

_DETECTION = tuple(field.name for field in fields(Detection))


class JsonlSink:
    """Writes one JSON object a line. Keys keep their order; a number that is unknown or not finite is `null`.

    Each line reaches the operating system whole and at once. Units are those of
    `perception.types`, written in the keys where the name does not say them.

    Args:
        path: The file; an existing one is replaced. A pipe or `/dev/stdout` will do.
        timing: Write the wall-clock times that come with the outputs, under `timing_ms`.
        drop_unread: As for `OutputFile`.

    Raises:
        OutputError: From every method, where the file cannot be written; names the path.
    """

    is_ours = staticmethod(marked(b'{"tick": {"index": '))
    ignores_truth = True

    def __init__(self, path: str | Path, *, timing: bool = False, drop_unread: bool = False) -> None:
        self.path, self.drop_unread = Path(path), drop_unread
        self._timing = timing
        self._file: OutputFile | None = None

    def open(self, run: RunInfo) -> None:
        refuse_input(self.path, run)
        self._file = OutputFile(self.path, drop_unread=self.drop_unread)

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
        self._file.write((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def as_row(sample: Sample, output: Output) -> dict[str, Any]:
    """Return an output as plain values for JSON, without NaN."""
    tick = output.tick
    return {
        "tick": {
            "index": tick.index,
            "kind": tick.kind,
            "stamp_ns": tick.stamp_ns,
            "log_time_ns": tick.log_time_ns,
        },
        "detections": None if output.detections is None else _detections(output.detections),
        **_of_cameras(sample, output),
        "control": None if output.control is None else _control(output.control),
        **{name: _control(head) for name, head in output.extra.items()},
        "inputs": {source.name: _input(source) for source in sample.sensors},
        "warnings": dict(sorted(output.warnings.items())),
    }


def _of_cameras(sample: Sample, output: Output) -> dict[str, Any]:
    """Return the detections of several cameras by name, and which of them `detections` is of."""
    if not output.cameras:
        return {}
    cameras = {name: _detections(head) for name, head in output.cameras.items()}
    return {"camera": sample.camera.name, "cameras": cameras}


def _detections(head: Detections) -> dict[str, Any]:
    items = [{name: _plain(getattr(item, name)) for name in _DETECTION} for item in head.items]
    about = {"valid": head.valid, "based_on": list(head.based_on), "error": head.error}
    return {**about, "position_frame": head.position_frame, "items": items}


def _control(head: Control) -> dict[str, Any]:
    channels = {
        channel.name: {name: _plain(getattr(channel, name)) for name in ("value", "std", "unit")}
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


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return [_plain(item) for item in value] if isinstance(value, tuple) else _number(value)


def _number(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
