"""The report of an evaluation, under the published schema `perception.evaluate/1`.

Fields are added within a version; none changes its meaning or goes without a new one.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from pydantic import Field, model_validator

from perception.evaluation.report.drawing_schema import FiguresReport, MomentReport
from perception.evaluation.report.stress_schema import FaultsReport, StreamingReport
from perception.evaluation.report.value_schema import (
    MetricReport,
    ResamplingReport,
    RulesReport,
    SchemaModel,
    SliceReport,
    ValueReport,
)
from perception.types import Status
from perception.types.table import Table

SCHEMA: Literal["perception.evaluate/1"] = "perception.evaluate/1"


class DocumentModel(SchemaModel):
    """The base of a published report as a whole."""

    @model_validator(mode="before")
    @classmethod
    def _without_exit_code(cls, data: Any) -> Any:
        """Drop the exit code that the command line adds to a printed report."""
        return {key: data[key] for key in data if key != "exit_code"} if isinstance(data, dict) else data


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


class LogReport(SchemaModel):
    """One log that went in. `replay` is its account as `perception.replay/1` gives it, or null where stored
    outputs were scored whose account is not known."""

    log: str
    outputs: str | None = Field(description="The stored outputs that were scored.")
    frames: int
    replay: dict[str, Any] | None


class EvaluationReport(DocumentModel, title="Report"):
    """The whole of an evaluation."""

    schema_: Literal["perception.evaluate/1"] = Field(SCHEMA, alias="schema")
    status: Literal["clean", "loss", "gate_failed", "failed", "interrupted"]
    error: str = Field("", description="Why it failed.")
    rules: RulesReport | None = None
    logs: list[LogReport] = Field([])
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
    moments: list[MomentReport] = Field([])
    run: dict[str, str] = Field({}, description="What made the outputs.")
    warnings: list[dict[str, Any]] = Field([])
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
        """Return the status and a table of the values of each head, for a notebook; values over all first."""
        status = {"status": self.outcome, "frames": sum(log.frames for log in self.logs), "error": self.error}
        tables = [Table([status])]
        for head in self.heads:
            values = [(name, v) for name, v in self.values().items() if name.startswith(f"{head}.")]
            values.sort(key=lambda row: "/" in row[0])
            tables.append(Table([_notebook_row(name, v) for name, v in values]))
        return "".join(table._repr_html_() for table in tables)


def _notebook_row(name: str, found: ValueReport) -> dict[str, Any]:
    ends = found.interval
    return {
        "name": name,
        "value": f"undefined: {found.undefined}" if found.value is None else found.value,
        "unit": found.unit,
        "95 %": None if ends is None else f"{ends.low:.4g} to {ends.high:.4g}",
    }


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `EvaluationReport`."""
    return EvaluationReport.model_json_schema(by_alias=True, mode="serialization")
