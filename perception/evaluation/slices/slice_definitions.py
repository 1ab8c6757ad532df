"""The slices of the data: of objects, and of frames. A new kind of slice goes into `slices_of`.

Slices of objects are by distance, size, visibility and class; slices of frames by light, speed, time and
status fields.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.evaluation.log_record import LogRecord
from perception.evaluation.slices.frame_conditions import FrameConditions
from perception.text import did_you_mean
from perception.types import Float64

KINDS = ("distance", "size", "visibility", "class", "light", "speed", "time", "status")
ALL = KINDS[:-1]
"""The kinds of `all`; with every status field, the correction would leave no significant slice."""

STATUS = "status:"
_SIZES = (
    ("small, < 32 px", 0.0, 32.0**2),
    ("medium", 32.0**2, 96.0**2),
    ("large, > 96 px", 96.0**2, np.inf),
)
_DISTANCES_M = (0.0, 10.0, 20.0, 40.0, np.inf)
_SPEEDS_M_S = (0.0, 0.5, 3.0, 8.0, 15.0, np.inf)
_VISIBLE = (0.0, 0.5, 0.8, np.inf)
_BRIGHTNESS = (("dark", 0.0, 50.0), ("dim", 50.0, 100.0), ("bright", 100.0, np.inf))

Mask = NDArray[np.bool_]


def parse_slices(text: str) -> tuple[str, ...]:
    """Return the slice kinds of a comma-separated list; `all`: all but status; `status:FIELD`: one field.

    Raises:
        ConfigError: A kind is unknown.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if word != "all" and not is_kind(word)]
    if wrong or not words:
        expected = f"all, {', '.join(KINDS)} or status:FIELD"
        raise ConfigError([f"--slices: expected {expected}, with commas, found '{', '.join(wrong) or text}'"])
    return tuple(dict.fromkeys(kind for word in words for kind in (ALL if word == "all" else (word,))))


def is_kind(name: str) -> bool:
    """Return whether a name is one of those that `parse_slices` returns."""
    return name in KINDS or (name.startswith(STATUS) and name != STATUS)


