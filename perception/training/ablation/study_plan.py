"""The plan of a study: runs of one training configuration, changed in one respect at a time. No torch.

All runs of a seed start from the same weights and see the same samples in the same order with the same
augmentation, so they can be compared in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception.errors import ConfigError
from perception.training.balancing.options import METHODS
from perception.training.config_file import lay_over, parse_train_config
from perception.training.train_config import StageConfig, TrainConfig
from perception.types import LOSSES

SECTIONS = ("heads", "gradients", "balancing", "pareto")
JOINT = "joint"
WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Weights of control in the sweep of the trade-off; the other heads keep theirs."""


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """The options of a study.

    Attributes:
        out: The folder of the study; results in it are kept and not computed again.
        steps: Number of steps of every run.
        seeds: Number of seeds: 0, 1, ... The sweep of weights uses the first only.
        only: Some of `SECTIONS`.
        measure: Number of measurements of gradients in a run.
    """

    out: Path
    steps: int = 100
    seeds: int = 3
    only: tuple[str, ...] = SECTIONS
    measure: int = 15

    def __post_init__(self) -> None:
        errors = [
            f"--only: expected some of {', '.join(SECTIONS)}; found {name!r}"
            for name in self.only
            if name not in SECTIONS
        ]
        for name, least in (("steps", 2), ("seeds", 1), ("measure", 1)):
            if getattr(self, name) < least:
                errors.append(f"{name}: expected at least {least}, found {getattr(self, name)}")
        if errors:
            raise ConfigError(errors, head="the study cannot be made")


@dataclass(frozen=True, slots=True)
class StudyRun:
    """One run of a study.

    Attributes:
        name: The change: `joint` (none), `alone-box`, `method-upgrad`, `control-0.1`.
        seed: Of weights, order and augmentation.
        config: The resolved configuration.
        heads: The heads that are trained.
    """

    name: str
    seed: int
    config: TrainConfig
    heads: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.config.run.out


def runs_of(config: TrainConfig, options: StudyOptions) -> list[StudyRun]:
    """Return every run that the chosen sections need, once each.

    They are ordered by seed, so that a study that is stopped early has results of every section.

    Raises:
        ConfigError: A changed configuration has errors.
    """
    runs: dict[tuple[int, str], StudyRun] = {}
    for seed in range(options.seeds):
        for name, changes in _wanted(config, options, seed).items():
            head = name.removeprefix("alone-")
            heads = (head,) if head in LOSSES else LOSSES
            resolved = _resolved(config, options, name, seed, changes)
            runs[seed, name] = StudyRun(name, seed, resolved, heads)
    return list(runs.values())


def method_name(config: TrainConfig, method: str) -> str:
    """Return the name of the run with a balancing method: the joint run for the configuration's own."""
    return JOINT if config.balancing.get("method", "static") == method else f"method-{method}"


def weight_name(config: TrainConfig, weight: float) -> str:
    """Return the name of the run with a weight of control under fixed weights."""
    if weight == 1:
        return method_name(config, "static")
    return f"control-{weight:g}"


def _wanted(config: TrainConfig, options: StudyOptions, seed: int) -> dict[str, dict[str, Any]]:
    """Return name -> changes to the configuration."""
    wanted: dict[str, dict[str, Any]] = {JOINT: {}}
    weights = dict(config.balancing.get("weights") or {})
    if "heads" in options.only:
        wanted |= {f"alone-{head}": _alone(config, head, weights) for head in LOSSES}
    if "balancing" in options.only:
        short = {
            "dwa": {"period": max(options.steps // 10, 1)}
        }  # the default of 100 would have no second period
        for method in METHODS:
            wanted[method_name(config, method)] = _by(method, weights, short.get(method, {}))
    if "pareto" in options.only and seed == 0:
        for weight in WEIGHTS:
            scaled = weights | {"control": weight * weights.get("control", 1.0)}
            wanted[weight_name(config, weight)] = _by("static", scaled)
    wanted[JOINT] = {}
    return wanted


def _alone(config: TrainConfig, head: str, weights: Mapping[str, float]) -> dict[str, Any]:
    """Return the changes that train one head only, in every stage of the curriculum, without balancing."""
    curriculum = config.schedule.curriculum
    if not curriculum or curriculum[-1].until < 1:
        curriculum = (*curriculum, StageConfig(until=1.0))
    stages = [stage.model_dump(mode="json") | {"heads": [head]} for stage in curriculum]
    kept = {name: weight for name, weight in weights.items() if name == head}
    return {"schedule.curriculum": stages, "balancing": {"method": "static", "weights": kept}}


def _by(method: str, weights: Mapping[str, float], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"balancing": {"method": method, "weights": dict(weights), **(more or {})}}


def _resolved(
    config: TrainConfig, options: StudyOptions, name: str, seed: int, changes: Mapping[str, Any]
) -> TrainConfig:
    steps = options.steps
    plain = config.model_dump(mode="json", by_alias=True)
    small: dict[str, Any] = {
        "schedule.steps": steps,
        "schedule.warmup_steps": min(config.schedule.warmup_steps, steps // 10),
        "schedule.validate_every": steps,
        "schedule.save_every": max(steps // 3, 1),
        "schedule.max_cpu_s": None,
        "schedule.early_stop": None,
        "data.calibrate": [],
        "run.out": str(options.out / "runs" / f"{name}-s{seed}"),
        "run.seed": seed,
        "run.evaluate": False,
        "run.tensorboard": False,
        "run.plots": False,
    }
    return parse_train_config(lay_over(plain, small | dict(changes)), f"({name})")


def budget(runs: Sequence[StudyRun]) -> dict[str, int]:
    """Return the numbers of runs, steps and samples."""
    return {
        "runs": len(runs),
        "steps": sum(run.config.schedule.steps for run in runs),
        "samples": sum(run.config.schedule.steps * run.config.schedule.batch for run in runs),
    }
