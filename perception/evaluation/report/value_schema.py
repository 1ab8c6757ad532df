"""The numbers of a published report: values, how sure they are, and their differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from perception.evaluation.metrics import Result, Rules, Value
from perception.types import head_specs


class SchemaModel(BaseModel):
    """The base of every part of a published report: frozen, and without other fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IntervalReport(SchemaModel):
    """Where a value would lie had other logs and other moments of the same kind been recorded."""

    low: float
    high: float
    std_error: float = Field(description="The standard deviation of the value over the draws, corrected.")


class ValueReport(SchemaModel):
    """One number. `value` is null where it is undefined, and `undefined` then says for lack of what."""

    value: float | None
    support: int = Field(description="How many truth boxes, matches or frames it rests on.")
    unit: str = ""
    better: Literal["higher", "lower", ""] = Field("", description="Empty: neither end is better.")
    undefined: str = ""
    interval: IntervalReport | None = Field(
        None,
        description="At the level that `resampling` names; null: see `resampling`, or none was asked for.",
    )


class MetricReport(SchemaModel):
    """The result of one metric."""

    values: dict[str, ValueReport] = Field(
        description="By name; `AP50/vehicle` is of one class or channel, `mAP` is over all."
    )
    frames: dict[str, int] = Field(
        description="Frames `scored`; not scored because `invalid` (the head said so), `no_truth`, `no_head`."
    )
    details: dict[str, Any] = Field(description="Curves, matrices, bins: what is not one number.")


Heads = Mapping[str, Mapping[str, MetricReport]]
"""Head -> name of a metric -> its result."""


class RulesReport(SchemaModel):
    """The ground rules that were applied."""

    min_height_px: float
    min_visible: float
    min_support: int
    family: Literal["laplace", "gaussian"]
    max_detections: int
    classes: list[str]


class BlocksReport(SchemaModel):
    """Into what the frames were cut for one head's intervals."""

    blocks: int
    block_s: float = Field(description="2 s, or the autocorrelation time of the head's errors where longer.")
    correlation_s: float = Field(description="The integrated autocorrelation time of the head's errors.")
    no_interval: str = Field("", description="Why there are no intervals; empty: there are.")


class ResamplingReport(SchemaModel):
    """How the intervals were computed."""

    level: float
    draws: int
    seed: int
    logs: int
    stages: list[str] = Field(description="What was drawn: `logs` (five or more), `blocks`.")
    heads: dict[str, BlocksReport]


Verdict = Literal["better", "worse", "cannot tell"]


class DifferenceReport(SchemaModel):
    """One value less another, and whether it can be chance. Positive: the first is greater."""

    value: float | None
    low: float | None = Field(None, description="Of the interval; null: too few blocks.")
    high: float | None = None
    p: float | None = Field(None, description="Two-sided, of no difference.")
    p_corrected: float | None = Field(None, description="After Holm, over all differences of the report.")
    verdict: Verdict = "cannot tell"


class SliceReport(SchemaModel):
    """One value on a part of the data beside the same on all the rest; the difference is part less rest."""

    by: str = Field(
        description="`distance`, `size`, `visibility`, `class`, `light`, `speed`, `time`, `status:...`."
    )
    part: str = Field(description="Which part: `20 to 40 m`.")
    head: str
    metric: str
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    value: float | None
    support: int
    rest: float | None
    rest_support: int
    difference: DifferenceReport


def by_head(results: Iterable[Result]) -> dict[str, dict[str, MetricReport]]:
    """Return the results by head, in the order of heads."""
    reports: dict[str, dict[str, MetricReport]] = {}
    for result in results:
        reports.setdefault(result.head, {})[result.metric] = MetricReport(
            values={name: value_report(value) for name, value in result.values.items()},
            frames=dict(result.frames),
            details=dict(result.details),
        )
    ordered = [head for head in (*head_specs(), "timing", "joint") if head in reports]
    return {head: reports[head] for head in dict.fromkeys([*ordered, *reports])}


def value_report(value: Value) -> ValueReport:
    """Return a value under its published names."""
    known = {name: getattr(value, name) for name in ("value", "support", "unit", "better")}
    return ValueReport(**known, undefined=value.why if value.value is None else "")


def rules_report(rules: Rules) -> RulesReport:
    """Return the rules under their published names, which are their own."""
    return RulesReport(**{**asdict(rules), "classes": list(rules.classes)})
