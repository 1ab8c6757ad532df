"""The plots of a study (matplotlib, extra `eval`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.evaluation.plotting import COLOURS, drawing, style
from perception.training.ablation.gradient_courses import PAIRS
from perception.types import LOSSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ARROWS = {"higher": "↑", "lower": "↓"}
KEY = "↑ higher is better, ↓ lower is better"


def draw_study(found: Mapping[str, Any], folder: Path) -> None:
    """Write `heads.svg`, `gradients.svg`, `balancing.svg` and `pareto.svg`, as far as there are results.

    Args:
        found: The study, as `study_report.report` returns it.
        folder: Exists.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: A file cannot be written.
    """
    if any("verdict" in about["score"] for about in found.get("heads", {}).values()):
        _heads(found["heads"], folder / "heads.svg")
    if found.get("gradients", {}).get("pairs"):
        _gradients(found["gradients"], folder / "gradients.svg")
    if any(row["scores"] for row in found.get("balancing", [])):
        _balancing(found, folder / "balancing.svg")
    if found.get("pareto", {}).get("points"):
        _pareto(found["pareto"], folder / "pareto.svg")


def _heads(heads: Mapping[str, Any], path: Path) -> None:
    """Draw a line for each seed, from alone to together."""
    with drawing(path, 9, 4.6) as figure:
        grid = figure.subplots(2, len(LOSSES))
        for column, (head, about) in enumerate(heads.items()):
            _slopes(grid[0][column], f"{head}: loss", about["loss"])
            _slopes(grid[1][column], f"{head}: {about['score']['name']}", about["score"])
        grid[0][0].legend()
        figure.supxlabel(KEY, fontsize=8)


def _slopes(axes: Axes, title: str, change: Mapping[str, Any]) -> None:
    axes.set_title(f"{title} {ARROWS[change['better']]}")
    axes.set_xticks([0, 1], ["alone", "together"])
    axes.set_xlim(-0.3, 1.3)
    if "verdict" not in change:
        return
    for index, seed in enumerate(change["seeds"]):
        values = [change[side]["values"][index] for side in ("before", "after")]
        axes.plot([0, 1], values, label=f"seed {seed}", **style(index))
    verdict = change["verdict"]
    axes.set_xlabel(verdict if verdict == "cannot tell" else f"{verdict} together")


def _gradients(gradients: Mapping[str, Any], path: Path) -> None:
    """Draw the mean cosine of each pair as a matrix, and its course over steps."""
    with drawing(path, 9, 3.6) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.7])
        size = len(LOSSES)
        values = [[1.0 if a == b else _mean(gradients, a, b) for b in LOSSES] for a in LOSSES]
        left.imshow(values, cmap="PuOr", vmin=-1, vmax=1)
        left.grid(False)
        left.set_xticks(range(size), LOSSES)
        left.set_yticks(range(size), LOSSES)
        for i in range(size):
            for j in range(size):
                shade = abs(values[i][j])
                left.text(j, i, f"{values[i][j]:+.2f}", ha="center", va="center",
                          color="white" if shade > 0.7 else "black")  # fmt: skip
        left.set_title("mean cosine of gradients")
        for index, pair in enumerate(PAIRS):
            course = [(e["step"], e["cosine"][pair]) for e in gradients["course"] if pair in e["cosine"]]
            if course:
                right.plot(*zip(*course, strict=True), label=pair, **style(index))
        right.axhline(0, color="0.4", linewidth=1)
        right.set_title("cosine over steps (mean over seeds)")
        right.set_xlabel("step")
        figure.legend(loc="outside lower right", ncols=6)


def _balancing(found: Mapping[str, Any], path: Path) -> None:
    """Draw a panel for each score: median and range of each method."""
    names = [n for n in found["scores"] if n != "mAP"]
    rows = found["balancing"]
    with drawing(path, 10, 4.8) as figure:
        grid = figure.subplots(2, 3, sharey=True)
        for axes, name in zip(grid.flat, names, strict=False):
            better = found["scores"][name]
            axes.set_title(f"{name} {ARROWS[better]}")
            axes.locator_params(axis="x", nbins=4)
            for place, row in enumerate(rows):
                values = row["scores"].get(name)
                if values is None:
                    continue
                verdict = row["against_static"].get(name, "cannot tell")
                colour = {"better": COLOURS[2], "worse": COLOURS[1], "cannot tell": COLOURS[6]}[verdict]
                marker = {"better": "^", "worse": "v", "cannot tell": "o"}[verdict]
                axes.plot([values["low"], values["high"]], [place, place], color=colour)
                axes.plot([values["median"]], [place], color=colour, marker=marker)
                if row["method"] == "static":
                    axes.axvline(values["median"], color="0.5", linestyle=":", linewidth=1)
            axes.set_yticks(range(len(rows)), [row["method"] for row in rows])
        grid[0][0].invert_yaxis()
        figure.supxlabel(
            f"{KEY}; median and range over seeds; triangle up: better than static, down: worse, "
            "circle: cannot tell",
            fontsize=8,
        )


def _pareto(pareto: Mapping[str, Any], path: Path) -> None:
    """Draw a point for each weight; those on the front are filled and joined."""
    x, y = pareto["axes"]
    with drawing(path, 5.6, 4) as figure:
        axes = figure.subplots()
        front = sorted((p[x], p[y]) for p in pareto["points"] if p["front"])
        if front:
            axes.plot(*zip(*front, strict=True), color=COLOURS[0], linestyle="--", label="not dominated")
        for point in pareto["points"]:
            fill = COLOURS[0] if point["front"] else "white"
            axes.plot([point[x]], [point[y]], "o", color=COLOURS[0], markerfacecolor=fill, markersize=8)
            axes.annotate(
                f"{point['weight']:g}", (point[x], point[y]), xytext=(7, 5), textcoords="offset points"
            )
        axes.set_title("weight of control: boxes against control")
        axes.set_xlabel(f"{x} (left is better)")
        axes.set_ylabel(f"{y} (up is better)")
        axes.margins(0.12)
        axes.legend(loc="best")


def _mean(gradients: Mapping[str, Any], a: str, b: str) -> float:
    pairs = gradients["pairs"]
    pair = pairs.get(f"{a}-{b}") or pairs.get(f"{b}-{a}")
    return float(pair["mean"]) if pair else float("nan")
