"""`perception convert LOG OUT.mcap`: writes any readable log as an MCAP file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_tools.command_arguments import OneLog
from perception_tools.exit_codes import with_exit_code
from perception_tools.replay.options import AsOne, Force
from perception_tools.standard_output import answering, print_json


def convert(
    log: OneLog,
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="The MCAP file to write.", show_default=False)
    ],
    cut: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="START END",
            help="Only this part, in seconds from the first sensor message; what holds on from before, "
            "transforms and camera infos, stays.",
        ),
    ] = None,
    topics: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only these topics: '/camera/*'; repeatable.")
    ] = None,
    as_recorded: Annotated[
        bool,
        typer.Option("--as-recorded", help="Keep every schema, also where Foxglove's says the same."),
    ] = False,
    as_one: AsOne = False,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write any log as MCAP with Foxglove's schemas, and say what was not carried over.

    Replay of the new log gives the outputs of the source. Exit code 3: parts of the source could not be read.
    """
    from perception.logs import open_log
    from perception.logs.conversion import ConvertOptions, convert_log
    from perception.logs.conversion.convert_log import is_converted_log
    from perception.logs.joined_path import as_one as as_one_drive
    from perception.logs.joined_path import parts_of
    from perception.path_guard import Read, Write, check_paths

    log = as_one_drive([log]) if as_one else log
    reads = [Read("the log", part) for part in parts_of(log)]
    check_paths(reads, [Write("OUT", output, is_converted_log)], force=force)
    start_s, end_s = cut if cut is not None else (None, None)
    with open_log(log) as opened:
        conversion = convert_log(
            opened, output, ConvertOptions(start_s, end_s, tuple(topics or ()), as_recorded)
        )
    with answering(conversion.status):
        if as_json:
            print_json(with_exit_code(conversion.to_json(), conversion.status))
        else:
            from perception_tools.convert.text import show

            show(conversion)
