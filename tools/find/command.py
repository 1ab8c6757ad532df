"""`perception find DIR CONDITION`: the moments for which a condition holds, from the tables of recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception.remote import log_path
from perception_tools.exit_codes import with_exit_code
from perception_tools.standard_output import answering, print_json


def find(
    tables: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=log_path, help="The folder or URL that --tables named.", show_default=False
        ),
    ],
    condition: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONDITION]",
            help="As 'speed > 5 and abs(control.curvature.error) > 0.02'. Without one: the names there are.",
            show_default=False,
        ),
    ] = None,
    gap: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Ticks this far apart at most are one moment.")
    ] = 1.0,
    limit: Annotated[int, typer.Option(min=1, help="How many moments to print; --json has all.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the moments for which a condition holds, each with the command that replays it.

    Values are those of a tick: a status channel (speed), a channel of a head (control.curvature, .error,
    .std, .true), a sensor (camera.present, range.age_ms), a stage (timing.infer), counts (detections.count,
    missed, false_alarms), or those of one detection (detections.label = 'person' and detections.distance_m <
    5). There are and, or, not, comparisons, + - * /, abs() and known().
    """
    from perception.evaluation.find import find_moments, names_of_tables
    from perception_tools.find.text import names_document, show, show_names

    if condition is None:
        names = names_of_tables(tables)
        with answering("clean"):
            if as_json:
                print_json(with_exit_code(names_document(names), "clean"))
            else:
                show_names(names)
        return
    result = find_moments(tables, condition, gap_s=gap)
    with answering(result.status):
        if as_json:
            print_json(with_exit_code(result.to_json(), result.status))
        else:
            show(result, limit)
