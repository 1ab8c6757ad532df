"""The metric protocol and its base classes: rules, values with their support, frame counts.

A metric is a class with `update(output, truth)`, `compute()` and `merge(other)`. It needs nothing but
`Output` and `TruthFrame`, so it scores the outputs of any program. A metric that also has
`values(weights)` gets confidence intervals. Other packages add theirs through the entry-point group
`perception.metrics`; the entry point names a callable that takes `Rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.frame_columns import STATES
from perception.evaluation.metrics.weights import Weights
from perception.types import Float64, Output, TruthFrame

GROUP = "perception.metrics"
Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that select truth and set the minimum support. Only metrics with equal rules merge.

    Attributes:
        min_height_px: Truth boxes lower than this, in source pixels, are ignore regions; so are detections
            lower than this that match nothing.
        min_visible: Truth boxes less visible than this fraction are ignore regions.
        min_support: A value that rests on fewer truth boxes, matches or readings is undefined. A value made
            of bins needs as many in each.
        family: What the standard deviations mean: `laplace` (std = sqrt(2) b) or `gaussian`.
        max_detections: Of each class in a frame, the highest scored that count, as COCO does.
        classes: Reported even if they never occur; others are reported once they do.
    """

    min_height_px: float = 12.0
    min_visible: float = 0.3
    min_support: int = 10
    family: Literal["laplace", "gaussian"] = "laplace"
    max_detections: int = 100
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.min_height_px >= 0:
            raise ValueError(f"min_height_px: expected 0 or more, found {self.min_height_px}")
        if not 0 <= self.min_visible <= 1:
            raise ValueError(f"min_visible: expected a fraction from 0 to 1, found {self.min_visible}")
        if self.min_support < 1 or self.max_detections < 1:
            raise ValueError("min_support and max_detections: expected 1 or more")
        if self.family not in ("laplace", "gaussian"):
            raise ValueError(f"family: expected laplace or gaussian, found {self.family!r}")


@dataclass(frozen=True, slots=True)
class Value:
    """One number and its support. `value` None is undefined, and `why` gives the reason."""

    value: float | None
    support: int
    unit: str = ""
    better: Better = ""
    why: str = ""

    @property
    def defined(self) -> bool:
        return self.value is not None

    def __str__(self) -> str:
        return "undefined" if self.value is None else f"{self.value:.4g}"


class Estimate(NamedTuple):
    """One value under each of D draws, and the support of its point estimate.

    Attributes:
        values: [D]; the point estimate alone under weights of one.
        support, needed, of: The count it rests on, the least it needs, and the noun for both.
        unit, better: As in `Value`.
        why: The reason why it is undefined despite its support.
    """

    values: Float64
    support: int
    needed: int
    of: str
    unit: str = ""
    better: Better = ""
    why: str = ""

    def value(self) -> Value:
        """Return the point estimate; undefined if the support is too small or it is not a finite number."""
        why, number = self.why, float(self.values[0])
        if self.support < self.needed:
            why = f"{self.support} {self.of}; {self.needed} are needed"
        elif not why and not np.isfinite(number):
            why = f"not a number over {self.support} {self.of}"
        return Value(None if why else number, self.support, self.unit, self.better, why)


@dataclass(frozen=True, slots=True)
class Result:
    """The values of a metric over all frames so far.

    Attributes:
        metric: Its name.
        head: `class`, `box`, `control`, or another word that the metric chooses.
        values: Name -> value. `AP50/vehicle` is the AP50 of one class; `AP50` alone is over all of them.
        details: Everything that is not one number (curves, matrices, bins), ready for JSON.
        frames: How many frames were `scored`, how many were not and why: `invalid` (by the plugin),
            `no_truth`, `no_head`. Also `malformed_detections` and `malformed_truth`: boxes that are not
            numbers.
    """

    metric: str
    head: str
    values: Mapping[str, Value]
    details: Mapping[str, Any] = field(default_factory=dict)
    frames: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class Metric(Protocol):
    """The methods that a metric of any package must have."""

    @property
    def name(self) -> str: ...

    @property
    def head(self) -> str: ...

    def update(self, output: Output, truth: TruthFrame) -> None:
        """Add one frame."""

    def compute(self) -> Result:
        """Return the result over all frames so far. May be called at any time."""

    def merge(self, other: Self) -> None:
        """Add the frames of a metric of the same kind and rules, after its own; `other` is not changed."""


@runtime_checkable
class WeightedMetric(Metric, Protocol):
    """A metric that also computes its values for weighted frames, and so can have intervals."""

    def values(self, weights: Weights) -> Mapping[str, Float64]:
        """Return the values of `compute` by name, under each of the D draws: [D], NaN where undefined.

        Frames have numbers from 0 in the order of `update`, which the statistics of `weights` take:
        `weights.mean(frames, errors)` with both [N], or any statistic of `weights.each(frames)`, [D, N].
        """


class BaseMetric(ABC):
    """The common part of this package's metrics: each defines its values once, as estimates under weights.

    `frames` counts frames by outcome; `count` is the number of all of them.
    """

    name: ClassVar[str]
    head: ClassVar[str]

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules if rules is not None else Rules()
        self.frames: Counter[str] = Counter()
        self.count = 0

    def values(self, weights: Weights) -> dict[str, Float64]:
        """Return each value under each draw of the weights, [D]; NaN where nothing counts."""
        return {name: estimate.values for name, estimate in self._estimates(weights).items()}

    def compute(self) -> Result:
        """Return the result over all frames so far: the values under weights of one."""
        values = {name: estimate.value() for name, estimate in self._estimates(Weights()).items()}
        frames = {key: self.frames.get(key, 0) for key in ("scored", "invalid", "no_truth", "no_head")}
        frames |= {key: count for key, count in sorted(self.frames.items()) if key.startswith("malformed")}
        return Result(self.name, self.head, values, self._details(), frames)

    def merge(self, other: Self) -> None:
        """Add the frames of another metric, after its own.

        Raises:
            ValueError: The other is of another kind, or was made under other rules.
        """
        check_mergeable(self, other)
        self._merge(other)
        self.frames.update(other.frames)
        self.count += other.count

    @abstractmethod
    def _estimates(self, weights: Weights) -> dict[str, Estimate]:
        """Return all values by name."""

    @abstractmethod
    def _merge(self, other: Self) -> None:
        """Append the rows of another metric; its frame numbers go up by `count`."""

    def _details(self) -> dict[str, Any]:
        """Return the details of the result."""
        return {}


def count_states(frames: Counter[str], states: NDArray[np.uint8]) -> None:
    """Count frames by their states [F], which are places in `STATES`."""
    if len(states) == 1:
        frames[STATES[states[0]]] += 1
        return
    for state, count in zip(STATES, np.bincount(states, minlength=len(STATES)).tolist(), strict=True):
        if count:
            frames[state] += count


def check_mergeable(metric: Any, other: Any) -> None:
    """Raise if two metrics have different types or rules.

    Raises:
        ValueError: They cannot be merged.
    """
    if type(metric) is not type(other):
        raise ValueError(f"cannot merge {type(other).__name__} into {type(metric).__name__}")
    if metric.rules != other.rules:
        raise ValueError(f"cannot merge: rules differ, {metric.rules} and {other.rules}")
