"""The mean of two models."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from perception.models import FusionModel
from perception.training.adaptation.weight_averaging import averaged
from tests.training.conftest import SHAPE


def same(first: Tensor, second: Tensor) -> bool:
    """Whether tensors are equal bit for bit; statistics of a model that saw nothing yet are NaN."""
    return first.numpy().tobytes() == second.numpy().tobytes()


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_every_weight_is_the_mean_and_neither_model_changes(share: float) -> None:
    first, second = FusionModel(SHAPE, seed=1), FusionModel(SHAPE, seed=2)
    before = [{n: t.clone() for n, t in model.state_dict().items()} for model in (first, second)]
    mean = averaged(first, second, share).state_dict()
    for model, old in zip((first, second), before, strict=True):
        assert all(same(tensor, old[name]) for name, tensor in model.state_dict().items())
    changed = 0
    for name, tensor in before[1].items():
        if tensor.is_floating_point():
            expected = (1 - share) * before[0][name] + share * tensor
            torch.testing.assert_close(mean[name], expected, equal_nan=True)
            changed += not same(mean[name], tensor)
        else:
            assert same(mean[name], tensor)
    assert changed > 20
    itself = averaged(first, first, share).state_dict()
    assert all(same(itself[name], tensor) for name, tensor in before[0].items())
