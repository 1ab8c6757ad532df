"""The parts of a published report that are drawn: figures, and the worst moments with their scenes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pydantic import Field

from perception.evaluation.report.value_schema import SchemaModel
from perception.evaluation.worst_frames import Moment


class SceneBoxReport(SchemaModel):
    """A box of truth (`found`, `missed`; `ignored`: not scored) or a detection (`hit`, `false`)."""

    kind: Literal["found", "missed", "ignored", "hit", "false"]
    label: str
    xyxy: list[float] = Field(description="In source pixels.")
    score: float | None = Field(None, description="Null: a box of truth.")
    distance_m: float | None = None


class SceneControlReport(SchemaModel):
    """The predicted and the true value of one control channel."""

    name: str
    unit: str = ""
    said: float | None
    std: float | None = None
    true: float | None


class SceneReport(SchemaModel):
    """The detections, control values and truth of one frame, to be drawn on its picture."""

    camera: str = Field("", description="The topic of the picture in the log; empty: there is none.")
    boxes: list[SceneBoxReport] = Field([], description="At score 0.3 or more.")
    control: list[SceneControlReport] = Field([])


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
    """Errors of distance of the objects found in one range of distances."""

    from_m: float
    to_m: float
    matches: int
    mean_abs_m: float
    p90_abs_m: float
    bias_m: float = Field(description="Mean of said less true.")


class ControlTraceReport(SchemaModel):
    """The predicted and the true values of one control channel over one log."""

    log: str
    channel: str
    unit: str = ""
    at_s: list[float] = Field(description="Seconds from the log's first message, of at most 400 frames.")
    said: list[float]
    true: list[float]


class FiguresReport(SchemaModel):
    """The data of the charts that no table holds."""

    cut: float = Field(description="Detections of this score or more count as found: that of the best F1.")
    recall: list[DistanceBinReport] = Field([])
    distance: list[DistanceErrorReport] = Field([])
    control: list[ControlTraceReport] = Field([])


def moment_report(moment: Moment, command: str, scene: SceneReport | None = None) -> MomentReport:
    """Return a moment with the command that replays it and the contents of its frame."""
    return MomentReport(**asdict(moment), command=command, scene=scene)
