"""The results of a study as text: Markdown for `study.md`, and a summary of 80 columns. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perception.text import plural
from perception.training.ablation.gradient_courses import PAIRS

_MARKS = {"better": "+", "worse": "-", "cannot tell": ""}

LEGEND = (
    "class_AP: cells with an object's centre ranked above background, mean over classes, higher is better. "
    "box_IoU: overlap of box and truth at the objects' cells, higher. distance_err: median relative error at "
    "the objects' cells, lower. control_err: mean over channels of MAE over that of persistence, lower. "
    "These need no other head. mAP50, mAP and joint are those of validation, and need all heads of boxes."
)
RULE = (
    "Median (least to greatest) over seeds. Better and worse: Student's 95 % interval of the paired "
    "differences leaves out 0; one in twenty such statements about nothing is wrong. They speak of other "
    "seeds on these logs, not of other logs, nor of longer training."
)


def markdown(study: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, cost = study["runs"], study["cost"]["all"]
    parts = [
        "# Which task harms which",
        f"{runs['done']} of {runs['planned']} runs, each {study['steps']} steps of {study['batch']} samples; "
        f"{plural(study['seeds'], 'seed')}. " + RULE,
        LEGEND,
    ]
    if "heads" in study:
        parts += ["## Each head alone, and all together", _table(HEAD_COLUMNS, heads_rows(study["heads"])),
                  "![heads](heads.svg)"]  # fmt: skip
    if "gradients" in study:
        parts += _gradients_part(study["gradients"])
    if "balancing" in study:
        parts += [
            "## Methods of balancing",
            "+ better, - worse than static in the same seeds; without a mark it cannot be told. CPU "
            "seconds of a run.",
            _table(("method", *study["scores"], "CPU s"), balancing_rows(study)),
            *(f"{row['method']} failed: {text}" for row in study["balancing"] for text in row["errors"]),
            "![balancing](balancing.svg)",
        ]
    if "pareto" in study:
        axes = " against ".join(study["pareto"]["axes"])
        parts += [
            "## The trade-off of fixed weights",
            f"The weight of control changes, the others stay: {axes}, first seed. * no other point beats it.",
            _table(("weight of control", *study["scores"], "front"), pareto_rows(study)),
            "![pareto](pareto.svg)",
        ]
    parts += [
        "## What it cost",
        f"{cost['cpu_s']:.0f} s of CPU in training and {cost['scoring_cpu_s']:.0f} s in scoring for "
        f"{cost['steps']} steps and {cost['samples']} samples.",
        _table(("run", "seed", "steps", "samples", "CPU s", "scoring CPU s"), cost_rows(study["cost"])),
    ]
    return "\n\n".join(parts) + "\n"


def summary(study: Mapping[str, Any]) -> str:
    """Return the results in 80 columns."""
    runs, cost = study["runs"], study["cost"]["all"]
    lines = [
        f"{runs['done']} of {runs['planned']} runs of {study['steps']} steps, {study['seeds']} seeds; "
        f"{cost['cpu_s'] + cost['scoring_cpu_s']:.0f} s of CPU, {cost['samples']} samples"
    ]
    if "heads" in study:
        lines += ["", "each head alone -> with all the others (median over seeds)"]
        for head, score, alone, joint, _, verdict in heads_rows(study["heads"]):
            lines.append(f"  {head:9} {score:14} {alone.split()[0]:>8} -> {joint.split()[0]:>8}  {verdict}")
    if "gradients" in study:
        lines += ["", "cosine of the heads' gradients over the shared maps (mean, share below 0)"]
        for pair, value in study["gradients"]["pairs"].items():
            lines.append(f"  {pair:20} {value['mean']:+.2f}   {100 * value['share']:3.0f} %")
    if "balancing" in study:
        names = [name for name in study["scores"] if name != "mAP"][:5]
        lines += ["", "methods of balancing (+ better, - worse than static)"]
        lines.append("  " + f"{'method':12}" + "".join(f"{name:>13}" for name in names))
        for row in study["balancing"]:
            cells = (_cell(row, name, short=True) for name in names)
            lines.append("  " + f"{row['method']:12}" + "".join(f"{cell:>13}" for cell in cells))
    if "pareto" in study:
        x, y = study["pareto"]["axes"]
        lines += ["", f"weight of control: {x}, {y} (* on the front)"]
        for point in study["pareto"]["points"]:
            mark = " *" if point["front"] else ""
            lines.append(f"  {point['weight']:<6g} {point[x]:8.3f} {point[y]:8.3f}{mark}")
    return "\n".join(lines)


HEAD_COLUMNS = ("head", "measure", "alone", "together", "change", "statement")


def heads_rows(heads: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return two rows for each head: its loss, and its score."""
    rows: list[tuple[str, ...]] = []
    for head, about in heads.items():
        for name, change in ((f"loss/{head}", about["loss"]), (about["score"]["name"], about["score"])):
            shown = "loss" if name.startswith("loss/") else name
            if "verdict" not in change:
                rows.append((head, shown, "-", "-", "-", "not measured"))
                continue
            verdict = {"better": "better together", "worse": "worse together"}.get(change["verdict"])
            rows.append((head, shown, _spread(change["before"]), _spread(change["after"]),
                         _spread(change["change"], "+"), verdict or "cannot tell"))  # fmt: skip
    return rows


