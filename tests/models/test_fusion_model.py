"""What holds for the whole model, whichever fusion and whichever sensors."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
import torch

from perception.errors import ConfigError
from perception.models import FusionModel, ModelConfig
from perception.models.tensors import Inputs, Predictions
from tests.forked_python import ForkedPython
from tests.fusion_scenes import FUSIONS, SMALL, SUBSETS, architecture, lively_model, scene

PRESENT = SUBSETS[1:]
IN_EVERY_SUBSET = ["gated", "attention", "second", pytest.param("concat", marks=pytest.mark.slow)]
"""The fusions in tests of all subsets: the second architecture has the fusion `concat`."""
WILD = (torch.nan, torch.inf, -torch.inf, 3e38, -1e30)


@cache
def shared_model(fusion: str = "gated") -> FusionModel:
    """A model for tests that only ask it."""
    return lively_model(fusion=fusion)


def predict(model: FusionModel, inputs: Inputs) -> Predictions:
    with torch.inference_mode():
        return model(inputs)


def assert_equal(found: Predictions, expected: Predictions) -> None:
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        assert torch.equal(a, b), name


def assert_close(found: Predictions, expected: Predictions) -> None:
    for name, a, b in zip(Predictions._fields, found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def with_garbage(inputs: Inputs, sensor: int, seed: int) -> Inputs:
    """The same but for what an absent sensor holds, which is wild."""
    g = torch.Generator().manual_seed(seed)
    age = inputs.age_s.clone()
    age[:, sensor] = WILD[seed % len(WILD)]
    changed = inputs._replace(age_s=age)
    if sensor == 0:
        return changed._replace(
            image=torch.randint(0, 256, inputs.image.shape, dtype=torch.uint8, generator=g)
        )
    wild = torch.tensor(WILD)
    if sensor == 1:
        returns = wild[torch.randint(0, len(WILD), inputs.returns.shape, generator=g)]
        valid = torch.randint(0, 2, inputs.returns_valid.shape, generator=g).float()
        return changed._replace(returns=returns, returns_valid=valid)
    return changed._replace(status=wild[torch.randint(0, len(WILD), inputs.status.shape, generator=g)])


@pytest.mark.parametrize("fusion", IN_EVERY_SUBSET)
@pytest.mark.parametrize("present", SUBSETS)
def test_an_absent_sensor_has_no_influence_whatever_it_holds(fusion: str, present: tuple[float, ...]) -> None:
    model = shared_model(fusion)
    inputs = scene(model.config, batch=2, seed=4, present=present)
    expected = predict(model, inputs)
    for sensor in (i for i in range(3) if not present[i]):
        for seed in range(3):
            assert_equal(predict(model, with_garbage(inputs, sensor, seed)), expected)


@pytest.mark.parametrize("fusion", IN_EVERY_SUBSET)
@pytest.mark.parametrize("present", PRESENT)
def test_a_present_sensor_has_influence(fusion: str, present: tuple[float, ...]) -> None:
    model = shared_model(fusion)
    inputs = scene(model.config, seed=5, present=present)
    other = scene(model.config, seed=6, present=present)
    expected = predict(model, inputs)
    fields = {0: ("image",), 1: ("returns",), 2: ("status",)}
    for sensor in (i for i in range(3) if present[i]):
        changed = predict(model, inputs._replace(**{f: getattr(other, f) for f in fields[sensor]}))
        for head in ("scores", "boxes", "distance_m", "control"):
            assert not torch.equal(getattr(changed, head), getattr(expected, head)), (sensor, head)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_age_of_a_present_sensor_has_influence(fusion: str) -> None:
    # With one sensor alone a softmax has nothing to weigh, so that its age changes nothing: two are present.
    model = shared_model(fusion)
    inputs = scene(model.config, seed=5, present=(1, 1, 0))
    older = inputs._replace(age_s=inputs.age_s + torch.tensor([0.0, 0.5, 0.0]))
    assert not torch.equal(predict(model, older).scores, predict(model, inputs).scores)


@pytest.mark.parametrize("fusion", IN_EVERY_SUBSET)
@pytest.mark.parametrize("present", SUBSETS)
def test_everything_said_is_finite_and_ordered(fusion: str, present: tuple[float, ...]) -> None:
    model = shared_model(fusion)
    config = model.config
    said = predict(model, scene(config, batch=3, present=present))
    for name, values in said._asdict().items():
        assert values.isfinite().all(), name
    assert (said.scores.diff(dim=1) <= 0).all()
    assert ((said.labels >= 0) & (said.labels < len(config.classes))).all()
    assert (said.boxes[..., 2:] >= said.boxes[..., :2]).all()
    assert (said.boxes >= 0).all()
    assert (said.boxes[..., 2] <= config.input_width).all()
    assert (said.boxes[..., 3] <= config.input_height).all()
    assert all((values > 0).all() for values in (said.box_std, said.distance_std_m, said.control_std))


def test_no_sensor_at_all_scores_nothing() -> None:
    model = shared_model()
    said = predict(model, scene(model.config, batch=2, present=(0, 0, 0)))
    assert (said.scores == 0).all()
    # What is said then does not depend on the batch either: both samples get the same.
    assert torch.equal(said.control[0], said.control[1])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_scan_without_a_valid_return_is_absent(fusion: str) -> None:
    model = shared_model(fusion)
    inputs = scene(model.config)
    empty = inputs._replace(returns_valid=torch.zeros_like(inputs.returns_valid))
    bad = inputs._replace(returns=torch.full_like(inputs.returns, torch.nan))
    absent = inputs._replace(present=torch.tensor([[1.0, 0.0, 1.0]]))
    assert_equal(predict(model, empty), predict(model, absent))
    assert_equal(predict(model, bad), predict(model, absent))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_order_of_returns_does_not_matter(fusion: str) -> None:
    model = shared_model(fusion)
    inputs = scene(model.config, batch=2)
    order = torch.randperm(model.config.returns, generator=torch.Generator().manual_seed(1))
    shuffled = inputs._replace(returns=inputs.returns[:, order], returns_valid=inputs.returns_valid[:, order])
    with torch.inference_mode():
        dense, expected = model.dense(shuffled), model.dense(inputs)
    for name in ("heatmap", "ltrb", "ltrb_log_scale", "distance_log", "distance_log_scale", "control"):
        torch.testing.assert_close(getattr(dense, name), getattr(expected, name), rtol=1e-4, atol=1e-4)


def test_an_invalid_return_has_no_influence() -> None:
    model = shared_model()
    inputs = scene(model.config)
    off = inputs.returns_valid.unsqueeze(-1) == 0
    changed = inputs._replace(returns=torch.where(off, torch.nan, inputs.returns))
    assert_equal(predict(model, changed), predict(model, inputs))


def test_how_many_invalid_returns_there_are_has_no_influence() -> None:
    model = shared_model()
    inputs = scene(model.config)
    more = {
        name: torch.cat([getattr(inputs, name), torch.zeros_like(getattr(inputs, name))], 1)
        for name in ("returns", "returns_valid")
    }
    with torch.inference_mode():
        found, expected = model.dense(inputs._replace(**more)), model.dense(inputs)
    torch.testing.assert_close(found.heatmap, expected.heatmap, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.control, expected.control, rtol=1e-4, atol=1e-4)


def test_pixels_of_a_return_outside_the_image_have_no_influence() -> None:
    model = shared_model()
    inputs = scene(model.config)
    pixels = inputs.returns.clone()
    pixels[..., :2] = torch.where(inputs.returns[..., 7:] == 0, torch.nan, inputs.returns[..., :2])
    assert_equal(predict(model, inputs._replace(returns=pixels)), predict(model, inputs))


def test_returns_without_pixels_still_count() -> None:
    model = shared_model()
    inputs = scene(model.config, present=(0, 1, 0))
    blind = inputs.returns.clone()
    blind[..., 7] = 0
    nearer = blind.clone()
    nearer[..., 4] *= 0.5
    first, second = (predict(model, inputs._replace(returns=r)) for r in (blind, nearer))
    assert not torch.equal(first.scores, second.scores)
    assert not torch.equal(first.control, second.control)


def test_unknown_status_is_not_the_mean_status() -> None:
    model = shared_model()
    inputs = scene(model.config)
    mean = model.normaliser.status_mean.expand_as(inputs.status)
    unknown = predict(model, inputs._replace(status=torch.full_like(mean, torch.nan)))
    known = predict(model, inputs._replace(status=mean))
    assert not torch.equal(unknown.control, known.control)
    endless = predict(model, inputs._replace(status=torch.full_like(mean, torch.inf)))
    assert_equal(endless, unknown)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_batch_is_its_samples(fusion: str) -> None:
    model = shared_model(fusion)
    parts = [scene(model.config, seed=i, present=p) for i, p in enumerate(SUBSETS)]
    batch = Inputs(*(torch.cat(column) for column in zip(*parts, strict=True)))
    together = predict(model, batch)
    for index, part in enumerate(parts):
        assert_close(Predictions(*(p[index : index + 1] for p in together)), predict(model, part))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_head_teaches_every_branch(fusion: str) -> None:
    model = shared_model(fusion)
    dense = model.dense(scene(model.config, batch=2))
    heads = (
        "heatmap",
        "ltrb",
        "ltrb_log_scale",
        "distance_log",
        "distance_log_scale",
        "control",
        "control_log_scale",
    )
    for head in heads:
        weights = {
            n: p for n, p in model.named_parameters() if n.startswith(("camera.", "range.", "status."))
        }
        found = torch.autograd.grad(
            getattr(dense, head).sum(), list(weights.values()), retain_graph=True, allow_unused=True
        )
        reached = {
            n.split(".")[0]
            for n, g in zip(weights, found, strict=True)
            if g is not None and g.abs().sum() > 0
        }
        assert reached == {"camera", "range", "status"}, head
        assert all(g.isfinite().all() for g in found if g is not None), head


@pytest.mark.parametrize("fusion", FUSIONS)
def test_garbage_in_absent_sensors_leaves_gradients_finite(fusion: str) -> None:
    model = lively_model(fusion=fusion)
    inputs = scene(model.config, batch=2, present=(1, 0, 0))
    dense = model.dense(with_garbage(with_garbage(inputs, 1, 0), 2, 1))
    (dense.heatmap.sum() + dense.ltrb.sum() + dense.control.sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_gates_weigh_present_inputs_alone() -> None:
    model = lively_model(fusion="gated")
    inputs = scene(model.config, present=(0, 1, 1))
    expected = predict(model, inputs)
    nobody = scene(model.config, present=(0, 0, 0))
    silence = predict(model, nobody)
    with torch.no_grad():
        for fusion in model.fusion:
            fusion.null.mul_(-3.0)
    assert_equal(predict(model, inputs), expected)
    assert not torch.equal(predict(model, nobody).control, silence.control)


def test_the_nulls_are_learned() -> None:
    for fusion in ("concat", "attention"):
        model = lively_model(fusion=fusion)
        model.dense(scene(model.config, present=(1, 0, 0))).heatmap.sum().backward()
        null = model.fusion[0].null.grad
        assert null[0].abs().sum() == 0
        assert null[1].abs().sum() > 0
        assert null[2].abs().sum() > 0


def test_a_seed_gives_the_same_model_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second, other = FusionModel(SMALL, seed=1), FusionModel(SMALL, seed=1), FusionModel(SMALL, seed=2)
    assert torch.equal(torch.rand(3), expected)
    random.seed(1)
    np.random.seed(1)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]) or value.isnan().any(), name
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_the_default_model_has_about_a_million_parameters() -> None:
    assert 0.8e6 < sum(p.numel() for p in FusionModel(ModelConfig()).parameters()) < 1.2e6


@pytest.mark.slow  # that it exports at all: tests/engines/test_exported_backends.py
def test_it_exports_with_a_dynamic_batch() -> None:
    model = lively_model()
    batch = torch.export.Dim("batch", min=1, max=64)
    dynamic = (Inputs(*[{0: batch}] * len(Inputs._fields)),)
    program = torch.export.export(model, (scene(model.config, batch=2),), dynamic_shapes=dynamic)
    # torch 2.15 writes guard code that mistakes `returns_valid` for `returns` and does not parse: no guards.
    module = program.module(check_guards=False)
    for count in (1, 5):
        inputs = scene(model.config, batch=count, seed=count)
        assert_close(module(inputs), predict(model, inputs))


@pytest.mark.slow  # that it is one graph: tests/engines/test_exported_backends.py
@pytest.mark.parametrize("fusion", FUSIONS)
def test_it_compiles_as_one_graph(fusion: str) -> None:
    model = lively_model(fusion=fusion)
    inputs = scene(model.config, batch=2)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert_close(predict(compiled, inputs), predict(model, inputs))


@pytest.mark.parametrize("fusion", ["gated", "second"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_backbone_from_torchvision(name: str, fusion: str) -> None:
    model = lively_model(backbone=name, fusion=fusion)
    inputs = scene(model.config)
    absent = inputs._replace(present=torch.tensor([[0.0, 1.0, 1.0]]))
    assert_equal(predict(model, with_garbage(absent, 0, 1)), predict(model, absent))
    assert not torch.equal(predict(model, inputs).scores, predict(model, absent).scores)


@pytest.mark.parametrize(
    ("name", "words"), [("resnet81", "knows no network"), ("vit_b_16", "neither a ResNet")]
)
def test_a_backbone_that_cannot_be_used_is_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        lively_model(backbone=name)


def test_a_default_model_starts_without_torchvision_and_the_compiler(forked_torch: ForkedPython) -> None:
    code = """
