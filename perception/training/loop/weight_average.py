"""An exponential moving average of weights (Polyak and Juditsky 1992): what is validated and kept."""

from __future__ import annotations

import copy

import torch

from perception.models import FusionModel


class WeightAverage:
    """The average of a model's weights over the steps.

    Args:
        model: The one that is trained.
        decay: Of what was before, for each step; smaller at first, so that the start is forgotten: at step n
            at most (1 + n) / (10 + n). 0: the average is the model.
    """

    def __init__(self, model: FusionModel, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: FusionModel, step: int) -> None:
        """Take in the weights after a step. Running statistics are averaged, other buffers copied."""
        keep = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = self.model.state_dict(), model.state_dict()
        averaged = [n for n in mine if _is_averaged(n) and mine[n].is_floating_point()]
        old, new = [mine[n] for n in averaged], [theirs[n] for n in averaged]
        torch._foreach_lerp_(old, new, 1 - keep)
        for name in mine.keys() - set(averaged):
            mine[name].copy_(theirs[name])


def _is_averaged(name: str) -> bool:
    return not name.startswith(("normaliser.", "decoder."))
