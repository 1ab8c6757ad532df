"""The optimiser (AdamW over groups of parameters), its learning rates, and the moving average of weights."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from perception.errors import ConfigError
from perception.models import FusionModel
from perception.training.train_config import OptimiserConfig, ScheduleConfig


class PlainAdamW(torch.optim.AdamW):
    """AdamW without the wrappers that import torch's compiler, which takes longer than to import torch.

    They keep a compiler from tracing into the optimiser; nothing here is compiled. The arithmetic
    is the same.
    """

    add_param_group: Any = inspect.unwrap(torch.optim.AdamW.add_param_group)
    state_dict: Any = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict: Any = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    zero_grad: Any = inspect.unwrap(torch.optim.AdamW.zero_grad)
    step: Any = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def make_optimiser(
    model: FusionModel, config: OptimiserConfig, extra: Iterable[nn.Parameter] = ()
) -> PlainAdamW:
    """Return the optimiser of all parameters that are not frozen.

    Biases, scales and learned nulls do not decay.

    Args:
        model: `lr_factors` names its parts (`camera`, `class_head`, `fusion.0`).
        config: Learning rates.
        extra: Parameters of losses and balancing; they do not decay.

    Raises:
        ConfigError: A name in `lr_factors` fits no parameter, or all parameters are frozen.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    names = [name for name, _ in model.named_parameters()]
    errors = [
        f"optimiser.lr_factors.{part}: no parameter's name begins so; expected one of "
        + ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
        for part in config.lr_factors
        if not any(belongs_to(name, part) for name in names)
    ]
    if errors:
        raise ConfigError(errors)
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
    return PlainAdamW(parameters, lr=config.lr, betas=config.betas, fused=True)


def set_rate(
    optimiser: torch.optim.Optimizer, config: OptimiserConfig, schedule: ScheduleConfig, step: int
) -> float:
    """Set and return a step's learning rate: linear warm-up, then a cosine (Loshchilov and Hutter 2017)."""
    rate = config.lr * rate_factor(schedule, step)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


def rate_factor(schedule: ScheduleConfig, step: int) -> float:
    """Return the fraction of the full learning rate that a step has, 0 to 1."""
    if step < schedule.warmup_steps:
        return (step + 1) / (schedule.warmup_steps + 1)
    done = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(1.0, done))) / 2
    return schedule.final_lr + (1 - schedule.final_lr) * cosine


def belongs_to(name: str, part: str) -> bool:
    """Return whether a parameter belongs to a part: `camera.backbone` to `camera`, not to `camera.back`."""
    return name == part or name.startswith(part + ".")


def clip(parameters: Sequence[Tensor], most: float | None) -> float:
    """Scale gradients down to a norm and return the norm before; gradients that are not finite stay."""
    with_gradient = [p for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in with_gradient if p.grad is not None])
    value = float(norm)
    if most is not None and math.isfinite(value):
        torch.nn.utils.clip_grads_with_norm_(with_gradient, most, norm)
    return value


def _factor(name: str, config: OptimiserConfig) -> float:
    """Return the factor of the longest name that a parameter belongs to."""
    fitting = [part for part in config.lr_factors if belongs_to(name, part)]
    return config.lr_factors[max(fitting, key=len)] if fitting else 1.0


class WeightAverage:
    """The exponential moving average of a model's weights (Polyak and Juditsky 1992): validated and kept.

    Args:
        model: The model that is trained.
        decay: Of the average in each step; at step n at most (1 + n) / (10 + n), so that the start is
            forgotten. 0: the average is the model.
    """

    def __init__(self, model: FusionModel, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: FusionModel, step: int) -> None:
        """Update the average after a step. Running statistics are averaged, other buffers copied."""
        keep = min(self.decay, (1 + step) / (10 + step))
        average, weights = self.model.state_dict(), model.state_dict()
        averaged = [
            name
            for name, value in average.items()
            if value.is_floating_point() and not name.startswith(("normaliser.", "decoder."))
        ]
        torch._foreach_lerp_(
            [average[name] for name in averaged], [weights[name] for name in averaged], 1 - keep
        )
        for name in average.keys() - set(averaged):
            average[name].copy_(weights[name])
