"""The report of an evaluation, under the published schema `perception.evaluate/1`.

Fields are added within a version; none changes its meaning or goes without a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from perception.evaluation.metrics import Result, Rules, Value
from perception.evaluation.worst_frames import Moment
from perception.types import Status, head_specs
from perception.types.table import Table

SCHEMA: Literal["perception.evaluate/1"] = "perception.evaluate/1"


class SchemaModel(BaseModel):
    """The base of every part of a published report: frozen, and without other fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DocumentModel(SchemaModel):
    """The base of a published report as a whole."""

    @model_validator(mode="before")
    @classmethod
    def _without_exit_code(cls, data: Any) -> Any:
        """Drop the exit code that the command line adds to a printed report."""
        return {key: data[key] for key in data if key != "exit_code"} if isinstance(data, dict) else data


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
    """What one metric found."""

    values: dict[str, ValueReport] = Field(
        description="By name; `AP50/vehicle` is of one class or channel, `mAP` is over all."
    )
    frames: dict[str, int] = Field(
        description="Frames `scored`; not scored because `invalid` (the head said so), `no_truth`, `no_head`."
    )
    details: dict[str, Any] = Field(description="Curves, matrices, bins: what is not one number.")


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
    """How the intervals came about."""

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


class GateReport(SchemaModel):
    """One requirement and whether it holds."""

    require: str = Field(description="As it was given.")
    name: str = Field(description="The full name of the value: `box.mAP50`.")
    value: float | None
    judged: float | None = Field(description="What was compared: the value, or the end of its interval.")
    unit: str = ""
    passed: bool
    why: str = Field(description="In words.")


class DivergenceReport(SchemaModel):
    """Where one head first decides otherwise than the reference did."""

    log: str
    head: str
    frames: int = Field(description="Frames compared.")
    diverged: int = Field(description="Frames that decide otherwise.")
    at_s: float | None = Field(None, description="The first: seconds from the log's first message.")
    stamp_ns: int | None = None
    what: str = ""
    command: str = ""


class SceneBoxReport(SchemaModel):
    """A box of truth (`found`, `missed`; `ignored`: it does not count) or one said (`hit`, `false`)."""

    kind: Literal["found", "missed", "ignored", "hit", "false"]
    label: str
    xyxy: list[float] = Field(description="In source pixels.")
    score: float | None = Field(None, description="Null: a box of truth.")
    distance_m: float | None = None


class SceneControlReport(SchemaModel):
    """One channel of the command: said and true."""

    name: str
    unit: str = ""
    said: float | None
    std: float | None = None
    true: float | None


class SceneReport(SchemaModel):
    """What was said and what was true in one frame: enough to draw it on its picture."""

    camera: str = Field("", description="The topic of the picture in the log; empty: there is none.")
    boxes: list[SceneBoxReport] = Field([], description="At score 0.3 or more.")
    control: list[SceneControlReport] = []


class MomentReport(SchemaModel):
    """A bad moment and the command that replays just it."""

    log: str
    at_s: float = Field(description="Seconds from the log's first message.")
    log_time_ns: int
    stamp_ns: int
    error: float = Field(description="From 0 to 1, to sort by.")
    what: str
    command: str
    scene: SceneReport | None = None


class DistanceBinReport(SchemaModel):
    """Truth boxes of one class at one distance, and how many of them were found."""

    label: str
    from_m: float
    to_m: float
    objects: int
    found: int


class DistanceErrorReport(SchemaModel):
    """How far off the distances were of the objects that were found at one distance."""

    from_m: float
    to_m: float
    matches: int
    mean_abs_m: float
    p90_abs_m: float
    bias_m: float = Field(description="Mean of said less true.")


class ControlTraceReport(SchemaModel):
    """One channel of the command over one log: what was said and what was true."""

    log: str
    channel: str
    unit: str = ""
    at_s: list[float] = Field(description="Seconds from the log's first message, of at most 400 frames.")
    said: list[float]
    true: list[float]


class FiguresReport(SchemaModel):
    """What only a drawing shows."""

    cut: float = Field(description="Detections of this score or more count as found: that of the best F1.")
    recall: list[DistanceBinReport] = []
    distance: list[DistanceErrorReport] = []
    control: list[ControlTraceReport] = []


class LogReport(SchemaModel):
    """One log that went in. `replay` is its account as `perception.replay/1` gives it, or null where stored
    outputs were scored whose account is not known."""

    log: str
    outputs: str | None = Field(description="The stored outputs that were scored.")
    frames: int
    replay: dict[str, Any] | None


ScoresReport = dict[str, float | None]
"""`class`, `box`, `distance`, `control`, each from 0 to 1 as `perception.evaluation.head_scores` defines
them; null where truth does not support one."""


class FaultPointReport(SchemaModel):
    """What one fault does at one severity."""

    severity: float
    scores: ScoresReport
    kept: ScoresReport = Field(description="The scores over those of the clean replay.")


