"""Samples and outputs as tuples of plain values and buffers.

Pickle writes and reads these in a third of the time that the classes take, above all where its code is not in
the processor's caches. Classes that are not known here stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from operator import attrgetter
from pickle import PickleBuffer
from typing import Any

import numpy as np

from perception.types import (
    Absent,
    CameraFrame,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Input,
    Output,
    Placing,
    RangeScan,
    Rig,
    RigIssue,
    Sample,
    StatusWindow,
    Tick,
)

LEAST_SHARED = 4096
"""Smaller buffers travel in the pickle."""
KEPT_RIGS = 16

Values = tuple[Any, ...]


class _PlainClass:
    """A class whose instances are written as the values of its fields, in order.

    `make` leaves out the checks of the constructor, which the values have passed in the other process.
    """

    def __init__(self, kind: type, *buffers: str) -> None:
        names = [field.name for field in fields(kind)]
        self.kind = kind
        self.buffers = tuple(names.index(name) for name in buffers)
        self.unsent = [names.index(name) for name in names if name == "source"]  # only the aligner needs it
        self.values: Callable[[Any], Values] = attrgetter(*names)
        self._setters = [kind.__dict__[name].__set__ for name in names]  # of its slots

    def make(self, values: Iterable[Any]) -> Any:
        """Return the instance with these values."""
        made: Any = object.__new__(self.kind)
        for set_value, value in zip(self._setters, values, strict=True):
            set_value(made, value)
        return made


_MESSAGES = (
    _PlainClass(CameraFrame, "data"),
    _PlainClass(RangeScan, "points_m", "intensity", "radial_speed_m_s"),
    _PlainClass(StatusWindow, "values"),
)
_CODES = {plain.kind: code for code, plain in enumerate(_MESSAGES)}
_SAMPLE, _TICK, _INPUT = _PlainClass(Sample), _PlainClass(Tick), _PlainClass(Input)
_DETECTION, _CHANNEL = _PlainClass(Detection), _PlainClass(ControlChannel)


# --- samples -------------------------------------------------------------------------------------


class SentRigs:
    """The rigs that the other process has: one holds for many samples, and is large. By identity."""

    def __init__(self) -> None:
        self._placings: list[Placing | None] = [None] * KEPT_RIGS
        self._next = 0

    def values(self, rig: Rig, issues: tuple[RigIssue, ...]) -> tuple[int, Placing | None]:
        """Return the place of a rig and its issues, and the two where they have not been sent."""
        for place, known in enumerate(self._placings):
            if known is not None and known.rig is rig and known.issues == issues:
                return place, None
        place = self._next
        self._next = (place + 1) % KEPT_RIGS
        placing = self._placings[place] = Placing(rig, issues)
        return place, placing

    def clear(self) -> None:
        """Note that the other process has none."""
        self._placings[:] = [None] * KEPT_RIGS


class KnownRigs:
    """The rigs that the sending process has sent, by the places that it gave them."""

    def __init__(self) -> None:
        self._placings: dict[int, Placing] = {}

    def placing(self, values: tuple[int, Placing | None]) -> Placing:
        """Return what `SentRigs.values` stands for."""
        place, placing = values
        if placing is not None:
            self._placings[place] = placing
        return self._placings[place]


def sample_values(sample: Sample, rigs: SentRigs) -> Values:
    """Return a sample as plain values, without what only the aligner needs."""
    return (
        _TICK.values(sample.tick),
        (sample.camera.name, sample.range.name),
        [_input_values(source) for source in sample.cameras.values()],
        [_input_values(source) for source in sample.ranges.values()],
        [_input_values(source) for source in sample.statuses.values()],
        _input_values(sample.status) if len(sample.statuses) > 1 else None,
        rigs.values(sample.rig, sample.issues),
        [(name, rigs.values(*placing)) for name, placing in sample.placings.items()],
        sample.reset,
    )


def sample_of(values: Values, rigs: KnownRigs) -> Sample:
    """Return the sample of `sample_values`."""
    tick, (camera, scan), *kinds, status, sent_rig, placings, reset = values
    rig, issues = rigs.placing(sent_rig)
    cameras, ranges, statuses = ({values[0]: _input_of(values) for values in kind} for kind in kinds)
    known: Sample = _SAMPLE.make(
        (
            _TICK.make(tick),
            cameras[camera],
            ranges[scan],
            next(iter(statuses.values())) if status is None else _input_of(status),
            rig,
            reset,
            issues,
            cameras,
            ranges,
            statuses,
            {name: rigs.placing(sent) for name, sent in placings},
        )
    )
    return known


def _input_values(source: Input[Any]) -> Values:
    absence, value = source.absence, source.value
    reason = None if absence is None else (absence.code, absence.text)
    code = _CODES.get(type(value), -1)
    if code >= 0:
        value = _message_values(value, _MESSAGES[code])
    return source.name, source.topic, code, value, source.stamp_ns, source.age_ms, reason, source.kind


def _input_of(values: Values) -> Input[Any]:
    name, topic, code, value, stamp_ns, age_ms, reason, kind = values
    if code >= 0:
        plain = _MESSAGES[code]
        for place in plain.buffers:
            value[place] = _buffer_of(value[place])
        value = plain.make(value)
    absence = None if reason is None else Absent(*reason)
    source: Input[Any] = _INPUT.make((name, topic, value, stamp_ns, age_ms, absence, (), kind))
    return source


def _message_values(message: Any, plain: _PlainClass) -> list[Any]:
    values = list(plain.values(message))
    for place in plain.buffers:
        values[place] = _buffer_values(values[place])
    for place in plain.unsent:
        values[place] = b""
    return values


def _buffer_values(value: Any) -> Any:
    """Return an array as a buffer, its type and its shape; the bytes of a picture as a buffer."""
    if isinstance(value, np.ndarray):
        if value.size and value.flags.c_contiguous and not value.dtype.hasobject:
            return PickleBuffer(value.data), value.dtype.str, value.shape
        return value
    if value is None or len(value) < LEAST_SHARED:
        return None if value is None else bytes(value)
    return PickleBuffer(value)


def _buffer_of(value: Any) -> Any:
    if isinstance(value, tuple):
        data, kind, shape = value
        return np.frombuffer(data, kind).reshape(shape)
    if value is None or isinstance(value, bytes | np.ndarray):
        return value
    return memoryview(value).toreadonly()


# --- outputs -------------------------------------------------------------------------------------


def output_values(output: Any) -> tuple[bool, Any]:
    """Return an output as plain values; another object as it is: the host says what is wrong with it."""
    if type(output) is not Output or type(output.tick) is not Tick:
        return False, output
    return True, (
        _TICK.values(output.tick),
        _head_values(output.detections),
        _head_values(output.control),
        output.warnings,
        {name: _head_values(head) for name, head in output.extra.items()},
        {name: _head_values(head) for name, head in output.cameras.items()},
    )


def output_of(plain: bool, values: Any) -> Any:
    """Return the output, or other object, of `output_values`."""
    if not plain:
        return values
    tick, detections, control, warnings, extra, cameras = values
    return Output(
        _TICK.make(tick),
        _head_of(*detections),
        _head_of(*control),
        warnings,
        {name: _head_of(*head) for name, head in extra.items()},
        {name: _head_of(*head) for name, head in cameras.items()},
    )


def _head_values(head: Any) -> tuple[type | None, Any]:
    if type(head) is Detections and _all_are(Detection, head.items):
        items = tuple(map(_DETECTION.values, head.items))
        return Detections, (head.valid, head.based_on, head.error, items, head.position_frame)
    if type(head) is Control and _all_are(ControlChannel, head.channels):
        return Control, (head.valid, head.based_on, head.error, tuple(map(_CHANNEL.values, head.channels)))
    return None, head


def _all_are(kind: type, items: Any) -> bool:
    return type(items) is tuple and all(type(item) is kind for item in items)


def _head_of(kind: type | None, values: Any) -> Any:
    if kind is None:
        return values
    valid, based_on, error, items, *frame = values
    if kind is Detections:
        return Detections(valid, based_on, error, tuple(map(_DETECTION.make, items)), *frame)
    return Control(valid, based_on, error, tuple(map(_CHANNEL.make, items)))
