"""The plots of a training run: `plots.svg` in its folder, from its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.errors import MissingExtraError, OutputError
from perception.evaluation.plotting import drawing, need_matplotlib, style
from perception.training.loop.journal import read_journal
from perception.training.loop.observer import Watcher

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE = "plots.svg"

Line = Mapping[str, Any]
Course = tuple[list[int], list[float]]

_MARKED = 30
"""Lines with more points have no markers."""


def draw_run(folder: Path, watcher: Watcher) -> None:
    """Draw the metrics of a run. A failure is reported to the watcher and does not fail the run."""
    try:
        need_matplotlib("drawing plots")
        lines = read_journal(folder)
        if any(line["kind"] == "train" for line in lines):
            plot_run(lines, folder / FILE)
    except MissingExtraError as error:
        watcher.message(f"no plots: {error}")
    except (OutputError, OSError, ValueError, KeyError) as error:
        watcher.message(f"no plots: {' '.join(str(error).split())}")


def plot_run(lines: Sequence[Line], path: Path) -> None:
    """Draw losses, validation scores, control errors, learning rate and balancing weights over steps.

    Args:
        lines: Of a run's metrics.
        path: An SVG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    train = [line for line in lines if line["kind"] == "train"]
    checks = [line for line in lines if line["kind"] == "validate"]
    best = [line["step"] for line in checks if line.get("best")][-1:]
    with drawing(path, 10, 7) as figure:
        (a, b), (c, d), (e, f) = figure.subplots(3, 2, sharex=True)
        _panel(a, "loss of each head, in training", courses(train, "loss/"))
        _panel(
            b, "validation: boxes", {k: course(checks, k) for k in ("joint", "mAP50", "mAP", "D-ECE")}, best
        )
        b.set_ylim(0, 1)
        _panel(c, "weight of each head", courses(train, "weight/"))
        _panel(d, "validation: relative error of distance", {"mean": course(checks, "distance_rel")}, best)
        _panel(e, "learning rate", {"lr": course(train, "lr")})
        _panel(f, "validation: control, MAE over persistence", control_courses(checks), best)
        for axes in (d, f):
            axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        for axes in (e, f):
            axes.set_xlabel("step")


def course(lines: Sequence[Line], name: str) -> Course:
    """Return steps and values of one number; lines where it is missing or null are left out."""
    points = [(line["step"], float(line[name])) for line in lines if line.get(name) is not None]
    return [step for step, _ in points], [value for _, value in points]


def courses(lines: Sequence[Line], prefix: str) -> dict[str, Course]:
    """Return all numbers whose names start with a prefix, by the rest of the name."""
    names = dict.fromkeys(name for line in lines for name in line if name.startswith(prefix))
    return {name.removeprefix(prefix): course(lines, name) for name in names}


def control_courses(lines: Sequence[Line]) -> dict[str, Course]:
    """Return channel -> its error over that of persistence (predicting the command in force)."""
    ratios = {}
    for channel in courses(lines, "MAE/"):
        over = [
            {"step": line["step"], "over": line[f"MAE/{channel}"] / line[f"MAE_persistence/{channel}"]}
            for line in lines
            if line.get(f"MAE/{channel}") is not None and line.get(f"MAE_persistence/{channel}")
        ]
        ratios[channel] = course(over, "over")
    return ratios


def _panel(axes: Axes, title: str, shown: Mapping[str, Course], best: Sequence[int] = ()) -> None:
    axes.set_title(title)
    drawn = [(name, at, values) for name, (at, values) in shown.items() if at]
    for index, (name, at, values) in enumerate(drawn):
        looks = style(index)
        if len(at) > _MARKED:
            looks["marker"] = ""
        axes.plot(at, values, label=name, **looks)
    for step in best:
        axes.axvline(step, color="0.4", linestyle=":", linewidth=1, label="kept")
    if drawn:
        axes.legend(ncols=min(len(drawn) + len(best), 5), loc="best")
    else:
        axes.text(0.5, 0.5, "nothing noted", transform=axes.transAxes, ha="center", va="center", color="0.4")
