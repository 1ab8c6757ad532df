"""What every metric shares: the ground rules, a value with its support, and the three methods.

A metric is a class with `update(output, truth)`, `compute()` and `merge(other)`. It needs nothing but
`Output` and `TruthFrame`, so it scores the outputs of any program. A package brings its own through
the entry-point group `perception.metrics`; the entry point names a callable that takes `Rules`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, runtime_checkable

from perception.types import Output, TruthFrame

GROUP = "perception.metrics"
Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, slots=True)
class Rules:
    """The ground rules: what counts as truth, and how much of it is enough. Equal rules merge, others do not.

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
    """One number, and what it rests on. `value` None is undefined, and `why` says for lack of what."""

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


def supported(
    compute: float, support: int, needed: int, of: str, unit: str = "", better: Better = ""
) -> Value:
    """The value, or undefined where the support is too small or the result is not a number."""
    if support < needed:
        return Value(None, support, unit, better, f"{support} {of}; {needed} are needed")
    if compute != compute or compute in (float("inf"), float("-inf")):
        return Value(None, support, unit, better, f"not a number over {support} {of}")
    return Value(float(compute), support, unit, better)


@dataclass(frozen=True, slots=True)
class Result:
    """What a metric found.

    Attributes:
        metric: Its name.
        head: `class`, `box`, `control`, or a word of the metric's own.
        values: Name -> value. `AP50/vehicle` is the AP50 of one class; `AP50` alone is over all of them.
        details: What is not one number (curves, matrices, bins), ready for JSON.
        frames: How many frames were `scored`, how many were not and why: `invalid` (the head said so),
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
    """What a metric of any package offers."""

    @property
    def name(self) -> str: ...

    @property
    def head(self) -> str: ...

    def update(self, output: Output, truth: TruthFrame) -> None:
        """Take one frame in."""

    def compute(self) -> Result:
        """The result over all frames so far. May be asked for at any time."""

    def merge(self, other: Self) -> None:
        """Take in what another of the same kind and rules has seen; `other` is left as it was."""


def check_mergeable(one: Any, other: Any) -> None:
    """Raise unless two metrics are of one kind and were made under the same rules.

    Raises:
        ValueError: They are not.
    """
    if type(one) is not type(other):
        raise ValueError(f"cannot merge {type(other).__name__} into {type(one).__name__}")
    if one.rules != other.rules:
        raise ValueError(f"cannot merge: rules differ, {one.rules} and {other.rules}")


def counted(frames: Counter[str]) -> dict[str, int]:
    """Frame counts with the common rows always there."""
    return {key: frames.get(key, 0) for key in ("scored", "invalid", "no_truth", "no_head")} | {
        key: count for key, count in sorted(frames.items()) if key.startswith("malformed")
    }
