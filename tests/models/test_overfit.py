"""Learning works: on a handful of scenes the loss of every head goes down, as does the error of its mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from perception.models import DenseOutputs, FusionModel
from tests.fusion_scenes import SMALL, scene


def laplace(value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
    return ((value - target).abs() * (-log_scale).exp() + log_scale).mean()


def losses(dense: DenseOutputs, target: DenseOutputs) -> dict[str, Tensor]:
    at = target.heatmap.amax(1, keepdim=True) > 0.5
    return {
        "class": F.binary_cross_entropy_with_logits(dense.heatmap, target.heatmap, reduction="sum"),
        "box": laplace(
            dense.ltrb.log()[at.expand_as(dense.ltrb)],
            dense.ltrb_log_scale[at.expand_as(dense.ltrb)],
            target.ltrb.log()[at.expand_as(dense.ltrb)],
        ),
        "distance": laplace(dense.distance_log[at], dense.distance_log_scale[at], target.distance_log[at]),
        "control": laplace(dense.control, dense.control_log_scale, target.control),
    }


@pytest.mark.slow
def test_every_head_learns() -> None:
    model = FusionModel(SMALL, seed=0).train()
    inputs = scene(SMALL, batch=4, seed=1)
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        shape = model.dense(inputs)
    heat = (torch.rand(shape.heatmap.shape, generator=g) < 0.005).float()
    target = shape._replace(
        heatmap=heat,
        ltrb=torch.rand(shape.ltrb.shape, generator=g) * 20 + 5,
        distance_log=torch.randn(shape.distance_log.shape, generator=g) + 3,
        control=torch.randn(shape.control.shape, generator=g),
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    first: dict[str, float] = {}
    for _ in range(80):
        found = losses(model.dense(inputs), target)
        first = first or {name: float(loss.detach()) for name, loss in found.items()}
        optimiser.zero_grad()
        torch.stack(list(found.values())).sum().backward()
        optimiser.step()
    last = {name: float(loss.detach()) for name, loss in found.items()}
    assert last["class"] < first["class"] / 2
    assert all(last[name] < first[name] - 0.5 for name in ("box", "distance", "control")), (first, last)
    with torch.no_grad():
        dense = model.eval().dense(inputs)
    assert float((dense.control - target.control).abs().mean()) < float(target.control.abs().mean()) / 2
