"""The mean of weights before and after fine-tuning.

It is better on the new data than either, and loses less of what the first weights knew (Wortsman et al. 2022,
Robust fine-tuning of zero-shot models): labels that the model gave itself teach its mistakes, too.
"""

from __future__ import annotations

import copy

import torch

from perception.models import FusionModel


def averaged(first: FusionModel, second: FusionModel, share: float = 0.5) -> FusionModel:
    """Return a model of the mean weights of two of the same shape; what is counted is that of the second.

    Args:
        first, second: The models.
        share: Of the second, 0 to 1.
    """
    model = copy.deepcopy(second)
    of_first, state = first.state_dict(), second.state_dict()
    mean = {
        name: torch.lerp(of_first[name], tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    model.load_state_dict(mean)
    return model
