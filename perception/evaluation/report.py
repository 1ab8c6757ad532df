"""What an evaluation found, under a published schema: `perception.evaluate/1`.

Fields are added within a version; none changes its meaning or goes without a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from perception.evaluation.moments import Moment
from perception.metrics import Result, Rules, Value

SCHEMA: Literal["perception.evaluate/1"] = "perception.evaluate/1"
HEADS = ("class", "box", "control", "timing", "joint")
"""The order in which heads are reported; heads of other packages come after."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ValueReport(_Part):
    """One number. `value` is null where it is undefined, and `undefined` then says for lack of what."""

    value: float | None
    support: int = Field(description="How many truth boxes, matches or frames it rests on.")
    unit: str = ""
    better: Literal["higher", "lower", ""] = Field("", description="Empty: neither end is better.")
    undefined: str = ""


class MetricReport(_Part):
    """What one metric found."""

    values: dict[str, ValueReport] = Field(
        description="By name; `AP50/vehicle` is of one class or channel, `mAP` is over all."
    )
    frames: dict[str, int] = Field(
        description="Frames `scored`; not scored because `invalid` (the head said so), `no_truth`, `no_head`."
    )
    details: dict[str, Any] = Field(description="Curves, matrices, bins: what is not one number.")


class RulesReport(_Part):
    """The ground rules that were applied."""

    min_height_px: float
    min_visible: float
    min_support: int
    family: Literal["laplace", "gaussian"]
    max_detections: int
    classes: list[str]


class MomentReport(_Part):
    """A bad moment and the command that replays just it."""

    log: str
    at_s: float = Field(description="Seconds from the log's first message.")
    log_time_ns: int
    stamp_ns: int
    error: float = Field(description="From 0 to 1, to sort by.")
    what: str
    command: str


class LogReport(_Part):
    """One log that went in. `replay` is its account as `perception.replay/1` gives it, or null where stored
    outputs were scored."""

    log: str
    outputs: str | None = Field(description="The stored outputs that were scored.")
    frames: int
    replay: dict[str, Any] | None


class Report(_Part):
    """The whole of an evaluation."""

    schema_: Literal["perception.evaluate/1"] = Field(SCHEMA, alias="schema")
    status: Literal["clean", "loss", "failed", "interrupted"]
    exit_code: int
    error: str = Field("", description="Why it failed.")
    rules: RulesReport | None = None
    logs: list[LogReport] = []
    heads: dict[str, dict[str, MetricReport]] = Field(
        {}, description="Head -> metric -> what it found, over all logs."
    )
    ablation: dict[str, dict[str, dict[str, MetricReport]]] | None = Field(
        None, description="Subset of the sensors (`camera+range`) -> head -> metric."
    )
    moments: list[MomentReport] = []
    run: dict[str, str] = Field({}, description="What made the outputs.")
    warnings: list[dict[str, Any]] = []
    faults: dict[str, str] = Field({}, description="Metrics of other packages that failed, and how.")
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `Report`."""
    return Report.model_json_schema(by_alias=True, mode="serialization")


def by_head(results: Iterable[Result]) -> dict[str, dict[str, MetricReport]]:
    """Results in the order of heads."""
    found: dict[str, dict[str, MetricReport]] = {}
    for result in results:
        found.setdefault(result.head, {})[result.metric] = MetricReport(
            values={name: value_report(value) for name, value in result.values.items()},
            frames=dict(result.frames),
            details=dict(result.details),
        )
    ordered = [head for head in HEADS if head in found] + [head for head in found if head not in HEADS]
    return {head: found[head] for head in ordered}


def value_report(value: Value) -> ValueReport:
    """A value under its published names."""
    return ValueReport(
        value=value.value,
        support=value.support,
        unit=value.unit,
        better=value.better,
        undefined=value.why if value.value is None else "",
    )


def rules_report(rules: Rules) -> RulesReport:
    """The rules under their published names."""
    return RulesReport(
        min_height_px=rules.min_height_px,
        min_visible=rules.min_visible,
        min_support=rules.min_support,
        family=rules.family,
        max_detections=rules.max_detections,
        classes=list(rules.classes),
    )


def moment_reports(moments: Iterable[Moment], commands: Mapping[Moment, str]) -> list[MomentReport]:
    """Moments beside the commands that replay them."""
    return [
        MomentReport(
            log=moment.log,
            at_s=moment.at_s,
            log_time_ns=moment.log_time_ns,
            stamp_ns=moment.stamp_ns,
            error=moment.error,
            what=moment.what,
            command=commands[moment],
        )
        for moment in moments
    ]
