"""Time series in Rerun: control, latency, each input's presence and age, and values beside an output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import rerun as rr

from perception.sinks.palette import CYCLE, GREEN, SKY, VERMILION, WHITE
from perception.types import Control, Input, Output, Sample, TruthFrame
from perception.types.absence import AbsenceCode
from perception_plugins.viewers.rerun_camera import packed_colours
from perception_plugins.viewers.rerun_rows import RecordingRows, When, path_part

CONTROL, LATENCY, AGES, INPUTS = "control", "latency", "ages", "inputs"
"""Roots of the series: channels of control and further heads, milliseconds by stage and by input, states."""
_FAINT = (110, 130, 150)
_ABSENT = get_args(AbsenceCode)
_STATES = rr.StateConfiguration(
    values=["present", *_ABSENT], colors=packed_colours([GREEN, *[VERMILION] * len(_ABSENT)])
)


class SeriesRows:
    """Writes the series of a run."""

    def __init__(self, rows: RecordingRows) -> None:
        self._rows = rows
        self._named: set[str] = set()
        self._channels_of: dict[str, dict[str, str]] = {}
        self._states: dict[str, str] = {}

    def add(
        self,
        when: When,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None,
        timing_ms: Mapping[str, float] | None,
    ) -> None:
        """Add the values of one output."""
        if output.control is not None:
            self._channels(when, CONTROL, output.control, None if truth is None else truth.control)
        for name, head in output.extra.items():
            self._channels(when, path_part(name), head, None if truth is None else truth.extra.get(name))
        for stage, value in (timing_ms or {}).items():
            self._value(when, f"{LATENCY}/{path_part(stage)}", f"{stage} (ms)", value)
        for source in sample.sensors:
            self._input(when, source)

    @property
    def channels(self) -> tuple[tuple[str, str], ...]:
        """The paths and titles of the channels of control and further heads so far."""
        return tuple(channel for known in self._channels_of.values() for channel in known.items())

    def add_values(self, when: When, root: str, rows: Sequence[tuple[str, str, float]]) -> None:
        """Add named values (name, unit, value) below a root."""
        for name, unit, value in rows:
            self._value(when, f"{root}/{path_part(name)}", f"{name} ({unit})" if unit else name, value)

    def _channels(self, when: When, root: str, head: Control, truth: Mapping[str, float] | None) -> None:
        """Add the channels of a head with their standard deviations; an invalid head is a gap."""
        known = self._channels_of.setdefault(root, {})
        for channel in head.channels:
            entity = f"{root}/{path_part(channel.name)}"
            if entity not in known:
                name = f"{channel.name} ({channel.unit})" if channel.unit else channel.name
                known[entity] = name
                names = [name, "less one std", "plus one std"]
                colours = [SKY, _FAINT, _FAINT]
                self._rows.constant(entity, rr.SeriesLines(names=names, colors=colours, widths=[2, 1, 1]))
        values = {f"{root}/{path_part(c.name)}": (c.value, c.std) for c in head.channels if head.valid}
        for entity in known:
            value, std = values.get(entity, (np.nan, None))
            reach = np.nan if std is None else std
            scalars = np.array([value, value - reach, value + reach])
            self._rows.add(entity, rr.Scalars, when, 3, scalars=scalars)
        for name, value in (truth or {}).items():
            self._value(when, f"{root}/{path_part(name)}/truth", f"truth of {name}", value, WHITE)

    def _input(self, when: When, source: Input[object]) -> None:
        age_ms = np.nan if source.age_ms is None or not source.present else source.age_ms
        name = path_part(source.name)
        colour = CYCLE[len(self._states) % len(CYCLE)]
        self._value(when, f"{AGES}/{name}", f"age of {source.name} (ms)", age_ms, colour)
        if source.name not in self._states:
            self._rows.constant(f"{INPUTS}/{name}", _STATES)
        state = "present" if source.present else source.absence.code if source.absence else "absent"
        if self._states.get(source.name) != state:
            self._states[source.name] = state
            self._rows.add(f"{INPUTS}/{name}", rr.StateChange, when, 1, state=[state])

    def _value(
        self, when: When, entity: str, name: str, value: float, colour: tuple[int, int, int] | None = None
    ) -> None:
        if entity not in self._named:
            self._named.add(entity)
            self._rows.constant(entity, rr.SeriesLines(names=name, colors=colour))
        self._rows.add(entity, rr.Scalars, when, 1, scalars=np.array([value], np.float64))
