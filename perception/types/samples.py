"""Samples: everything known at one tick, input by input, with the reason why an input is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from perception.types.absence import Absent
from perception.types.inputs import Input, StatusWindow, as_absent, first_present, one_window
from perception.types.messages import CameraFrame, RangeScan
from perception.types.placement import RigIssue
from perception.types.rig import Placing, Rig
from perception.types.sensors import SENSORS


@dataclass(frozen=True, slots=True)
class Tick:
    """The moment of a sample. `kind` is `substitute` when the reference sensor was silent.

    `index` counts the samples of one run; it is no part of what a tick is, since a run may start anywhere.
    """

    index: int = field(compare=False)
    kind: Literal["reference", "substitute"]
    stamp_ns: int
    log_time_ns: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Time is broken here: what was remembered before must not be used."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Everything known at one tick. `reset` is set on the first sample after a break in time.

    Sensors have names. `camera`, `range` and `status` are what a plugin for one sensor of each kind reads;
    with several of a kind the mappings hold each of them, in the order of the configuration.

    Attributes:
        camera: The input of the reference camera.
        range: The first of `ranges` that is present, else the first.
        status: The channels of all `statuses` in one window.
        rig: As `camera` sees it.
        issues: Why returns cannot be placed in the image, or are placed with reserve.
        cameras, ranges, statuses: The inputs by the names of the sensors.
        placings: Camera -> the rig as that camera sees it, and its issues.
    """

    tick: Tick
    camera: Input[CameraFrame]
    range: Input[RangeScan]
    status: Input[StatusWindow]
    rig: Rig
    reset: Reset | None = None
    issues: tuple[RigIssue, ...] = ()
    cameras: Mapping[str, Input[CameraFrame]] = field(default_factory=dict)
    ranges: Mapping[str, Input[RangeScan]] = field(default_factory=dict)
    statuses: Mapping[str, Input[StatusWindow]] = field(default_factory=dict)
    placings: Mapping[str, Placing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        several = len(self.cameras) > 1, len(self.ranges) > 1, len(self.statuses) > 1
        set_field = object.__setattr__
        for name, more in zip(("camera", "range"), several, strict=False):
            source: Input[Any] = getattr(self, name)
            known = getattr(self, f"{name}s") if more else {}
            set_field(self, f"{name}s", {**known, source.name: source})
        if not several[2]:
            set_field(self, "statuses", {self.status.name: self.status})
        if not several[0]:
            set_field(self, "placings", {self.camera.name: Placing(self.rig, self.issues)})

    @property
    def inputs(self) -> tuple[Input[Any], ...]:
        """The inputs by kind, in the order of `SENSORS`: `camera`, `range`, `status`."""
        return (self.camera, self.range, self.status)

    @property
    def sensors(self) -> tuple[Input[Any], ...]:
        """The inputs of all sensors: cameras, ranges, statuses; with one of each, `inputs`."""
        return (*self.cameras.values(), *self.ranges.values(), *self.statuses.values())

    def with_absent(self, absences: Mapping[str, Absent | str]) -> Sample:
        """Return the same sample without the values of the named inputs.

        Args:
            absences: Sensor -> why its input cannot be used; the name of a kind stands for all its sensors
                that are present. `Absent("undecodable", ...)` makes the ledger count its messages as
                undecodable; a text alone stands for `Absent("unusable", text)`.
        """
        if not absences:
            return self
        cameras, ranges, statuses = (
            {source.name: _without(source, absences, len(sources) > 1) for source in sources.values()}
            for sources in (self.cameras, self.ranges, self.statuses)
        )
        return replace(
            self,
            camera=cameras[self.camera.name],
            range=first_present(ranges),
            status=one_window(statuses, self.tick.stamp_ns),
            cameras=cameras,
            ranges=ranges,
            statuses=statuses,
        )


def _without(source: Input[Any], absences: Mapping[str, Absent | str], several: bool) -> Input[Any]:
    absence = absences.get(source.name)
    if absence is None and (source.present or not several):
        absence = absences.get(source.kind)
    return source if absence is None else source.absent(absence)


def absent_sample(tick: Tick, absence: Absent | str, cameras: Sequence[str] = ()) -> Sample:
    """Return a sample without any input, as short batches are padded with.

    Args:
        tick: Its tick.
        absence: The reason of all of them.
        cameras: The names of several cameras, that of the reference camera first.
    """
    inputs: list[Input[Any]] = [Input(name, "", None, absence=as_absent(absence)) for name in SENSORS]
    camera, scan, status = inputs
    if not cameras:
        return Sample(tick, camera, scan, status, Rig())
    named = {name: replace(camera, name=name) for name in cameras}
    placings = {name: Placing(Rig()) for name in cameras}
    return Sample(tick, named[cameras[0]], scan, status, Rig(), cameras=named, placings=placings)