import sys, time, torch
torch.set_num_threads(1)
start = time.process_time()
from perception.engines import open_fusion_backend
from perception.models import FusionModel, ModelConfig
from perception.models.tensors import Inputs
import numpy as np
config = ModelConfig()
backend = open_fusion_backend("auto", FusionModel(config))
backend.run(Inputs(np.zeros((1, 3, config.input_height, config.input_width), np.uint8),
    np.zeros((1, config.returns, 8), np.float32), np.zeros((1, config.returns), np.float32),
    np.zeros((1, config.steps, len(config.status)), np.float32),
    np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32)))
seconds = time.process_time() - start
print(seconds, *(m in sys.modules for m in ("torchvision", "torch._dynamo", "cv2", "perception.logs")))
"""
    run = forked_torch.run(program=code)
    assert run.returncode == 0, run.stderr
    seconds, *imported = run.stdout.split()
    assert imported == ["False"] * 4
    assert float(seconds) < 2.0


@pytest.mark.parametrize("fusion", FUSIONS)
def test_branches_meet_as_equals_before_training(fusion: str) -> None:
    # Range maps 15 times smaller than the camera's where they meet were left unused by training.
    model = FusionModel(ModelConfig(**architecture(fusion))).train()
    met: dict[str, torch.Tensor] = {}
    for level, layer in enumerate(model.fusion):
        for name, project in zip(("camera", "range", "status"), layer.project, strict=True):
            key = f"{name}{level}"
            project.register_forward_hook(lambda _m, _i, out, key=key: met.__setitem__(key, out))
    with torch.no_grad():
        model.dense(scene(model.config, batch=4))
    scales = {key: float(values.std()) for key, values in met.items()}
    assert len(scales) == 12
    assert max(scales.values()) < 4 * min(scales.values()), scales
