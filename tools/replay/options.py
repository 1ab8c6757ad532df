"""The options of `perception replay`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.remote import log_path
from perception_tools.batch_options import (
    Jobs,
    On,
    OutputDir,
    ShardText,
    SplitText,
    find_recordings,
    is_batch,
    refuse_batch_options,
)
from perception_tools.shared_options import (
    ENGINE,
    AsOne,
    Backend,
    Device,
    EngineDevice,
    Force,
    PluginOptions,
    Precision,
    engine_values,
    plugin_options,
)

if TYPE_CHECKING:
    from perception.pipeline.replay_job import ReplayJob
    from perception.pipeline.tables import TablesPlace

VIEWERS = "Viewers: see docs/viewers.md"


class OnError(StrEnum):
    """The reaction to a plugin failure on a sample."""

    stop = "stop"
    skip = "skip"


@dataclass
class ReplayArguments:
    """The arguments and options of `perception replay`."""

    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG...",
            parser=log_path,
            help="The logs: paths, URLs, and patterns of them ('drives/**/*.mcap'), of any format.",
            show_default=False,
        ),
    ]
    as_one: AsOne = False
    plugin: Annotated[str | None, typer.Option(help="The plugin to run.", show_default="fusion")] = None
    checkpoint: Annotated[Path | None, typer.Option(help="Weights; default: the plugin's own.")] = None
    option: PluginOptions = None
    config: Annotated[
        Path | None, typer.Option(help="YAML; without one, sensors are found by schema (see `info`).")
    ] = None
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="asap|FLOAT",
            help="As soon as possible, or paced: 1 is as recorded.",
            show_default="asap; 1 with --serve",
        ),
    ] = None
    live_drop: Annotated[
        bool, typer.Option("--live-drop", help="With a rate: skip samples that newer ones have overtaken.")
    ] = False
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Seconds from the first sensor message, or a log time in ns."),
    ] = None
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Likewise; exclusive.")] = None
    loop: Annotated[int, typer.Option(min=1, help="How often to replay; each pass must give the same.")] = 1
    step: Annotated[bool, typer.Option("--step", help="Wait for a key at each tick; q ends.")] = False
    output: Annotated[
        Path | None,
        typer.Option(
            help="The output log; another suffix chooses another sink.",
            show_default="LOG's name + .outputs.mcap, here",
        ),
    ] = None
    no_output: Annotated[bool, typer.Option("--no-output", help="Write no output log.")] = False
    with_inputs: Annotated[
        bool, typer.Option("--with-inputs", help="Copy the input messages into the output log.")
    ] = False
    render: Annotated[
        Path | None, typer.Option(help="Draw the outputs on the frames: an .mp4 or .webm file.")
    ] = None
    render_camera: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The camera that --render shows.", show_default="the reference camera"
        ),
    ] = None
    jsonl: Annotated[Path | None, typer.Option(help="The outputs as JSON lines.")] = None
    rerun: Annotated[Path | None, typer.Option(help="Inputs and outputs for Rerun: an .rrd file.")] = None
    ledger: Annotated[Path | None, typer.Option(help="The outcome of each message: a CSV file.")] = None
    tables: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=log_path,
            help="The outputs as Parquet tables, a partition for each log: a folder or a URL.",
        ),
    ] = None
    recording: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The log's name in the tables.", show_default="LOG's name"),
    ] = None
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="SENSOR.KIND=SEVERITY[,seed=N]", help="Put a fault into the log; repeatable."),
    ] = None
    on_error: Annotated[OnError, typer.Option(help="When the plugin fails on a sample.")] = OnError.skip
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False
    force: Force = False
    device: EngineDevice = Device.auto
    backend: Backend = None
    precision: Precision = None
    batch: Annotated[
        int | None, typer.Option(min=1, help="Samples in a batch.", show_default="1", rich_help_panel=ENGINE)
    ] = None
    check: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="First compare N samples' answers with fp32 eager torch's; other answers: exit code 4.",
            rich_help_panel=ENGINE,
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads that prepare samples and run the model.",
            show_default="the cores, up to 8",
            rich_help_panel=ENGINE,
        ),
    ] = None
    view: Annotated[
        bool,
        typer.Option(
            "--view",
            help="Watch it in the Rerun viewer: a window, or without a display an address to open.",
            rich_help_panel=VIEWERS,
        ),
    ] = False
    layout: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="The layout that shows the outputs in Foxglove, to import there.",
            rich_help_panel=VIEWERS,
        ),
    ] = None
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Show it live in Foxglove, whose play, pause, seek and speed drive it; writes no file. It "
            "begins when a viewer connects, or with --rate at once.",
            rich_help_panel=VIEWERS,
        ),
    ] = False
    serve_host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where to listen; 0.0.0.0 is open to others.", rich_help_panel=VIEWERS
        ),
    ] = "127.0.0.1"
    serve_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0: any.", rich_help_panel=VIEWERS)
    ] = 8765
    output_dir: OutputDir = None
    jobs: Jobs = None
    on: On = None
    shard: ShardText = None
    split: SplitText = None

    @property
    def several(self) -> bool:
        """Return whether the logs are replayed as a batch."""
        return is_batch(self.logs, self, self.as_one)

    def job(self) -> ReplayJob:
        """Return the replay job of the first log.

        Raises:
            BadParameter: Options contradict each other.
        """
        rate = parse_rate(self.rate or ("1" if self.serve else "asap"), self.live_drop, self.step)
        engine = engine_values(
            backend=self.backend, precision=self.precision, batch=self.batch, workers=self.workers
        )
        self.logs = find_recordings(self.logs, self.output_dir, self.as_one)
        self._refuse_options()
        from perception.autoconfig import Overrides
        from perception.diagnosis.monitor import MonitorSink
        from perception.pipeline.replay_job import ReplayJob

        engine |= {"workers": 1} if self.step else {}
        return ReplayJob(
            log=self.logs[0],
            output=self._output(),
            render=self.render,
            render_camera=self.render_camera,
            jsonl=self.jsonl,
            ledger=self.ledger,
            rerun=self.rerun,
            layout=self.layout,
            with_inputs=self.with_inputs,
            config=self.config,
            overrides=Overrides(
                self.plugin,
                self.checkpoint,
                engine,
                faults=tuple(self.fault or ()),
                options=plugin_options(self.option or []),
            ),
            device=self.device.value,
            rate=rate,
            live_drop=self.live_drop,
            start=self.start,
            end=self.end,
            loops=self.loop,
            on_error=self.on_error.value,
            force=self.force,
            tables=self._tables(),
            monitor=MonitorSink,
        )

    def _output(self) -> Path | None:
        if self.no_output or self.serve:
            return None
        return self.output or Path(f"{self.logs[0].stem}.outputs.mcap")

    def _tables(self) -> TablesPlace | None:
        if self.tables is None:
            if self.recording is not None:
                raise typer.BadParameter("--recording names the log in --tables; add that")
            return None
        from perception.evaluation.match_rows import MatchRows
        from perception.pipeline.tables import TablesPlace

        return TablesPlace(self.tables, self.recording or "", matches=MatchRows)

    def _given(self, names: str) -> list[str]:
        """Return which of some options are set, as they are written."""
        return [f"--{name.replace('_', '-')}" for name in names.split() if getattr(self, name)]

    def _refuse_options(self) -> None:
        """Raise BadParameter if an option does not go with the number of logs, or with `--serve`."""
        if self.several:
            names = "output render jsonl ledger rerun layout view step no_output check recording serve"
            if options := self._given(names):
                several = "for one log alone; several go to --output-dir"
                raise typer.BadParameter(f"{', '.join(options)}: {several}")
        else:
            refuse_batch_options(self)
        if self.serve:
            names = "output render jsonl ledger rerun view tables with_inputs step live_drop check"
            options = self._given(names) + (["--loop"] if self.loop > 1 else [])
            if options:
                shown = "not with --serve, which shows and writes nothing"
                raise typer.BadParameter(f"{', '.join(options)}: {shown}")


def parse_rate(text: str, live_drop: bool, step: bool) -> float | None:
    """Return the rate; None for as fast as possible.

    Raises:
        BadParameter: The rate is neither `asap` nor a number above 0, or does not go with the other options.
    """
    if step and text != "asap":
        raise typer.BadParameter("--step goes by keys; leave out --rate")
    if text == "asap":
        if live_drop:
            raise typer.BadParameter("--live-drop needs a --rate: without one nothing is ever too late")
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not 0 < rate < float("inf"):
        raise typer.BadParameter(f"--rate: expected 'asap' or a number above 0, found '{text}'")
    return rate
