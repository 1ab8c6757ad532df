"""`perception verify OUT.mcap`: repeats the run that made an output log, and compares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception.remote import log_path
from perception_tools.exit_codes import with_exit_code
from perception_tools.shared_options import Device
from perception_tools.standard_output import answering, print_json


def verify(
    outputs: Annotated[Path, typer.Argument(help="The output log of a replay.", show_default=False)],
    input: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=log_path,
            help="The log it was made from.",
            show_default="beside OUTPUTS, where it was, or here",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="The weights.", show_default="where they were")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="Where to compute.", show_default="as it was")] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Equal within tolerance is not enough: exit code 4.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make stored outputs again from their receipt: bit-equal, equal within tolerance, or where they diverge.

    Every topic of the file and every entry of the receipt is compared, and what cannot be proven is said.
    Exit code 0: equal, also within tolerance; 4: outputs, a topic or the receipt diverge; 3: what is there is
    equal, and a part of the file is missing; 1: they cannot be made again.
    """
    from contextlib import ExitStack

    from perception.diagnosis.monitor import MonitorSink
    from perception.evaluation.agreement.recorded_run import find_input
    from perception.evaluation.agreement.verification import verify
    from perception.logs import open_log
    from perception.pipeline import Span, resolve_device
    from perception.plugin import load_plugin
    from perception_tools.replay.progress import observer as shown_progress
    from perception_tools.verify.text import show

    with ExitStack() as stack:
        stored = stack.enter_context(open_log(outputs))
        log = stack.enter_context(open_log(find_input(stored, input)))
        observer = stack.enter_context(shown_progress(log, Span(), step=False))
        where = None if device is None else resolve_device(device.value)
        verification = verify(stored, log, load_plugin, checkpoint, None, observer, where, MonitorSink)
    status = verification.outcome(exact)
    with answering(status):
        if as_json:
            print_json(with_exit_code(verification.to_json(), status))
        else:
            show(verification, log.path)