def balancing_rows(study: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each method."""
    return [
        (
            row["method"],
            *(_cell(row, name) for name in study["scores"]),
            f"{row['cpu_s']:.0f}" if row["cpu_s"] is not None else "-",
        )
        for row in study["balancing"]
    ]


def pareto_rows(study: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each weight."""
    return [
        (f"{p['weight']:g}", *(_number(p[name]) for name in study["scores"]), "*" if p["front"] else "")
        for p in study["pareto"]["points"]
    ]


def cost_rows(cost: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each run."""
    return [
        (r["run"], str(r["seed"]), str(r["steps"]), str(r["samples"]), f"{r['cpu_s']:.1f}",
         f"{r['scoring_cpu_s']:.1f}")
        for r in cost["runs"]
    ]  # fmt: skip


def _gradients_part(gradients: Mapping[str, Any]) -> list[str]:
    rows = [
        (pair, f"{v['mean']:+.3f}", f"{v['low']:+.3f} to {v['high']:+.3f}", f"{100 * v['share']:.0f} %")
        for pair in PAIRS
        if (v := gradients["pairs"].get(pair)) is not None
    ]
    lengths = ", ".join(f"{head} {value:.2f}" for head, value in gradients["norms"].items())
    return [
        "## Do the heads pull the same way",
        "Cosine between the gradients of the unweighted losses over the shared maps, on the same samples "
        "each time. Below 0 they are in conflict; near 0 they rest on different cells or channels.",
        _table(("pair", "mean", "means of the seeds", "below 0"), rows),
        f"Length of the gradients, in parts of their mean: {lengths}.",
        "![gradients](gradients.svg)",
    ]


def _cell(row: Mapping[str, Any], name: str, short: bool = False) -> str:
    values = row["scores"].get(name)
    if values is None:
        return "-"
    mark = _MARKS[row["against_static"].get(name, "cannot tell")]
    text = _number(values["median"]) if short else _spread(values)
    return f"{text} {mark}".rstrip() if not short else f"{text}{mark or ' '}"


def _spread(values: Mapping[str, Any], sign: str = "") -> str:
    middle = _number(values["median"], sign)
    if values["count"] == 1:
        return middle
    return f"{middle} ({_number(values['low'], sign)} to {_number(values['high'], sign)})"


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{value:{sign}.3f}" if abs(value) < 100 else f"{value:{sign}.0f}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *rows)]
    return "\n".join(lines)
