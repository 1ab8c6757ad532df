"""The scores of a published report under injected faults and with latency."""

from __future__ import annotations

from pydantic import Field

from perception.evaluation.report.value_schema import MetricReport, SchemaModel

ScoresReport = dict[str, float | None]
"""`class`, `box`, `distance`, `control`, each from 0 to 1 as `perception.evaluation.head_scores` defines
them; null where truth does not support one."""


class FaultPointReport(SchemaModel):
    """The scores under one injected fault at one severity."""

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
    """The scores of each head under each injected fault."""

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