def check_status_fields(kinds: Sequence[str], fields: Collection[str]) -> None:
    """Raise if a slice is by a status field that no log has.

    Args:
        kinds: The result of `parse_slices`.
        fields: The status fields of all logs.

    Raises:
        ConfigError: Names the fields, and the nearest ones.
    """
    errors = []
    for name in (kind[len(STATUS) :] for kind in kinds if kind.startswith(STATUS)):
        if name not in fields:
            meant = did_you_mean(name, fields, "; ", most=3, cutoff=0.5) or "."
            known = ", ".join(fields) or "none"
            errors.append(f"--slices: no status field is called '{name}'{meant} The logs have {known}")
    if errors:
        raise ConfigError(errors)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A slice: the frames of each log, or the objects and false alarms, that are in it."""

    by: str
    name: str
    frames: Sequence[Mask] | None = None
    objects: Sequence[Mask] | None = None
    alarms: Sequence[Mask] | None = None


def slices_of(
    records: Sequence[LogRecord], around: Sequence[FrameConditions], kinds: Sequence[str]
) -> Iterator[Slice]:
    """Yield the slices of some logs.

    Args:
        records: The record of each log.
        around: The conditions of each log, for light, speed and status.
        kinds: The result of `parse_slices`.

    Raises:
        ConfigError: No log has a requested status field.
    """
    for kind in kinds:
        if kind == "distance":
            yield from _of_objects(kind, "distance", _between(_DISTANCES_M, "m"), records)
        elif kind == "size":
            yield from _of_objects(kind, "area", _SIZES, records)
        elif kind == "visibility":
            yield from _of_objects(kind, "visible", _between(_VISIBLE, ""), records)
        elif kind == "class":
            yield from _of_classes(records)
        elif kind == "light":
            yield from _of_light(around)
        elif kind == "time":
            yield from _of_time(records)
        elif kind == "speed":
            values = [
                _field(conditions, conditions.speed, record)
                for conditions, record in zip(around, records, strict=True)
            ]
            if any(np.isfinite(v).any() for v in values):
                yield from _of_values(kind, [np.abs(v) for v in values], _between(_SPEEDS_M_S, "m/s"))
        else:
            yield from _of_status(kind, records, around)


def _between(edges: Sequence[float], unit: str) -> list[tuple[str, float, float]]:
    return [
        ((f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"from {low:g} {unit}").strip(), low, high)
        for low, high in pairwise(edges)
    ]


def _of_objects(
    by: str, column: str, bins: Sequence[tuple[str, float, float]], records: Sequence[LogRecord]
) -> Iterator[Slice]:
    for name, low, high in bins:
        masks = [(r.objects[column] >= low) & (r.objects[column] < high) for r in records]
        yield Slice(by, name, objects=masks)


def _of_classes(records: Sequence[LogRecord]) -> Iterator[Slice]:
    for name in dict.fromkeys(name for record in records for name in record.labels):
        numbers = [record.labels.get(name, -1) for record in records]
        yield Slice(
            "class",
            name,
            objects=[r.objects["label"] == n for r, n in zip(records, numbers, strict=True)],
            alarms=[r.alarms["label"] == n for r, n in zip(records, numbers, strict=True)],
        )


def _of_values(
    by: str, values: Sequence[Float64], bins: Sequence[tuple[str, float, float]]
) -> Iterator[Slice]:
    for name, low, high in bins:
        yield Slice(by, name, frames=[(v >= low) & (v < high) for v in values])


def _of_light(around: Sequence[FrameConditions]) -> Iterator[Slice]:
    """Yield slices by the light condition in the log's metadata, and by the brightness of each image."""
    for word in sorted({conditions.light for conditions in around if conditions.light}):
        yield Slice(
            "light",
            word,
            frames=[np.full(len(conditions.brightness), conditions.light == word) for conditions in around],
        )
    if any(np.isfinite(conditions.brightness).any() for conditions in around):
        for name, low, high in _BRIGHTNESS:
            masks = [(conditions.brightness >= low) & (conditions.brightness < high) for conditions in around]
            yield Slice("light", f"{name} images", frames=masks)


def _of_time(records: Sequence[LogRecord]) -> Iterator[Slice]:
    """Yield thirds of each log, which show drift and settling time."""
    for third, name in enumerate(("first third", "second third", "last third")):
        masks = []
        for record in records:
            stamps = record.stamps_ns
            share = (stamps - stamps.min()) / max(int(np.ptp(stamps)), 1) if len(stamps) else stamps * 0.0
            masks.append(np.minimum((share * 3).astype(np.intp), 2) == third)
        yield Slice("time", name, frames=masks)


def _of_status(kind: str, records: Sequence[LogRecord], around: Sequence[FrameConditions]) -> Iterator[Slice]:
    """Yield thirds of the values of one field, or of every field.

    Raises:
        ConfigError: No log has that field.
    """
    fields = list(dict.fromkeys(name for conditions in around for name in conditions.status))
    wanted = fields if kind == "status" else [kind[len(STATUS) :]]
    for name in wanted:
        check_status_fields([kind], fields)
        if kind == "status" and name in {conditions.speed for conditions in around}:
            continue
        values = [
            _field(conditions, name, record) for conditions, record in zip(around, records, strict=True)
        ]
        every = np.concatenate(values)
        every = every[np.isfinite(every)]
        if not len(every) or every.min() == every.max():
            continue
        low, high = (float(edge) for edge in np.quantile(every, [1 / 3, 2 / 3]))
        bins = [
            (f"below {low:.3g}", -np.inf, low),
            (f"{low:.3g} to {high:.3g}", low, high),
            (f"from {high:.3g}", high, np.inf),
        ]
        yield from _of_values(f"{STATUS}{name}", values, [b for b in bins if b[1] < b[2]])


def _field(conditions: FrameConditions, name: str, record: LogRecord) -> Float64:
    return conditions.status.get(name, np.full(len(record.frames), np.nan))
