"""The options of `perception evaluate`, in the groups that its help shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.remote import log_path
from perception_tools.batch_options import Jobs, On, OutputDir, ShardText, SplitText, batch_options_in
from perception_tools.scoring_options import MAKES, RULES, SHOWN, SURE, Logs, ScoringArguments
from perception_tools.shared_options import AsOne, Force

if TYPE_CHECKING:
    from perception.evaluation import EvaluateOptions

GATES = "Gates"
STRESS = "Under stress"


@dataclass
class EvaluateArguments(ScoringArguments):
    """The arguments and options of `perception evaluate`."""

    logs: Logs = None
    as_one: AsOne = False
    plugin: Annotated[
        str | None, typer.Option(help="The plugin's name. Default: as configured.", rich_help_panel=MAKES)
    ] = None
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights. Default: as configured.", rich_help_panel=MAKES)
    ] = None
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Score these stored outputs instead of replaying; one for each log, in order.",
            rich_help_panel=MAKES,
        ),
    ] = None
    tables: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=log_path,
            help="With logs: write the outputs there as Parquet tables, too. Alone: score those tables.",
            show_default=False,
            rich_help_panel=MAKES,
        ),
    ] = None
    rerun: Annotated[
        Path | None,
        typer.Option(
            help="The outputs with truth and errors for the Rerun viewer, from the worst moment on: an .rrd "
            "file, of one log.",
            rich_help_panel=MAKES,
        ),
    ] = None
    view: Annotated[bool, typer.Option("--view", help="Show the same in Rerun.", rich_help_panel=MAKES)] = (
        False
    )
    deadline_hz: Annotated[
        float,
        typer.Option(help="A frame that takes longer than one period of it is late.", rich_help_panel=RULES),
    ] = 10.0
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="all|NAME,...",
            help="Compare parts with the rest: distance, size, visibility, class, light, speed, time, "
            "status, status:FIELD.",
            show_default=False,
            rich_help_panel=SURE,
        ),
    ] = None
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'HEAD.VALUE >= X'",
            help="Fail (exit code 4) unless it holds, as 'box.mAP50 >= 0.8'; repeatable.",
            show_default=False,
            rich_help_panel=GATES,
        ),
    ] = None
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Judge the pessimistic end of each interval.", rich_help_panel=GATES),
    ] = False
    junit: Annotated[
        Path | None, typer.Option(help="The gates as JUnit XML.", show_default=False, rich_help_panel=GATES)
    ] = None
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help="Outputs stored on another machine, one for each log: fail where decisions differ.",
            show_default=False,
            rich_help_panel=GATES,
        ),
    ] = None
    tolerance: Annotated[
        str | None,
        typer.Option(
            help="How far from the reference: score, distance, control (share of its std) at most, iou at "
            "least.",
            show_default="iou=0.9, score=0.05, distance=0.05, control=0.1",
            rich_help_panel=GATES,
        ),
    ] = None
    ablate: Annotated[
        str | None,
        typer.Option(
            help="`sensors`: score every subset of the kinds of sensors too. `each`: without each named "
            "sensor. `faults`: replay under each fault.",
            show_default=False,
            rich_help_panel=STRESS,
        ),
    ] = None
    faults: Annotated[
        str | None,
        typer.Option(
            help="With `--ablate faults`: these, such as camera.blackout,range.",
            show_default="all",
            rich_help_panel=STRESS,
        ),
    ] = None
    severities: Annotated[str, typer.Option(help="Their severities, 0 to 1.", rich_help_panel=STRESS)] = (
        "0.2,0.5,0.8"
    )
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SENSOR.KIND=SEVERITY[,seed=N]",
            help="Put a fault into the logs; repeatable.",
            rich_help_panel=STRESS,
        ),
    ] = None
    latency_ms: Annotated[
        str | None,
        typer.Option(
            metavar="MS,...|measured|curve",
            help="Streaming scores at these latencies; `measured`: at this run's median.",
            rich_help_panel=STRESS,
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Keep outputs and errors by frame in this MCAP file.",
            rich_help_panel=SHOWN,
        ),
    ] = None
    moments: Annotated[
        int, typer.Option(min=0, help="How many of the worst moments to name.", rich_help_panel=SHOWN)
    ] = 10
    report: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="OUT.html|OUT.md",
            help="A page that opens offline, or Markdown for a pull request; repeatable.",
            show_default=False,
            rich_help_panel=SHOWN,
        ),
    ] = None

    force: Force = False
    output_dir: OutputDir = None
    jobs: Jobs = None
    on: On = None
    shard: ShardText = None
    split: SplitText = None

    def options(self) -> EvaluateOptions:
        """Return the options as the library takes them.

        Raises:
            ConfigError: Options are wrong, or do not fit each other.
        """
        from perception.errors import ConfigError
        from perception.evaluation import parse_fault_names, parse_gates, parse_slices, parse_tolerances
        from perception.evaluation.ablation.fault_ablation import parse_severities
        from perception.evaluation.metrics import Rules, installed_metrics
        from perception.evaluation.streaming import parse_latencies

        scoring = self.scoring()
        options = replace(
            scoring,
            rate_hz=self.deadline_hz,
            guests=installed_metrics,
            slices=parse_slices(self.slices) if self.slices else (),
            moments=self.moments,
            ablate=self.ablate,  # type: ignore[arg-type]  # its errors are found below
            faults=() if self.faults is None else parse_fault_names(self.faults),
            severities=parse_severities(self.severities),
            latencies_ms=() if self.latency_ms is None else parse_latencies(self.latency_ms),
            overrides=replace(
                scoring.overrides,
                plugin=self.plugin,
                checkpoint=self.checkpoint,
                faults=tuple(self.fault or ()),
            ),
            outputs=tuple(self.outputs or ()),
            tables=self.tables,
            output=self.output,
            gates=tuple(parse_gates(self.require or [], installed_metrics(Rules()) if self.require else ())),
            strict=self.strict,
            references=tuple(self.reference or ()),
            tolerances=parse_tolerances(self.tolerance),
        )
        of_tables = self.tables is not None and not self.logs
        wrong = options.errors_of_tables() if of_tables else options.errors(self.logs or [])
        if errors := [*wrong, *self.errors()]:
            raise ConfigError(errors)
        return options

    def _errors_of_viewers(self) -> list[str]:
        names = [f"--{name}" for name in ("rerun", "view") if getattr(self, name)]
        if not names:
            return []
        option = ", ".join(names)
        if self.outputs or self.output_dir is not None or not self.logs:
            return [f"{option}: needs a replay; leave out --outputs and --output-dir, and name a log"]
        if self.rerun is not None and len(self.logs) > 1:
            return [f"--rerun: holds the outputs of one log, found {len(self.logs)} logs"]
        return []

    def errors(self) -> list[str]:
        """Return one line for each option that is wrong by itself or for lack of another."""
        errors = [*ScoringArguments.errors(self), *self._errors_of_viewers()]
        if self.junit is not None and not self.require and not self.reference:
            errors.append("--junit: holds gates; add --require or --reference")
        if self.tolerance is not None and not self.reference:
            errors.append("--tolerance: says how far from `--reference`; add that")
        if self.output_dir is None:
            errors += [f"{name}: needs a folder; add --output-dir" for name in batch_options_in(self)]
        else:
            beside = [("--outputs", self.outputs), ("--output", self.output), ("--ablate", self.ablate)]
            errors += [
                f"{name}: not with --output-dir, which replays each log once and keeps its outputs there"
                for name, is_set in beside
                if is_set
            ]
        return errors
