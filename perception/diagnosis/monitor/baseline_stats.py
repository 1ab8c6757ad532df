"""Statistics of a plugin's usual outputs: what a monitor compares with.

A checkpoint carries them in its metadata, under `calibration.output_stats`, for each subset of the sensors:
the share of valid outputs of each head, quantiles of its statistics, and of those of the inputs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from perception.diagnosis.monitor.output_statistics import Statistics, StatisticsReader
from perception.types import SENSORS, Output, head_specs

LEVELS = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
"""The quantiles that are kept, in this order."""

KEY = "output_stats"
LEAST = 30
"""Frames that quantiles must rest on to be compared with."""

Quantiles = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, slots=True)
class SubsetStats:
    """The usual outputs with one subset of the sensors.

    Attributes:
        frames: How many outputs the statistics rest on.
        valid: Head -> share of them that were valid.
        quantiles: Head -> statistic -> its quantiles at `LEVELS`.
        inputs: Input -> statistic -> likewise. Checkpoints of before have none.
    """

    frames: int
    valid: Mapping[str, float] = field(default_factory=dict)
    quantiles: Quantiles = field(default_factory=dict)
    inputs: Quantiles = field(default_factory=dict)


class StatsCollector:
    """Collects the outputs of one subset. Memory grows with the frames: for calibration sets."""

    def __init__(self) -> None:
        self.frames = 0
        self._reader = StatisticsReader()
        self._valid: Counter[str] = Counter()
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._inputs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(
        self, output: Output, inputs: Statistics | None = None, statistics: Statistics | None = None
    ) -> None:
        """Add the next output.

        Args:
            output: One output.
            inputs: The statistics of its inputs where they are known.
            statistics: Its own where they are known; None: they are computed, with jumps from the output that
                was added before.
        """
        self.frames += 1
        self._valid.update(output.validity())
        if statistics is None:
            statistics = self._reader.read(output)
        for table, added in ((self._values, statistics), (self._inputs, inputs or {})):
            for subject, values in added.items():
                for name, value in values.items():
                    if isfinite(value):
                        table[subject][name].append(value)

    def stats(self) -> SubsetStats:
        """Return the statistics so far, without those that were measured in too few frames."""
        valid = {head: count / self.frames for head, count in self._valid.items()}
        return SubsetStats(self.frames, valid, _quantiles(self._values), _quantiles(self._inputs))


def _quantiles(table: Mapping[str, Mapping[str, list[float]]]) -> Quantiles:
    return {
        subject: {
            name: tuple(float(q) for q in np.quantile(values, LEVELS))
            for name, values in statistics.items()
            if len(values) >= LEAST
        }
        for subject, statistics in table.items()
    }


def to_plain(stats: Mapping[str, SubsetStats]) -> dict[str, Any]:
    """Return statistics by subset name (`camera+range`) as plain JSON, five digits each."""
    return {
        "levels": list(LEVELS),
        "subsets": {
            subset: {
                "frames": entry.frames,
                "valid": {head: _short(share) for head, share in entry.valid.items()},
                "quantiles": _plain(entry.quantiles),
                "inputs": _plain(entry.inputs),
            }
            for subset, entry in stats.items()
        },
    }


def _plain(tables: Quantiles) -> dict[str, dict[str, list[float]]]:
    return {
        subject: {name: [_short(v) for v in values] for name, values in statistics.items()}
        for subject, statistics in tables.items()
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _levels(values: list[float]) -> list[float]:
    if values != list(LEVELS):
        raise ValueError(f"expected {list(LEVELS)}")
    return values


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(values):
        raise ValueError("expected rising numbers")
    return values


_Row = Annotated[
    tuple[FiniteFloat, ...],
    Field(min_length=len(LEVELS), max_length=len(LEVELS), strict=False),
    AfterValidator(_rising),
]


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)
    frames: int = Field(ge=0)
    valid: dict[str, FiniteFloat]
    quantiles: dict[str, dict[str, _Row]]
    inputs: dict[str, dict[str, _Row]] = {}


class _Plain(BaseModel):
    model_config = ConfigDict(strict=True)
    levels: Annotated[list[float], AfterValidator(_levels)]
    subsets: dict[str, _Entry]


def from_plain(plain: object) -> dict[str, SubsetStats]:
    """Return statistics by subset name, as `to_plain` wrote them. Those of unknown heads are left out.

    Raises:
        ValueError: They are not such statistics; it names the place.
    """
    try:
        parsed = _Plain.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(
            [KEY, *(f"{part:.40}" if isinstance(part, str) else str(part) for part in first["loc"])]
        )
        raise ValueError(f"{place}: {first['msg']}, found {first['input']!r:.60}") from None
    return {
        subset: SubsetStats(
            entry.frames,
            entry.valid,
            {head: table for head, table in entry.quantiles.items() if head in head_specs()},
            {sensor: table for sensor, table in entry.inputs.items() if sensor in SENSORS},
        )
        for subset, entry in parsed.subsets.items()
    }
