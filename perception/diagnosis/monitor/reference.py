"""What the outputs of a plugin usually look like: the statistics that a monitor compares with.

A checkpoint carries them in its metadata, under `calibration.output_stats`, for each subset of the sensors:
the share of valid outputs of each head, quantiles of its figures, and of those of the inputs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from perception.diagnosis.monitor.figures import FigureReader, Figures
from perception.types import HEADS, SENSORS, Output

LEVELS = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
"""The quantiles that are kept, in this order."""

KEY = "output_stats"
LEAST = 30
"""Frames from which quantiles are worth comparing with."""


Quantiles = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, slots=True)
class SubsetStats:
    """The usual outputs with one subset of the sensors.

    Attributes:
        frames: How many outputs the statistics rest on.
        valid: Head -> share of them that were valid.
        quantiles: Head -> figure -> its quantiles at `LEVELS`.
        inputs: Input -> figure -> likewise. Checkpoints of before have none.
    """

    frames: int
    valid: Mapping[str, float] = field(default_factory=dict)
    quantiles: Quantiles = field(default_factory=dict)
    inputs: Quantiles = field(default_factory=dict)


class StatsCollector:
    """Collects the outputs of one subset. Memory grows with the frames: for calibration sets."""

    def __init__(self) -> None:
        self.frames = 0
        self._reader = FigureReader()
        self._valid: dict[str, int] = {}
        self._values = _Values()
        self._inputs = _Values()

    def add(self, output: Output, inputs: Figures | None = None) -> None:
        """Take in the next output, and the figures of its inputs where they are known."""
        self.frames += 1
        for head, valid in output.validity().items():
            self._valid[head] = self._valid.get(head, 0) + valid
        self._values.add(self._reader.read(output))
        self._inputs.add(inputs or {})

    def stats(self) -> SubsetStats:
        """The statistics so far. Figures seen in too few frames are left out."""
        valid = {head: count / self.frames for head, count in self._valid.items()}
        return SubsetStats(self.frames, valid, self._values.quantiles(), self._inputs.quantiles())


class _Values:
    """All values of some figures."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, figures: Figures) -> None:
        for subject, values in figures.items():
            for name, value in values.items():
                if isfinite(value):
                    self._found[subject][name].append(value)

    def quantiles(self) -> dict[str, dict[str, tuple[float, ...]]]:
        return {
            subject: {
                name: tuple(float(q) for q in np.quantile(values, LEVELS))
                for name, values in figures.items()
                if len(values) >= LEAST
            }
            for subject, figures in self._found.items()
        }


def to_plain(stats: Mapping[str, SubsetStats]) -> dict[str, Any]:
    """Statistics by subset name (`camera+range`) as plain JSON, five digits each."""
    return {
        "levels": list(LEVELS),
        "subsets": {
            subset: {
                "frames": found.frames,
                "valid": {head: _short(share) for head, share in found.valid.items()},
                "quantiles": _plain(found.quantiles),
                "inputs": _plain(found.inputs),
            }
            for subset, found in stats.items()
        },
    }


def from_plain(plain: object) -> dict[str, SubsetStats]:
    """Statistics by subset name, as `to_plain` wrote them.

    Raises:
        ValueError: They are not that; it says where.
    """
    whole = _mapping(plain, "output_stats")
    if whole.get("levels") != list(LEVELS):
        raise ValueError(f"output_stats.levels: expected {list(LEVELS)}, found {whole.get('levels')!r:.80}")
    found = {}
    for subset, given in _mapping(whole.get("subsets"), "output_stats.subsets").items():
        path = f"output_stats.subsets.{subset:.40}"
        entry = _mapping(given, path)
        frames = entry.get("frames")
        if isinstance(frames, bool) or not isinstance(frames, int) or frames < 0:
            raise ValueError(f"{path}.frames: expected a whole number, found {frames!r:.40}")
        valid = {
            head: _number(share, f"{path}.valid.{head:.40}")
            for head, share in _mapping(entry.get("valid"), f"{path}.valid").items()
        }
        quantiles = _tables(entry.get("quantiles"), f"{path}.quantiles", HEADS)
        inputs = _tables(entry.get("inputs", {}), f"{path}.inputs", SENSORS)
        found[subset] = SubsetStats(frames, valid, quantiles, inputs)
    return found


def _tables(value: object, path: str, subjects: Sequence[str]) -> Quantiles:
    return {
        subject: {
            name: _quantiles(values, f"{path}.{subject}.{name:.40}")
            for name, values in _mapping(figures, f"{path}.{subject}").items()
        }
        for subject, figures in _mapping(value, path).items()
        if subject in subjects
    }


def _plain(tables: Quantiles) -> dict[str, dict[str, list[float]]]:
    return {
        subject: {name: [_short(v) for v in values] for name, values in figures.items()}
        for subject, figures in tables.items()
    }


def _mapping(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or any(not isinstance(key, str) for key in value):
        raise ValueError(f"{path}: expected an object, found {value!r:.60}")
    return value


def _number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{path}: expected a number, found {value!r:.60}")
    return float(value)


def _quantiles(value: object, path: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != len(LEVELS):
        raise ValueError(f"{path}: expected {len(LEVELS)} numbers, found {value!r:.60}")
    numbers = tuple(_number(v, path) for v in value)
    if list(numbers) != sorted(numbers):
        raise ValueError(f"{path}: expected rising numbers, found {value!r:.60}")
    return numbers


def _short(value: float) -> float:
    return float(f"{value:.5g}")