class FaultCurveReport(SchemaModel):
    """How the scores fall as one fault grows."""

    fault: str = Field(description="`sensor.kind`, as `--fault` takes it.")
    sensor: str
    kind: str
    meaning: str = Field(description="What a severity from 0 to 1 means.")
    points: list[FaultPointReport] = Field(description="By severity, rising.")


class WorstFaultReport(SchemaModel):
    """The fault that leaves the least of a score."""

    fault: str
    kept: float = Field(description="Of the clean score, on average over the severities.")


class FaultsReport(SchemaModel):
    """What each fault does to each head."""

    clean: ScoresReport
    severities: list[float]
    seed: int
    curves: list[FaultCurveReport]
    worst: dict[str, WorstFaultReport] = Field(description="By score.")
    replays: int
    asked: int = Field(description="Samples that the plugin was run on.")
    recalled: int = Field(description="Samples that no fault had touched: answered as in the clean replay.")
    seconds: float = Field(description="What it cost, by the wall clock.")


class StreamingReport(SchemaModel):
    """The scores of a single worker with a latency, as `evaluation.streaming` simulates it."""

    latency_ms: float
    measured: bool = Field(description="Whether it is the run's own median; else it was given.")
    truths: int = Field(description="Moments with truth; each is matched with the newest output by then.")
    unanswered: int = Field(description="Moments before the first output: their heads count as invalid.")
    processed: int = Field(description="Ticks that the worker took.")
    skipped: int = Field(description="Ticks that a newer one replaced while the worker was busy.")
    age_ms: dict[str, float] = Field(description="`p50`, `p99`: truth's stamp less that of its output.")
    scores: ScoresReport
    heads: dict[str, dict[str, MetricReport]]


class EvaluationReport(DocumentModel, title="Report"):
    """The whole of an evaluation."""

    schema_: Literal["perception.evaluate/1"] = Field(SCHEMA, alias="schema")
    status: Literal["clean", "loss", "gate_failed", "failed", "interrupted"]
    error: str = Field("", description="Why it failed.")
    rules: RulesReport | None = None
    logs: list[LogReport] = []
    heads: dict[str, dict[str, MetricReport]] = Field(
        {}, description="Head -> metric -> what it found, over all logs."
    )
    ablation: dict[str, dict[str, dict[str, MetricReport]]] | None = Field(
        None, description="Subset of the sensors (`camera+range`) -> head -> metric."
    )
    fault_ablation: FaultsReport | None = Field(None, description="What `--ablate faults` found.")
    streaming: list[StreamingReport] = Field([], description="By latency, rising.")
    resampling: ResamplingReport | None = Field(None, description="Null: no intervals were asked for.")
    slices: list[SliceReport] = Field([], description="Surely worse parts first.")
    gates: list[GateReport] = Field([], description="What was required, in the order given.")
    reference: list[DivergenceReport] = Field([], description="Beside stored outputs, by log and head.")
    figures: FiguresReport | None = None
    moments: list[MomentReport] = []
    run: dict[str, str] = Field({}, description="What made the outputs.")
    warnings: list[dict[str, Any]] = []
    faults: dict[str, str] = Field({}, description="Metrics of other packages that failed, and how.")
    seconds: float = 0.0

    @property
    def outcome(self) -> Status:
        """Return the status; `gate_failed` where a gate fails, or outputs differ from the reference.

        A failed or interrupted run keeps its status.
        """
        passed = all(gate.passed for gate in self.gates)
        passed = passed and not any(row.diverged or not row.frames for row in self.reference)
        return self.status if passed or self.status in ("failed", "interrupted") else "gate_failed"

    def to_json(self) -> dict[str, Any]:
        """Return the report as values for `json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)

    def __getitem__(self, name: str) -> ValueReport:
        """Return a value by its name as in gates: `box.mAP50`, `class.AP50/vehicle`.

        Raises:
            KeyError: No value has that name; the error names the nearest ones.
        """
        values = self.values()
        if name not in values:
            near = get_close_matches(name, values, n=3, cutoff=0.4)
            raise KeyError(f"no value is called {name!r}; did you mean {', '.join(near) or list(values)}?")
        return values[name]

    def values(self) -> dict[str, ValueReport]:
        """Return every value by its name, `head.value`, in the order of heads."""
        return {
            f"{head}.{key}": value
            for head, metrics in self.heads.items()
            for metric in metrics.values()
            for key, value in metric.values.items()
        }

    def _repr_html_(self) -> str:
        rows = [
            {
                "value": name,
                "": v.value,
                "unit": v.unit,
                "95 %": v.interval and (v.interval.low, v.interval.high),
            }
            for name, v in self.values().items()
            if v.value is not None
        ]
        return Table(rows)._repr_html_()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `EvaluationReport`."""
    return EvaluationReport.model_json_schema(by_alias=True, mode="serialization")


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


def moment_report(moment: Moment, command: str, scene: SceneReport | None = None) -> MomentReport:
    """Return a moment with the command that replays it and the contents of its frame."""
    return MomentReport(**asdict(moment), command=command, scene=scene)
