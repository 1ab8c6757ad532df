"""The options of commands that score: those that `evaluate` and `compare` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.remote import log_path
from perception_tools.shared_options import (
    Backend,
    Device,
    EngineDevice,
    PluginOptions,
    Precision,
    engine_values,
    plugin_options,
)

if TYPE_CHECKING:
    from perception.evaluation import EvaluateOptions


MAKES = "What makes the outputs"
RULES = "What counts"
SURE = "How sure"
SHOWN = "What is shown"


Logs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[LOGS]...",
        parser=log_path,
        help="The logs, with truth: paths, URLs, and patterns of them ('drives/**/*.mcap').",
        show_default=False,
    ),
]


@dataclass
class ScoringArguments:
    """The options that evaluate and compare share."""

    config: Annotated[
        Path | None,
        typer.Option(
            help="The configuration. Default: found by schema.", rich_help_panel=MAKES, show_default=False
        ),
    ] = None
    option: PluginOptions = None
    backend: Backend = None
    precision: Precision = None
    device: EngineDevice = Device.auto
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Score from here on: seconds from the first sensor message, or log time in nanoseconds.",
            rich_help_panel=RULES,
        ),
    ] = None
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="Likewise; exclusive.", rich_help_panel=RULES)
    ] = None
    min_height: Annotated[
        float,
        typer.Option(
            min=0, help="Truth lower than this is an ignore region (source px).", rich_help_panel=RULES
        ),
    ] = 12.0
    min_visible: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Truth less visible than this is an ignore region.", rich_help_panel=RULES
        ),
    ] = 0.3
    min_support: Annotated[
        int, typer.Option(min=1, help="Values that rest on less are undefined.", rich_help_panel=RULES)
    ] = 10
    draws: Annotated[
        int,
        typer.Option(
            min=0,
            help="How often logs and blocks are drawn for intervals; 0: no intervals.",
            rich_help_panel=SURE,
        ),
    ] = 1000
    seed: Annotated[
        int, typer.Option(help="The seed of the draws: equal seeds, equal intervals.", rich_help_panel=SURE)
    ] = 0
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=SHOWN)] = (
        False
    )
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of --json.", rich_help_panel=SHOWN)
    ] = False

    def errors(self) -> list[str]:
        """Return one line for each option that is wrong."""
        wrong = 0 < self.draws < 100
        return [f"--draws: expected 0, or 100 and more, found {self.draws}"] if wrong else []

    def scoring(self) -> EvaluateOptions:
        """Return these options as the library takes them."""
        from perception.autoconfig import Overrides
        from perception.evaluation import EvaluateOptions, Resampling
        from perception.evaluation.metrics import Rules
        from perception.pipeline import ReplayOptions

        return EvaluateOptions(
            rules=Rules(
                min_height_px=self.min_height, min_visible=self.min_visible, min_support=self.min_support
            ),
            resampling=Resampling(max(self.draws, 100), self.seed) if self.draws else None,
            overrides=Overrides(
                engine=engine_values(backend=self.backend, precision=self.precision),
                options=plugin_options(self.option or []),
            ),
            replay=ReplayOptions(device=self.device.value),
            start=self.start,
            end=self.end,
        )
