"""`perception compare A B LOG...`: compares two sides on the same logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from perception_tools.command_arguments import takes
from perception_tools.exit_codes import schema_with_exit_code, with_exit_code
from perception_tools.scoring_options import SHOWN, Logs, ScoringArguments
from perception_tools.standard_output import answering, print_json

_SIDE = (
    "A checkpoint (.safetensors), a plugin's name, PLUGIN:CHECKPOINT, or stored outputs (.mcap; a folder)."
)


@dataclass
class CompareArguments(ScoringArguments):
    """The arguments and options of `perception compare`."""

    a: Annotated[str | None, typer.Argument(metavar="A", help=_SIDE, show_default=False)] = None
    b: Annotated[str | None, typer.Argument(metavar="B", help="Likewise.", show_default=False)] = None
    logs: Logs = None
    apart: Annotated[
        int,
        typer.Option(min=0, help="How many moments of largest difference to name.", rich_help_panel=SHOWN),
    ] = 10


@takes(CompareArguments)
def compare(given: CompareArguments) -> None:
    """Run two on the same logs, read once, and say of each metric whether B is better or worse than A."""
    from perception.errors import ConfigError

    if given.schema:
        from perception.evaluation.comparison.comparison_report import compare_schema

        print_json(schema_with_exit_code(compare_schema()))
        return
    logs, errors = given.logs or [], given.errors()
    errors += ["A, B: missing; name two"] if given.a is None or given.b is None else []
    errors += [] if logs else ["LOG: missing; name at least one log"]
    if errors or given.a is None or given.b is None:
        raise ConfigError(errors)

    from perception.evaluation.comparison.compare_logs import compare_logs
    from perception_tools.replay.progress import observer

    report = compare_logs(
        (given.a, given.b),
        logs,
        given.config,
        given.scoring(),
        given.apart,
        watch=lambda log, span: observer(log, span, step=False),
    )
    with answering(report.status):
        if given.as_json:
            print_json(with_exit_code(report.to_json(), report.status))
        else:
            from perception_tools.compare.text import show

            show(report)
