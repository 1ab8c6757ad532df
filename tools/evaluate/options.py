"""The options of `perception evaluate` and `perception compare`, in the groups that their help shows."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MAKES = "What makes the outputs"
RULES = "What counts"
SURE = "How sure"
GATES = "Gates"
STRESS = "Under stress"
SHOWN = "What is shown"


class Precision(StrEnum):
    """Of the computation."""

    fp32 = "fp32"
    bf16 = "bf16"


Logs = Annotated[
    list[Path] | None, typer.Argument(help="The logs, MCAP files with truth.", show_default=False)
]
Config_ = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="The configuration. Default: found by schema.",
        rich_help_panel=MAKES,
        show_default=False,
    ),
]
Precision_ = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="Of the computation.",
        show_default="as configured, else fp32",
        rich_help_panel=MAKES,
    ),
]
MinHeight = Annotated[
    float,
    typer.Option(min=0, help="Truth lower than this is an ignore region (source px).", rich_help_panel=RULES),
]
MinVisible = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="Truth less visible than this is an ignore region.", rich_help_panel=RULES
    ),
]
MinSupport = Annotated[
    int, typer.Option(min=1, help="Values that rest on less are undefined.", rich_help_panel=RULES)
]
Ablate = Annotated[
    str | None,
    typer.Option(
        help="`sensors`: score every subset of the sensors too. `faults`: replay under each fault.",
        show_default=False,
        rich_help_panel=STRESS,
    ),
]
Faults = Annotated[
    str | None,
    typer.Option(
        "--faults",
        help="With `--ablate faults`: these (camera.blackout,range,...).",
        show_default="all",
        rich_help_panel=STRESS,
    ),
]
Severities = Annotated[str, typer.Option(help="Of those faults, 0 to 1.", rich_help_panel=STRESS)]
Fault = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="SENSOR.KIND=SEVERITY[,seed=N]",
        help="Put a fault into the logs; repeatable.",
        rich_help_panel=STRESS,
    ),
]
LatencyMs = Annotated[
    str | None,
    typer.Option(
        "--latency-ms",
        metavar="MS,...|measured|curve",
        help="Streaming scores at these latencies; `measured`: at this run's median.",
        rich_help_panel=STRESS,
    ),
]
Draws = Annotated[
    int,
    typer.Option(
        min=0,
        help="How often logs and blocks are drawn for intervals; 0: no intervals.",
        rich_help_panel=SURE,
    ),
]
Seed = Annotated[int, typer.Option(help="Of the draws: equal seeds, equal intervals.", rich_help_panel=SURE)]
Slices = Annotated[
    str | None,
    typer.Option(
        "--slices",
        metavar="all|NAME,...",
        help="Hold parts against the rest: distance, size, visibility, class, light, speed, time, status, "
        "status:FIELD.",
        show_default=False,
        rich_help_panel=SURE,
    ),
]
Require = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'HEAD.VALUE >= X'",
        help="Fail (exit code 4) unless it holds, as 'box.mAP50 >= 0.8'; repeatable.",
        show_default=False,
        rich_help_panel=GATES,
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Judge the pessimistic end of each interval.", rich_help_panel=GATES),
]
Junit = Annotated[
    Path | None, typer.Option(help="The gates as JUnit XML.", show_default=False, rich_help_panel=GATES)
]
Reference_ = Annotated[
    list[Path] | None,
    typer.Option(
        "--reference",
        help="Outputs stored on another machine, one for each log: fail where decisions differ.",
        show_default=False,
        rich_help_panel=GATES,
    ),
]
Tolerance = Annotated[
    str | None,
    typer.Option(
        help="How far from the reference: score, distance, control (share of its std) at most, iou at least.",
        show_default="iou=0.9,score=0.05,distance=0.05,control=0.1",
        rich_help_panel=GATES,
    ),
]
Reports = Annotated[
    list[Path] | None,
    typer.Option(
        "--report",
        metavar="OUT.html|OUT.md",
        help="A page that opens offline, or Markdown for a pull request; repeatable.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=SHOWN)]
Schema_ = Annotated[
    bool, typer.Option("--schema", help="Print the JSON Schema of --json.", rich_help_panel=SHOWN)
]
