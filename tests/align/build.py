"""Small decoded messages for tests of the aligner. Times are milliseconds here, for legibility."""

from __future__ import annotations

from typing import Any

import numpy as np

from perception.align.ledger import Ledger
from perception.config import Config, parse_config
from perception.types import CameraFrame, Decoded, RangeScan, Sample, StatusReading

MS = 1_000_000


def config(reference: str = "camera", **changes: Any) -> Config:
    """Camera at 10 Hz as reference, nearest scan within 60 ms, a window of 4 steps at 20 Hz."""
    sensors: dict[str, Any] = {
        "camera": {"topic": "/camera", "calibration": "/calibration", "transforms": ["/tf"]},
        "range": {"topic": "/scan", "tolerance_ms": 60, "max_age_ms": 200},
        "status": {
            "topic": "/status",
            "fields": {"speed": "v"},
            "steps": 4,
            "rate_hz": 20,
            "max_age_ms": 100,
        },
    }
    for name in changes.pop("without", ()):
        del sensors[name]
    for name in ("camera", "range", "status"):
        if name in sensors:
            sensors[name] |= changes.pop(name, {})
    return parse_config({"reference": reference, "reference_rate_hz": 10, "sensors": sensors} | changes)


def camera(stamp: float, arrival: float | None = None, tag: int = 0) -> CameraFrame:
    source = f"frame {stamp} {tag}".encode()
    return CameraFrame(
        "/camera", _ns(stamp), _ns(arrival, stamp), "camera", source, "jpeg", 8, 8, source=source
    )


def scan(stamp: float, arrival: float | None = None, tag: int = 0) -> RangeScan:
    points = np.full((1, 3), stamp, np.float32)
    return RangeScan(
        "/scan", _ns(stamp), _ns(arrival, stamp), "laser", points, source=f"{stamp} {tag}".encode()
    )


def status(stamp: float, arrival: float | None = None, v: float | None = None, tag: int = 0) -> StatusReading:
    values = {"v": stamp if v is None else v}
    return StatusReading(
        "/status", _ns(stamp), _ns(arrival, stamp), values, source=f"{stamp} {v} {tag}".encode()
    )


def _ns(time_ms: float | None, default_ms: float = 0.0) -> int:
    return round((default_ms if time_ms is None else time_ms) * MS)


def run(messages: list[Decoded], setup: Config, ledger: Ledger | None = None) -> list[Sample]:
    """All samples of a list of messages."""
    from perception.align import Aligner

    aligner = Aligner(setup, ledger)
    samples = [sample for message in messages for sample in aligner.push(message)]
    return samples + aligner.flush()


def facts(sample: Sample) -> tuple[Any, ...]:
    """What a sample says, comparable: tick, and stamp, age, reason and content of each input."""
    inputs = []
    for given in sample.inputs:
        value = given.value
        if value is None:
            content: Any = None
        elif hasattr(value, "values"):
            content = tuple(np.nan_to_num(value.values, nan=-1.0).ravel())
        else:
            content = value.source
        inputs.append((given.name, given.stamp_ns, given.age_ms, given.reason, content))
    return (sample.tick, tuple(inputs), sample.reset)
