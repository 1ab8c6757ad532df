"""The report of a comparison, under the published schema `perception.compare/1`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from perception.evaluation.report.schema import DocumentModel
from perception.evaluation.report.value_schema import (
    DifferenceReport,
    MetricReport,
    ResamplingReport,
    SchemaModel,
)

COMPARE_SCHEMA: Literal["perception.compare/1"] = "perception.compare/1"


class SideReport(SchemaModel):
    """One of the two."""

    name: str
    kind: Literal["checkpoint", "plugin", "stored"]
    frames: int
    invalid: int = Field(description="Frames in which it failed or broke the contract.")
    run: dict[str, str] = Field(description="What made the outputs.")
    heads: dict[str, dict[str, MetricReport]]


class ComparedReport(SchemaModel):
    """One value of both. The difference is that of B less that of A; the verdict is about B."""

    head: str
    metric: str
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    a: float | None
    b: float | None
    support: int = Field(description="The smaller of both.")
    difference: DifferenceReport


class ApartReport(SchemaModel):
    """Where the two differ most, and the commands that replay just it, for A and for B."""

    log: str
    at_s: float = Field(description="Seconds from the log's first message.")
    log_time_ns: int
    stamp_ns: int
    difference: float = Field(description="The error of B less that of A, from -1 to 1, to sort by.")
    what: str
    commands: list[str]


class CompareReport(DocumentModel):
    """The whole of a comparison."""

    schema_: Literal["perception.compare/1"] = Field(COMPARE_SCHEMA, alias="schema")
    status: Literal["clean", "loss", "failed", "interrupted"]
    error: str = Field("", description="Why it failed.")
    logs: list[str] = Field([])
    a: SideReport | None = None
    b: SideReport | None = None
    metrics: list[ComparedReport] = Field([])
    apart: list[ApartReport] = Field([], description="Where they differ most, most first.")
    resampling: ResamplingReport | None = None
    prepared_once: int = Field(0, description="Samples whose arrays were made once for both.")
    warnings: list[dict[str, Any]] = Field([])
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as values for `json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)


def compare_schema() -> dict[str, Any]:
    """Return the JSON Schema of `CompareReport`."""
    return CompareReport.model_json_schema(by_alias=True, mode="serialization")
