"""The losses of the four heads: Gaussian focal, GIoU beside Laplace scales, and Laplace likelihoods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from perception.errors import ConfigError
from perception.losses.boxes import giou_loss
from perception.losses.targets import Targets
from perception.models import DenseOutputs

DEFAULTS = {"giou_weight": 2.0, "scale_weight": 0.1}


class HeadLosses(nn.Module):
    """A mean over objects, or over known channels, for each head.

    Args:
        config: `giou_weight`: of the GIoU in the box loss; `scale_weight`: of the likelihood of the sides,
            whose means are detached, so that it teaches nothing but the scales.

    Raises:
        ConfigError: There are unknown keys, or values below 0.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        given = dict(config or {})
        faults = [
            f"losses.{key}: unknown key; expected {', '.join(DEFAULTS)}" for key in given.keys() - DEFAULTS
        ]
        faults += [
            f"losses.{key}: expected a number from 0, found {value!r:.60}"
            for key, value in given.items()
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0
        ]
        if faults:
            raise ConfigError(faults)
        self.weights: dict[str, float] = {**DEFAULTS, **given}

    def forward(
        self, said: DenseOutputs, true: Targets, total: Callable[[Tensor], Tensor] = lambda count: count
    ) -> dict[str, Tensor]:
        """The loss of each head; 0 for a head without truth in the batch.

        Args:
            said: The heads' maps.
            true: What they should be.
            total: Sums a count over all processes that share a batch, so that their losses add up to those of
                the whole.
        """
        objects = total(true.objects).clamp(min=1)
        measured = total(true.distance_weight.sum()).clamp(min=1)
        known = total(true.control_known.sum()).clamp(min=1)
        weight = true.box_weight
        sides = _laplace(said.ltrb.detach(), said.ltrb_log_scale, true.ltrb).mean(1, keepdim=True)
        overlap = giou_loss(said.ltrb, true.ltrb)
        distance = _laplace(said.distance_log, said.distance_log_scale, true.distance_log)
        control = _laplace(said.control, said.control_log_scale, true.control)
        box = self.weights["giou_weight"] * overlap + self.weights["scale_weight"] * sides
        return {
            "class": (gaussian_focal(said.heatmap, true.heatmap) * true.counted).sum() / objects,
            "box": (box * weight).sum() / objects,
            "distance": (distance * true.distance_weight).sum() / measured,
            "control": (control * true.control_known).sum() / known,
        }


def gaussian_focal(logits: Tensor, heatmap: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """The focal loss of a heatmap whose peaks are 1 (Zhou et al. 2019, equation 1), at every cell."""
    p = logits.sigmoid()
    hit = (1 - p) ** alpha * F.logsigmoid(logits)
    miss = (1 - heatmap) ** beta * p**alpha * F.logsigmoid(-logits)
    return -(heatmap == 1).to(p.dtype) * hit - (heatmap < 1).to(p.dtype) * miss


def _laplace(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    """The negative log likelihood of a Laplace distribution, without its constant log 2."""
    return (value - target).abs() * (-log_scale).exp() + log_scale
