"""AdamW over groups of parameters: a learning rate for each part, no decay where decay does harm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from perception.errors import ConfigError
from perception.models import FusionModel
from perception.training.train_config import OptimiserConfig, ScheduleConfig


def make_optimiser(
    model: FusionModel, config: OptimiserConfig, extra: Iterable[nn.Parameter] = ()
) -> torch.optim.AdamW:
    """The optimiser of all parameters that are not frozen.

    Args:
        model: Its parts are named by `lr_factors` (`camera`, `class_head`, `fusion.0`).
        config: Learning rates.
        extra: Parameters of losses and balancing; they do not decay.

    Raises:
        ConfigError: A name in `lr_factors` is the beginning of no parameter's.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    names = [name for name, _ in model.named_parameters()]
    faults = [
        f"optimiser.lr_factors.{part}: no parameter's name begins so; expected one of "
        + ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
        for part in config.lr_factors
        if not any(begins(name, part) for name in names)
    ]
    if faults:
        raise ConfigError(faults)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 and not name.endswith("null") else 0.0
            groups.setdefault((_factor(name, config), decay), []).append(parameter)
    if not groups:
        raise ConfigError(["transfer.freeze: all parameters are frozen, so there is nothing to train"])
    others = list(extra)
    if others:
        groups.setdefault((1.0, 0.0), []).extend(others)
    parameters = [
        {"params": members, "lr": config.lr * factor, "weight_decay": decay, "factor": factor}
        for (factor, decay), members in groups.items()
    ]
    return torch.optim.AdamW(parameters, lr=config.lr, betas=config.betas, fused=True)


def set_rate(
    optimiser: torch.optim.Optimizer, config: OptimiserConfig, schedule: ScheduleConfig, step: int
) -> float:
    """The learning rate of a step: linear warm-up, then a cosine (Loshchilov and Hutter 2017). Returns it."""
    rate = config.lr * rate_factor(schedule, step)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


def rate_factor(schedule: ScheduleConfig, step: int) -> float:
    """What part of the learning rate a step has, 0 to 1."""
    if step < schedule.warmup_steps:
        return (step + 1) / (schedule.warmup_steps + 1)
    done = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(1.0, done))) / 2
    return schedule.final_lr + (1 - schedule.final_lr) * cosine


def begins(name: str, part: str) -> bool:
    """Whether a parameter belongs to a part: `camera` has `camera.backbone.stem`, `camera.back` has not."""
    return name == part or name.startswith(part + ".")


def clip(parameters: Sequence[Tensor], most: float | None) -> float:
    """Scale gradients down to a norm; returns the norm before. Not finite: left as they are."""
    with_gradient = [p for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in with_gradient if p.grad is not None])
    value = float(norm)
    if most is not None and math.isfinite(value):
        torch.nn.utils.clip_grads_with_norm_(with_gradient, most, norm)
    return value


def _factor(name: str, config: OptimiserConfig) -> float:
    """That of the longest name that fits."""
    fitting = [part for part in config.lr_factors if begins(name, part)]
    return config.lr_factors[max(fitting, key=len)] if fitting else 1.0
