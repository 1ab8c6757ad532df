"""`perception host STACK`: runs a plugin in a stack on the robot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_tools.command_arguments import takes
from perception_tools.exit_codes import with_exit_code
from perception_tools.shared_options import (
    Backend,
    Device,
    EngineDevice,
    PluginOptions,
    Precision,
    engine_values,
    plugin_options,
)
from perception_tools.standard_output import answering, print_json

if TYPE_CHECKING:
    from perception.pipeline.host_job import HostJob

ISOLATION = "A plugin in a process of its own"


@dataclass
class HostArguments:
    """The arguments and options of `perception host`."""

    stack: Annotated[str, typer.Argument(metavar="STACK", help="dora, ros2 or ros1.", show_default=False)]
    config: Annotated[
        Path, typer.Option(help="YAML; `perception info LOG --yaml` prints one.", show_default=False)
    ]
    record: Annotated[
        Path | None,
        typer.Option(help="Write inputs and outputs to an MCAP file, which replays to the same outputs."),
    ] = None
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of the stack (see docs/hosts.md); repeatable."
        ),
    ] = None
    plugin: Annotated[str | None, typer.Option(help="The plugin to run.", show_default="as configured")] = (
        None
    )
    checkpoint: Annotated[Path | None, typer.Option(help="Weights; default: the plugin's own.")] = None
    option: PluginOptions = None
    queue: Annotated[
        int,
        typer.Option(
            min=1, help="Messages of a camera or the reference that may wait; older ones are dropped."
        ),
    ] = 3
    as_json: Annotated[bool, typer.Option("--json", help="Print the account as one JSON object.")] = False
    isolate: Annotated[
        bool,
        typer.Option(
            "--isolate",
            help="Run the plugin in a process of its own: a crash, hang or leak costs its output only.",
            rich_help_panel=ISOLATION,
        ),
    ] = False
    answer_s: Annotated[
        float,
        typer.Option(
            "--answer-s",
            min=0.01,
            metavar="SECONDS",
            help="With --isolate: a plugin that takes longer for an answer is started again.",
            rich_help_panel=ISOLATION,
        ),
    ] = 2.0
    memory_mb: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --isolate: a plugin that holds more memory is started again.",
            show_default="half of the machine's",
            rich_help_panel=ISOLATION,
        ),
    ] = None
    device: EngineDevice = Device.auto
    backend: Backend = None
    precision: Precision = None

    def job(self) -> HostJob:
        """Return the job of a host.

        Raises:
            BadParameter: An option is not valid.
        """
        engine = engine_values(backend=self.backend, precision=self.precision)
        from perception.autoconfig import Overrides
        from perception.pipeline.host_job import HostJob

        options = plugin_options(self.option or [])
        return HostJob(
            config=self.config,
            overrides=Overrides(self.plugin, self.checkpoint, engine, options=options),
            device=self.device.value,
            record=self.record,
            queue=self.queue,
            isolate=self.isolate,
            answer_s=self.answer_s,
            memory_mb=self.memory_mb,
            options=_settings(self.setting or []),
        )


def _settings(texts: list[str]) -> dict[str, str]:
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"--set: expected KEY=VALUE, found {text!r}")
        settings[key.strip()] = value
    return settings


@takes(HostArguments)
def host(given: HostArguments) -> None:
    """Run a plugin in a stack on the robot: the same alignment and the same outputs as in replay.

    It ends with the stack, or by Ctrl-C or SIGTERM; both are a clean end.
    """
    job = given.job()
    from perception.pipeline.host_job import load_host
    from perception_tools.host.text import HealthLines, show

    summary = load_host(given.stack).serve(job, HealthLines())
    with answering(summary.status):
        if given.as_json:
            print_json(with_exit_code(summary.to_json(), summary.status))
        else:
            show(summary)
