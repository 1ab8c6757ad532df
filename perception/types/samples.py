"""Samples: everything known at one tick, input by input, with the reason why an input is absent.

Dimension letters: T status steps, S status channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

from perception.types.absence import Absent
from perception.types.messages import CameraFrame, Float64, RangeScan
from perception.types.placement import RigIssue
from perception.types.rig import Rig
from perception.types.sensors import SENSORS

T = TypeVar("T")


class Entry:
    """The account of one message: `row` is its outcome. Only `perception.align.ledger` writes it."""

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
    """One input of a sample: its value, or why it is absent (then `value` is None)."""

    name: str
    topic: str
    value: T | None
    stamp_ns: int | None = None
    age_ms: float | None = None  # tick stamp less input stamp; negative for one measured after the tick
    absence: Absent | None = None
    entries: tuple[Entry, ...] = ()

    @property
    def present(self) -> bool:
        return self.value is not None

    @property
    def reason(self) -> str:
        """The text of the absence; empty for an input that is present."""
        return self.absence.text if self.absence else ""

    @property
    def configured(self) -> bool:
        """Whether the configuration has this sensor."""
        return self.absence is None or self.absence.code != "not_configured"

    def absent(self, absence: Absent | str) -> Input[T]:
        """Return the same input without its value. A text alone stands for `Absent("unusable", text)`."""
        return replace(self, value=None, absence=_as_absent(absence))


@dataclass(frozen=True, slots=True)
class Reset:
    """Time is broken here: what was remembered before must not be used."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Everything known at one tick. `reset` is set on the first sample after a break in time.

    `issues`: why the returns of its scan cannot be placed in the image, or are placed with reserve.
    """

    tick: Tick
    camera: Input[CameraFrame]
    range: Input[RangeScan]
    status: Input[StatusWindow]
    rig: Rig
    reset: Reset | None = None
    issues: tuple[RigIssue, ...] = ()

    @property
    def inputs(self) -> tuple[Input[Any], ...]:
        """The inputs in the order of `SENSORS`."""
        return (self.camera, self.range, self.status)

    def with_absent(self, absences: Mapping[str, Absent | str]) -> Sample:
        """Return the same sample without the values of the named inputs.

        Args:
            absences: Sensor -> why its input cannot be used. `Absent("undecodable", ...)` makes the ledger
                count its messages as undecodable; a text alone stands for `Absent("unusable", text)`.
        """
        changed = {name: getattr(self, name).absent(absence) for name, absence in absences.items()}
        return replace(self, **changed) if changed else self


def absent_sample(tick: Tick, absence: Absent | str, topics: Sequence[str] = ("", "", "")) -> Sample:
    """Return a sample without any input, as short batches are padded with."""
    inputs: list[Input[Any]] = [
        Input(name, topic, None, absence=_as_absent(absence))
        for name, topic in zip(SENSORS, topics, strict=True)
    ]
    camera, scan, status = inputs
    return Sample(tick, camera, scan, status, Rig())


def _as_absent(absence: Absent | str) -> Absent:
    return Absent("unusable", absence) if isinstance(absence, str) else absence
