"""Layers that several parts of the model share."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from perception.models.layers import fold_batch_norms
from tests.fusion_scenes import FUSIONS, SMALL, lively_model, scene


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_model_with_folded_batch_norms_predicts_the_same(fusion: str) -> None:
    model = lively_model(fusion=fusion)
    folded = deepcopy(model)
    fold_batch_norms(folded)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    inputs = scene(SMALL, batch=2, seed=3)
    with torch.no_grad():
        for found, expected in zip(folded.dense(inputs), model.dense(inputs), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
