"""`perception verify OUT.mcap`: repeat the run that made an output log, and compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception_tools.exit_codes import leave, with_exit_code
from perception_tools.replay.options import Device

if TYPE_CHECKING:
    from perception.evaluation.agreement.comparison import Difference
    from perception.evaluation.agreement.verification import Verification


def verify(
    outputs: Annotated[Path, typer.Argument(help="The output log of a replay.", show_default=False)],
    input: Annotated[
        Path | None,
        typer.Option(help="The log it was made from.", show_default="by its name, beside OUTPUTS or here"),
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

    Exit code 0: equal, also within tolerance; 4: they diverge; 1: they cannot be made again.
    """
    from contextlib import ExitStack

    from perception.evaluation.agreement.verification import find_input, verify
    from perception.logs import open_log
    from perception.pipeline import Span, resolve_device
    from perception.plugin import load_plugin
    from perception_tools.replay.progress import observer as shown_progress

    with ExitStack() as stack:
        stored = stack.enter_context(open_log(outputs))
        log = stack.enter_context(open_log(find_input(stored, input)))
        observer = stack.enter_context(shown_progress(log, Span(), step=False))
        where = None if device is None else resolve_device(device.value)
        found = verify(stored, log, load_plugin, checkpoint, observer=observer, device=where)
    status = found.outcome(exact)
    if as_json:
        print(json.dumps(with_exit_code(found.to_json(), status), indent=2, ensure_ascii=False))
    else:
        _show(found, log.path)
    leave(status)


def _show(found: Verification, log: Path) -> None:
    """The verdict for each head, first differences with their times, and what is not as it was."""
    told = {
        "equal": "equal bit for bit",
        "within_tolerance": "equal within tolerance",
        "diverged": "diverges",
    }
    print(f"{told[found.verdict]}: {found.stored} outputs, made again from {log}")
    if found.comparison.ticks is not None:
        print(f"  ticks: {_place(found, found.comparison.ticks)}")
    for name, head in found.heads.items():
        print(f"  {name:8}{told[head.verdict]}; {head.equal} of {head.frames} bit-equal")
        if head.verdict != "equal" and head.largest:
            largest = ", ".join(f"{key} {value:.3g}" for key, value in head.largest.items())
            print(f"          largest differences: {largest}")
        first = head.first or head.first_unequal
        if first is not None:
            print(f"          first {_place(found, first)}")
    for note in found.notes:
        print(f"note: {note}")


def _place(found: Verification, where: Difference) -> str:
    return f"at {(where.log_time_ns - found.start_ns) / 1e9:.3f} s ({where.log_time_ns}): {where.what}"
