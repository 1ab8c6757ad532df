"""Layers of a head's own on the shared map: they change that head alone, and nothing where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from perception.engines import open_fusion_backend
from perception.errors import ConfigError
from perception.models import FusionModel, ModelConfig
from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.models.tensors import Inputs, Predictions
from tests.fusion_scenes import SMALL, SUBSETS, assert_exports, lively_model, numpy_scene, scene

HEADS = ("class", "box", "control")
ADAPTED = replace(SMALL, adapters=HEADS)
OWN = {
    "class": {"heatmap"},
    "box": {"ltrb", "ltrb_log_scale", "distance_log", "distance_log_scale"},
    "control": {"control", "control_log_scale"},
}


def stirred(config: ModelConfig = ADAPTED, seed: int = 0) -> FusionModel:
    """A model whose adapters do something."""
    model = lively_model(config, seed)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "_adapter.up." in name:
                parameter.normal_(0.0, 0.3, generator=g)
    return model


def test_without_adapters_nothing_is_there() -> None:
    model = FusionModel(SMALL)
    assert not any("adapter" in name for name in model.state_dict())
    assert "adapters" not in SMALL.to_dict()
    assert ModelConfig.from_dict(SMALL.to_dict()) == SMALL


def test_with_adapters_a_model_starts_as_it_would_without() -> None:
    plain, adapted, inputs = FusionModel(SMALL, seed=5), FusionModel(ADAPTED, seed=5), scene(SMALL, 2)
    for name, value in plain.state_dict().items():
        assert torch.equal(value.nan_to_num(), adapted.state_dict()[name].nan_to_num()), name
    more = adapted.state_dict().keys() - plain.state_dict().keys()
    assert {name.split(".")[0] for name in more} == {f"{head}_adapter" for head in HEADS}
    with torch.no_grad():
        for one, other in zip(plain.eval()(inputs), adapted.eval()(inputs), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("head", HEADS)
def test_an_adapter_changes_its_head_alone(head: str) -> None:
    config = replace(SMALL, adapters=(head,))
    with torch.no_grad():
        plain = lively_model(SMALL).dense(scene(SMALL, 2))
        found = stirred(config).dense(scene(SMALL, 2))
    changed = {
        name
        for name, value in found._asdict().items()
        if name not in ("fused", "present", "extra") and not torch.equal(value, getattr(plain, name))
    }
    assert changed == OWN[head]


def test_every_adapter_learns_from_its_head() -> None:
    model = FusionModel(ADAPTED).train()
    said = model.dense(scene(SMALL, 2))
    (said.heatmap.sum() + said.ltrb.sum() + said.control.sum()).backward()
    for head in HEADS:
        gradient = dict(model.named_parameters())[f"{head}_adapter.up.weight"].grad
        assert gradient is not None
        assert bool(gradient.any())


def test_a_checkpoint_carries_them(tmp_path: Path) -> None:
    model = stirred()
    saved = save_checkpoint(tmp_path / "a.safetensors", model)
    again, meta = load_checkpoint(tmp_path / "a.safetensors")
    assert saved.config.adapters == meta.config.adapters == again.config.adapters == HEADS
    with torch.no_grad():
        for one, other in zip(model(scene(SMALL, 1)), again(scene(SMALL, 1)), strict=True):
            assert torch.equal(one, other)


def test_subsets_see_them_too() -> None:
    model, inputs = stirred(), scene(SMALL, 2)
    with torch.no_grad():
        for subset, found in zip(SUBSETS, model.on_subsets(inputs, torch.tensor(SUBSETS) > 0), strict=True):
            alone: Predictions = model(inputs._replace(present=torch.tensor([subset, subset])))
            for one, other in zip(alone, found, strict=True):
                torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("precision", "close"), [("fp32", 1e-4), ("bf16", 0.1)])
def test_an_engine_says_what_the_model_says(precision: str, close: float, tmp_path: Path) -> None:
    model = stirred()
    save_checkpoint(tmp_path / "a.safetensors", model)
    inputs = numpy_scene(SMALL)
    with torch.no_grad():
        expected = model(Inputs(*(torch.from_numpy(a) for a in inputs)))
    found = open_fusion_backend("torch", tmp_path / "a.safetensors", precision=precision).run(inputs)
    assert float(abs(found.control - expected.control.numpy()).max()) < close * 10
    assert float(abs(found.scores - expected.scores.numpy()).max()) < close


@pytest.mark.slow
def test_it_exports() -> None:
    model, inputs = stirred(), scene(SMALL, 1)
    assert_exports(model, inputs)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["bax"], "adapters: expected heads of class, box, control; found 'bax', did you mean box?"),
        (["box", "box"], "adapters: expected different heads"),
        ("box", "adapters: expected a list"),
        ([["box"]], "adapters: expected heads of"),
    ],
)
def test_faults_are_named(given: object, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_dict(SMALL.to_dict() | {"adapters": given})
    assert fault in str(caught.value)
