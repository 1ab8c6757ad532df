"""The inputs of a sample: the value of one sensor, or why it is absent, and how several of a kind are one.

Dimension letters: T status steps, S status channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from perception.types.absence import Absent
from perception.types.messages import Float64

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
    """One input of a sample: its value, or why it is absent (then `value` is None).

    `name` is that of the sensor, `kind` is camera, range or status; left out, it is the name.
    """

    name: str
    topic: str
    value: T | None
    stamp_ns: int | None = None
    age_ms: float | None = None  # tick stamp less input stamp; negative for one measured after the tick
    absence: Absent | None = None
    entries: tuple[Entry, ...] = field(default=(), repr=False)
    kind: str = ""

    def __post_init__(self) -> None:
        if not self.kind:
            object.__setattr__(self, "kind", self.name)

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
        return replace(self, value=None, absence=as_absent(absence))


def first_present(inputs: Mapping[str, Input[T]]) -> Input[T]:
    """Return the first input that is present, else the first."""
    return next((source for source in inputs.values() if source.present), next(iter(inputs.values())))


def one_window(statuses: Mapping[str, Input[StatusWindow]], stamp_ns: int) -> Input[StatusWindow]:
    """Return one input with the channels of all statuses that are present; their windows have the same steps.

    It is present where one of them is, and as old as the newest.

    Args:
        stamp_ns: Of the tick.
    """
    sources = list(statuses.values())
    if len(sources) == 1:
        return sources[0]
    present = [source for source in sources if source.value is not None]
    topic = ", ".join(source.topic for source in present or sources)
    if not present:
        code = sources[0].absence.code if sources[0].absence is not None else "silent"
        text = "; ".join(f"{source.name}: {source.reason}" for source in sources)
        return Input("status", topic, None, absence=Absent(code, text), kind="status")
    windows = [source.value for source in present if source.value is not None]
    newest = max(window.stamp_ns for window in windows)
    window = StatusWindow(
        newest,
        tuple(name for window in windows for name in window.names),
        np.concatenate([window.values for window in windows], axis=1),
    )
    return Input("status", topic, window, newest, (stamp_ns - newest) / 1e6, kind="status")


def as_absent(absence: Absent | str) -> Absent:
    """Return an absence; a text alone is that of an unusable input."""
    return Absent("unusable", absence) if isinstance(absence, str) else absence
