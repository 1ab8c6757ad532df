"""The results of a study as plain data: `study.json`. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from perception.training.ablation.gradient_courses import conflicts, mean_course, mean_norms
from perception.training.ablation.paired_changes import Better, non_dominated, paired, spread
from perception.training.ablation.study_plan import JOINT, WEIGHTS, StudyOptions, method_name, weight_name
from perception.training.balancing.options import METHODS
from perception.training.train_config import TrainConfig
from perception.types import LOSSES

SCHEMA = "perception.study/1"

ALONE: Mapping[str, tuple[str, Better]] = {
    "class": ("class_AP", "higher"),
    "box": ("box_IoU", "higher"),
    "distance": ("distance_err", "lower"),
    "control": ("control_err", "lower"),
}
"""The score of each head that needs no other head (`perception.training.ablation.dense_scores`)."""

TOGETHER: Mapping[str, Better] = {
    **dict(ALONE.values()),
    "mAP50": "higher",
    "mAP": "higher",
    "joint": "higher",
}
"""The scores that are compared between runs that trained all heads."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run that is done or has failed.

    Attributes:
        name, seed, heads: As in `StudyRun`.
        steps, samples: Numbers of steps and samples.
        cpu_s: CPU time of the training loop.
        scoring_cpu_s: CPU time of the dense scores.
        scores: Of the last weights; empty where the run failed.
        error: Why it failed; empty where it did not.
        gradients: Measurements of `gradient_probe.Probe`.
    """

    name: str
    seed: int
    heads: tuple[str, ...]
    steps: int
    samples: int
    cpu_s: float
    scoring_cpu_s: float
    scores: Mapping[str, float]
    error: str = ""
    gradients: tuple[Mapping[str, Any], ...] = field(default=())

    def score(self, name: str) -> float | None:
        """Return a score; `control_err` is the mean over channels of the error over that of persistence."""
        if name != "control_err":
            return self.scores.get(name)
        parts = [
            value / self.scores[f"MAE_persistence/{key.removeprefix('MAE/')}"]
            for key, value in self.scores.items()
            if key.startswith("MAE/") and self.scores.get(f"MAE_persistence/{key.removeprefix('MAE/')}")
        ]
        return sum(parts) / len(parts) if parts else None


def report(
    config: TrainConfig, options: StudyOptions, planned: Mapping[str, int], results: Sequence[RunResult]
) -> dict[str, Any]:
    """Return the chosen sections of the report, from the runs that are done.

    Args:
        config: The configuration that is studied.
        options: The size of the study.
        planned: As `study_plan.budget` returns it.
        results: In the order of the runs.
    """
    sections: dict[str, Any] = {
        "schema": SCHEMA,
        "status": "clean" if len(results) == planned["runs"] else "interrupted",
        "runs": {"done": len(results), "planned": planned["runs"]},
        "steps": options.steps,
        "batch": config.schedule.batch,
        "seeds": options.seeds,
        "balancing_of_joint": config.balancing.get("method", "static"),
        "scores": dict(TOGETHER),
    }
    if "heads" in options.only:
        sections["heads"] = {head: _head(head, results) for head in LOSSES}
    if "gradients" in options.only:
        sections["gradients"] = _gradients(results)
    if "balancing" in options.only:
        sections["balancing"] = _balancing(config, results)
    if "pareto" in options.only:
        sections["pareto"] = _pareto(config, results)
    sections["cost"] = _cost(results)
    return sections


def _head(head: str, results: Sequence[RunResult]) -> dict[str, Any]:
    """Return the scores of a head alone and with all others, and the change."""
    name, better = ALONE[head]
    return {
        "loss": _change(results, f"alone-{head}", JOINT, f"loss/{head}", "lower"),
        "score": {"name": name} | _change(results, f"alone-{head}", JOINT, name, better),
    }


def _change(
    results: Sequence[RunResult], before: str, after: str, score: str, better: Better
) -> dict[str, Any]:
    """Return the change from one run to another over the seeds of which both are done."""
    first, second = _by_seed(results, before, score), _by_seed(results, after, score)
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return {"better": better, "seeds": []}
    pairs = [first[seed] for seed in seeds], [second[seed] for seed in seeds]
    change = paired(*pairs, better)
    return {
        "better": better,
        "seeds": seeds,
        "before": asdict(spread(pairs[0])) | {"values": pairs[0]},
        "after": asdict(spread(pairs[1])) | {"values": pairs[1]},
        "change": asdict(change.spread),
        "verdict": change.verdict,
    }


def _by_seed(results: Sequence[RunResult], name: str, score: str) -> dict[int, float]:
    by_seed = {result.seed: result.score(score) for result in results if result.name == name}
    return {seed: value for seed, value in by_seed.items() if value is not None}


def _gradients(results: Sequence[RunResult]) -> dict[str, Any]:
    courses = [result.gradients for result in results if result.name == JOINT and result.gradients]
    return {
        "seeds": len(courses),
        "pairs": conflicts(courses),
        "norms": mean_norms(courses),
        "course": mean_course(courses),
    }


def _balancing(config: TrainConfig, results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """Return a row for each method: its scores, and whether they differ from fixed weights."""
    static = method_name(config, "static")
    rows = []
    for method in METHODS:
        name = method_name(config, method)
        mine = [result for result in results if result.name == name]
        row: dict[str, Any] = {"method": method, "run": name, "seeds": [r.seed for r in mine if r.scores]}
        row["scores"] = {
            score: asdict(spread(list(values.values())))
            for score in TOGETHER
            if (values := _by_seed(results, name, score))
        }
        row["against_static"] = {
            score: change["verdict"]
            for score, better in TOGETHER.items()
            if name != static and "verdict" in (change := _change(results, static, name, score, better))
        }
        row["cpu_s"] = sum(result.cpu_s for result in mine) / len(mine) if mine else None
        row["errors"] = [result.error for result in mine if result.error]
        rows.append(row)
    return rows


def _pareto(config: TrainConfig, results: Sequence[RunResult]) -> dict[str, Any]:
    """Return the sweep of control's weight: boxes against control, of the first seed."""
    axes: tuple[str, str] = ("control_err", "box_IoU")
    points = []
    for weight in WEIGHTS:
        name = weight_name(config, weight)
        made = next((r for r in results if r.name == name and r.seed == 0 and r.scores), None)
        if made is not None:
            points.append({"weight": weight, "run": name} | {score: made.score(score) for score in TOGETHER})
    complete = [p for p in points if all(p[axis] is not None for axis in axes)]
    front = non_dominated(
        [[float(p[axis]) for axis in axes] for p in complete],  # type: ignore[arg-type]
        [TOGETHER[axis] for axis in axes],
    )
    for point, is_on in zip(complete, front, strict=True):
        point["front"] = is_on
    return {"axes": axes, "points": complete}


def _cost(results: Sequence[RunResult]) -> dict[str, Any]:
    keys = ("steps", "samples", "cpu_s", "scoring_cpu_s")
    each = [
        {"run": r.name, "seed": r.seed} | {key: round(getattr(r, key), 2) for key in keys} for r in results
    ]
    return {"all": {key: round(sum(getattr(r, key) for r in results), 1) for key in keys}, "runs": each}
