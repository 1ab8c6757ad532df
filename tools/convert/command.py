"""`perception convert LOG OUT.mcap`: writes any readable log as an MCAP file, or many into a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.remote import log_path
from perception_tools.batch_options import (
    Jobs,
    On,
    OutputDir,
    ShardText,
    find_recordings,
    refuse_batch_options,
    run_many,
)
from perception_tools.command_arguments import takes
from perception_tools.exit_codes import with_exit_code
from perception_tools.shared_options import AsOne, Force
from perception_tools.standard_output import answering, print_json

if TYPE_CHECKING:
    from perception.logs.conversion import ConvertOptions


@dataclass
class ConvertArguments:
    """The arguments and options of `perception convert`."""

    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG... [OUT]",
            parser=log_path,
            help="The log, a path or a URL of any format, and the MCAP file to write. With --output-dir: "
            "logs and patterns of them.",
            show_default=False,
        ),
    ]
    cut: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="START END",
            help="Only this part, in seconds from the first sensor message; what holds on from before, "
            "transforms and camera infos, stays.",
        ),
    ] = None
    topics: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only these topics: '/camera/*'; repeatable.")
    ] = None
    as_recorded: Annotated[
        bool,
        typer.Option("--as-recorded", help="Keep every schema, also where Foxglove's says the same."),
    ] = False
    as_one: AsOne = False
    force: Force = False
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
    output_dir: OutputDir = None
    jobs: Jobs = None
    on: On = None
    shard: ShardText = None

    def options(self) -> ConvertOptions:
        """Return the options as the library takes them."""
        from perception.logs.conversion import ConvertOptions

        start_s, end_s = self.cut if self.cut is not None else (None, None)
        return ConvertOptions(start_s, end_s, tuple(self.topics or ()), self.as_recorded)


@takes(ConvertArguments)
def convert(given: ConvertArguments) -> None:
    """Write any log as MCAP with Foxglove's schemas, and say what was not carried over.

    Replay of the new log gives the outputs of the source. Exit code 3: parts of the source could not be read.
    """
    if given.output_dir is not None:
        _convert_many(given)
    else:
        _convert_one(given)


def _convert_one(given: ConvertArguments) -> None:
    from perception.logs.conversion.convert_log import is_converted_log
    from perception.logs.joined_path import as_one, parts_of
    from perception.path_guard import Read, Write, check_paths
    from perception.pipeline.batch import ConvertRecording

    refuse_batch_options(given)
    *logs, output = given.paths
    if len(logs) != 1 and not (given.as_one and logs):
        raise typer.BadParameter(
            f"expected a log and the file to write, found {len(given.paths)} paths; several logs go to "
            "--output-dir, or are one drive with --as-one"
        )
    log = as_one(logs) if given.as_one else logs[0]
    reads = [Read("the log", part) for part in parts_of(log)]
    check_paths(reads, [Write("OUT", output, is_converted_log)], force=given.force)
    if output.suffix not in ("", ".mcap"):
        raise typer.BadParameter(
            f"expected the file to write to end in .mcap, which is what is written, found {output}"
        )
    conversion = ConvertRecording(log, given.options()).into(output)
    with answering(conversion.status):
        if given.as_json:
            print_json(with_exit_code(conversion.to_json(), conversion.status))
        else:
            from perception_tools.convert.text import show

            show(conversion)


def _convert_many(given: ConvertArguments) -> None:
    from perception.pipeline.batch import ConvertRecording
    from perception_tools.convert.text import batch_document, show_batch

    logs = find_recordings(given.paths, given.output_dir, given.as_one)
    options = given.options()
    result = run_many([ConvertRecording(log, options) for log in logs], given)
    document = batch_document(result)
    with answering(result.status):
        if given.as_json:
            print_json(document)
        else:
            show_batch(document)
