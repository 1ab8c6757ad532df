"""`perception synthesize OUT`: makes logs of a simulated world, with exact truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perception.errors import OutputError
from perception.files import write_problem
from perception_tools.exit_codes import with_exit_code
from perception_tools.printing import make_console, say
from perception_tools.shared_options import Force
from perception_tools.standard_output import print_json

if TYPE_CHECKING:
    from perception.simulation import Order

MAX_DURATION_S = 120.0
"""The longest drive: the ground is painted before it begins, and too coarsely for a longer one."""


def synthesize(
    out: Annotated[
        Path,
        typer.Argument(
            help="The log to make (.mcap), or a folder for several: OUT/SEED.mcap.", show_default=False
        ),
    ],
    seed: Annotated[
        int, typer.Option(help="The world to make; the same seed gives the same bytes.", min=0)
    ] = 0,
    duration: Annotated[float, typer.Option(help="Length of a log, s.", min=0.5, max=MAX_DURATION_S)] = 20.0,
    count: Annotated[
        int, typer.Option(help="How many logs, with seeds SEED, SEED + 1 and so on.", min=1)
    ] = 1,
    scene: Annotated[
        Path | None, typer.Option(help="What to fix about the world: place, light, timing, faults (YAML).")
    ] = None,
    jobs: Annotated[int, typer.Option(help="How many logs to make at the same time.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    force: Force = False,
) -> None:
    """Make logs of a simulated world: camera, laser scan, vehicle status, and the truth about them."""
    from perception.path_guard import Read, Write, check_paths
    from perception.simulation import Order, Scenario, is_simulated, load_scenario
    from perception.simulation.gl import mujoco

    scenario = load_scenario(scene) if scene is not None else Scenario()
    mujoco()  # says at once what is missing
    paths = _paths(out, seed, count)
    reads = [Read("the scene", scene)] if scene is not None else []
    orders = [Order(path, seed + k, scenario, duration) for k, path in enumerate(paths)]
    writes = [
        Write(
            "OUT", order.path, partial(is_simulated, seed=order.seed, scenario=scenario, duration_s=duration)
        )
        for order in orders
    ]
    check_paths(reads, writes, force=force)
    _make(orders, jobs)
    if as_json:
        logs = [{"path": str(o.path), "seed": o.seed, "bytes": o.path.stat().st_size} for o in orders]
        report = {"schema": "perception.synthesize/1", "status": "clean", "logs": logs}
        print_json(with_exit_code(report, "clean"))
    else:
        for order in orders:
            size = order.path.stat().st_size / 1e6
            say(f"written: {order.path} ({duration:g} s, seed {order.seed}, {size:.1f} MB)")


def _paths(out: Path, seed: int, count: int) -> list[Path]:
    """Return the paths of the logs: in a folder, unless one log is requested by a file name."""
    try:
        if count == 1 and out.suffix == ".mcap" and not out.is_dir():
            out.parent.mkdir(parents=True, exist_ok=True)
            return [out]
        if out.suffix == ".mcap" and not out.is_dir():
            raise OutputError(f"{count} logs need a folder, found the name of one log, name a folder: {out}")
        if out.suffix and not out.is_dir():
            raise OutputError(
                f"expected a name that ends in .mcap, or a folder without a suffix, found: {out}"
            )
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder for the logs: {write_problem(out, error)}: {out}"
        ) from error
    return [out / f"{seed + k:06d}.mcap" for k in range(count)]


def _make(orders: list[Order], jobs: int) -> None:
    """Make the logs, with a progress bar on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from perception.simulation import generate_many

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("frames", total=None)
        done_of: dict[int, int] = {}

        def tell(order: Order, done: int, total: int) -> None:
            done_of[order.seed] = done
            bar.update(task, total=total * len(orders), completed=sum(done_of.values()))

        generate_many(orders, jobs, tell)
