"""Samples: everything known at one tick, input by input, with the reason why an input is absent.

Dimension letters: T status steps, S status channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar

from perception.geometry import Matrix, TransformTree
from perception.types.messages import CameraFrame, CameraInfo, Float64, RangeScan
from perception.types.sensors import SENSORS

T = TypeVar("T")


class Entry:
    """The account of one message: `row` says what became of it. Only `perception.align.ledger` writes it."""

    __slots__ = ("considered", "held", "log_time_ns", "missed", "row", "sampled", "stamp_ns", "topic")

    def __init__(self, topic: str, log_time_ns: int, stamp_ns: int, row: str) -> None:
        self.topic = topic
        self.log_time_ns = log_time_ns
        self.stamp_ns = stamp_ns
        self.row = row
        self.sampled = False  # part of at least one sample
        self.considered = False  # within reach of a tick that preferred another message
        self.missed = False  # within reach of a tick that had closed when it came
        self.held = 1  # the buffer it waits in, and each sample that is not done yet


@dataclass(frozen=True, slots=True)
class Tick:
    """The moment of a sample. `kind` is `substitute` when the reference sensor was silent.

    `index` counts the samples of one run; it is no part of what a tick is, since a run may start anywhere.
    """

    index: int = field(compare=False)
    kind: Literal["reference", "substitute"]
    stamp_ns: int
    log_time_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class StatusWindow:
    """The status over the last T steps, oldest first.

    `values` is [T, S] float64; NaN where nothing recent enough was known. `names` gives the S channels.
    """

    stamp_ns: int
    names: tuple[str, ...]
    values: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Input(Generic[T]):
    """One input of a sample: its value, or the reason why it is absent (then `value` is None)."""

    name: str
    topic: str
    value: T | None
    stamp_ns: int | None = None
    age_ms: float | None = None  # tick stamp less input stamp; negative for one measured after the tick
    reason: str = ""
    entries: tuple[Entry, ...] = ()

    @property
    def present(self) -> bool:
        return self.value is not None

    def absent(self, reason: str) -> Input[T]:
        """The same input, found unusable."""
        return replace(self, value=None, reason=reason)


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """Where the sensors sit, as far as it was known at the tick."""

    calibration: CameraInfo | None = None
    transforms: TransformTree = field(default_factory=TransformTree)

    def camera_from(self, frame_id: str) -> Matrix | None:
        """4x4 `camera_from_frame`, read-only, or None where calibration or transforms do not say."""
        return _camera_from(self, frame_id)


@lru_cache(maxsize=64)  # by identity: a rig holds for many frames
def _camera_from(rig: Rig, frame_id: str) -> Matrix | None:
    if rig.calibration is None:
        return None
    found = rig.transforms.target_from_source(rig.calibration.frame_id, frame_id)
    if found is not None:
        found.flags.writeable = False
    return found


@dataclass(frozen=True, slots=True)
class Reset:
    """Time is broken here: what was remembered before must not be used."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Everything known at one tick. `reset` is set on the first sample after a break in time."""

    tick: Tick
    camera: Input[CameraFrame]
    range: Input[RangeScan]
    status: Input[StatusWindow]
    rig: Rig
    reset: Reset | None = None

    @property
    def inputs(self) -> tuple[Input[Any], ...]:
        """The inputs in the order of `SENSORS`."""
        return (self.camera, self.range, self.status)

    def with_absent(self, reasons: Mapping[str, str]) -> Sample:
        """The same sample with the named inputs found unusable."""
        changed = {name: getattr(self, name).absent(reason) for name, reason in reasons.items()}
        return replace(self, **changed) if changed else self


def absent_sample(tick: Tick, reason: str, names: Sequence[str] = ("", "", "")) -> Sample:
    """A sample without any input: what short batches are padded with."""
    inputs: list[Input[Any]] = [
        Input(name, topic, None, reason=reason) for name, topic in zip(SENSORS, names, strict=True)
    ]
    camera, scan, status = inputs
    return Sample(tick, camera, scan, status, Rig())
