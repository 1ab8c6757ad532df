"""What is taken over from a checkpoint, what is frozen, and what the account says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from perception.errors import ConfigError
from perception.models import FusionModel
from perception.models.checkpoint import save_checkpoint
from perception.models.preprocess import InputSpec
from perception.models.stats import default_stats
from perception.training import Silent
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import measure_stats
from perception.training.data.sample_cache import CachedLog, cached_log
from perception.training.loop.optimiser import make_optimiser
from perception.training.train_config import OptimiserConfig
from perception.training.transfer import freeze, starting_model, take_over, train_mode
from perception.types import Quantity
from tests.fusion_scenes import SECOND, SMALL, lively_model, scene
from tests.scripted_scene import write_scene
from tests.training.conftest import SHAPE, small_config


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "old.safetensors"
    save_checkpoint(path, lively_model(seed=4))
    return path


def test_the_same_model_is_taken_over_whole_but_for_statistics_and_calibration(weights: Path) -> None:
    model, old = FusionModel(SMALL, seed=1), lively_model(seed=4)
    account = take_over(model, weights)
    assert (account.partly, account.different, account.missing, account.unused) == ((), (), (), ())
    for (name, mine), theirs in zip(model.state_dict().items(), old.state_dict().values(), strict=True):
        if not name.startswith(("normaliser.", "decoder.")):
            assert torch.equal(mine, theirs), name
    assert not torch.equal(model.normaliser.control_mean, old.normaliser.control_mean)
    assert torch.equal(
        model.decoder.calibration.score_scale, torch.ones_like(model.decoder.calibration.score_scale)
    )


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("share", [1, 2])
def test_what_the_logs_do_not_have_is_as_the_weights_know_it(
    keep: bool, share: int, recipe: CacheSpec, cached: CachedLog, tmp_path: Path
) -> None:
    """Weights that learn from pictures alone read returns, and say distances and control, as before."""
    old = FusionModel(SHAPE, seed=1, stats=measure_stats(Dataset([cached], [np.arange(len(cached))]), SHAPE))
    save_checkpoint(tmp_path / "old.safetensors", old)
    pictures = write_scene(tmp_path / "pictures.mcap", duration_s=0.5, scan=False, truth=False)
    shape = replace(SHAPE, input_height=SHAPE.input_height // share, input_width=SHAPE.input_width // share)
    spec = replace(recipe, model=shape, spec=InputSpec.of(shape, {}))
    seen = cached_log(pictures, spec, tmp_path)
    transfer = {"checkpoint": str(tmp_path / "old.safetensors"), "keep_stats": keep}
    config = small_config(pictures, tmp_path, tmp_path / "run", model=shape.to_dict(), transfer=transfer)
    model = starting_model(config, Dataset([seen], [np.arange(len(seen))]), Silent())
    found, before = model.normaliser.get(), old.normaliser.get()
    for group in ("control", "log_distance"):
        assert getattr(found, group) == getattr(before, group)
    for name, channel in before.returns.items():
        factor = share if name in ("u", "v") else 1  # pixels of the input
        assert found.returns[name].mean * factor == pytest.approx(channel.mean), name
        assert found.returns[name].std * factor == pytest.approx(channel.std), name
    assert (found.image == before.image) is keep


def test_classes_are_matched_by_name(weights: Path) -> None:
    names = (SMALL.classes[2], "tree", SMALL.classes[0])
    model, old = FusionModel(replace(SMALL, classes=names), seed=1), lively_model(seed=4)
    start = model.class_head.predict.weight.detach().clone()
    account = take_over(model, weights)
    assert set(account.partly) == {"class_head.predict.weight", "class_head.predict.bias"}
    taken = model.class_head.predict.weight
    assert torch.equal(taken[0], old.class_head.predict.weight[2])
    assert torch.equal(taken[2], old.class_head.predict.weight[0])
    assert torch.equal(taken[1], start[1])


def test_channels_of_status_and_control_are_matched_by_name(weights: Path) -> None:
    """In another order, with one more of each: every channel is read and said as before."""
    more = Quantity("heading", "rad")
    shape = replace(SMALL, control=(more, *SMALL.control[::-1]), status=(*SMALL.status[::-1], more))
    model, old = FusionModel(shape, seed=1).eval(), lively_model(seed=4).eval()
    account = take_over(model, weights)
    assert set(account.partly) == {
        *(f"control_head.predict.{part}" for part in ("weight", "bias")),
        "status.from_input.weight",
    }
    old.normaliser.set(default_stats(SMALL))
    inputs = scene(SMALL, seed=3)
    unknown = torch.full_like(inputs.status[..., :1], torch.nan)
    turned = inputs._replace(status=torch.cat([inputs.status.flip(-1), unknown], -1))
    with torch.inference_mode():
        expected, found = old.dense(inputs), model.dense(turned)
    for name in ("control", "control_log_scale"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(mine[:, 1:], theirs.flip(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.heatmap, expected.heatmap, rtol=1e-4, atol=1e-4)


def test_channels_of_other_names_are_left_as_they_start(weights: Path) -> None:
    others = tuple(Quantity(f"other_{q.name}", q.unit) for q in SMALL.control)
    model = FusionModel(replace(SMALL, control=others), seed=1)
    start = model.control_head.predict.weight.detach().clone()
    account = take_over(model, weights)
    assert any(name.startswith("control_head.predict.weight") for name in account.different)
    assert torch.equal(model.control_head.predict.weight, start)


def test_parts_of_a_cell_start_as_the_cell_of_weights_without_them(tmp_path: Path) -> None:
    old = lively_model(seed=4, fusion="second")
    save_checkpoint(tmp_path / "old.safetensors", old)
    model = lively_model(replace(SMALL, **SECOND), seed=4, split=2)  # statistics as those of the other
    account = take_over(model, tmp_path / "old.safetensors")
    assert (account.partly, account.different, account.missing, account.unused) == ((), (), (), ())
    inputs = scene(SMALL, seed=3)
    with torch.inference_mode():
        expected, found = old.dense(inputs), model.dense(inputs)
    for name in ("heatmap", "ltrb", "ltrb_log_scale", "distance_log"):
        cells = getattr(expected, name).repeat_interleave(2, 2).repeat_interleave(2, 3)
        torch.testing.assert_close(getattr(found, name), cells, msg=lambda t, n=name: f"{n}: {t}")


def test_the_channels_of_a_narrower_tower_are_the_first_ones(tmp_path: Path) -> None:
    old = lively_model(replace(SMALL, **SECOND), seed=4, split=2)
    save_checkpoint(tmp_path / "old.safetensors", old)
    model = lively_model(replace(SMALL, **SECOND), seed=4, split=2, tower_width=24)
    with torch.no_grad():  # what is left as it starts says nothing
        for head in (model.class_head, model.box_head):
            head.predict.weight.zero_()
    account = take_over(model, tmp_path / "old.safetensors")
    assert "tower.0.weight" in account.partly
    assert not account.different
    inputs = scene(SMALL, seed=3)
    with torch.inference_mode():
        expected, found = old.dense(inputs), model.dense(inputs)
    torch.testing.assert_close(found.heatmap, expected.heatmap)
    torch.testing.assert_close(found.ltrb, expected.ltrb)


def test_a_model_with_a_wider_stem_starts_as_the_narrower_one(tmp_path: Path) -> None:
    old = lively_model(replace(SMALL, **SECOND), seed=4)
    save_checkpoint(tmp_path / "old.safetensors", old)
    model = lively_model(replace(SMALL, **SECOND), seed=4, stem_width=16)
    account = take_over(model, tmp_path / "old.safetensors")
    assert "camera.backbone.stem.0.0.weight" in account.partly
    assert not account.different
    assert model.camera.backbone.stem[0][0].weight[4:].any()  # the further channels can be learned from
    inputs = scene(SMALL, seed=3)
    with torch.inference_mode():
        expected, found = old.dense(inputs), model.dense(inputs)
    torch.testing.assert_close(found.heatmap, expected.heatmap)
    torch.testing.assert_close(found.ltrb, expected.ltrb)


def test_classes_of_parts_of_a_cell_are_matched_by_name(tmp_path: Path) -> None:
    old = lively_model(seed=4, fusion="split")
    save_checkpoint(tmp_path / "old.safetensors", old)
    names = ("tree", SMALL.classes[0])
    model = lively_model(replace(SMALL, classes=names), seed=1, fusion="split")
    take_over(model, tmp_path / "old.safetensors")
    mine, theirs = model.class_head.predict.weight, old.class_head.predict.weight
    assert torch.equal(mine[:, 1], theirs[:, 0])
    assert not torch.equal(mine[:, 0], theirs[:, 0])


def test_other_classes_of_another_width_are_left_and_said(weights: Path) -> None:
    model = FusionModel(replace(SMALL, classes=("tree", "person"), fused_width=24), seed=1)
    account = take_over(model, weights)
    assert any(name.startswith("class_head.predict.weight [3, 16") for name in account.different)


def test_another_shape_is_left_at_chance_and_said(weights: Path) -> None:
    model = FusionModel(replace(SMALL, status_width=16, fusion="concat"), seed=1)
    account = take_over(model, weights)
    assert any(name.startswith("status.from_memory.weight [24, 8] -> [48, 16]") for name in account.different)
    assert any(".gate." in name for name in account.unused)
    assert any(".mix." in name for name in account.missing)
    text = "\n".join(account.lines())
    for words in ("tensors taken over", "another shape", "not in the checkpoint", "in the checkpoint only"):
        assert words in text


def test_frozen_parts_do_not_move_and_neither_do_their_statistics() -> None:
    model = FusionModel(SMALL, seed=1)
    count = freeze(model, ["camera", "fusion.0"])
    assert count == sum(p.numel() for m in (model.camera, model.fusion[0]) for p in m.parameters())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = make_optimiser(model, OptimiserConfig(lr=0.1))
    train_mode(model)
    dense = model.dense(scene(SMALL, 3))
    (dense.heatmap.square().mean() + dense.ltrb.mean() + dense.control.sum()).backward()
    optimiser.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("camera.", "fusion.0.")) for name in moved)
    assert any(name.startswith("class_head.") for name in moved)
    assert any(name.startswith("fusion.1.") and "running_mean" in name for name in moved)


def test_names_that_fit_nothing_are_refused_with_those_that_do() -> None:
    model = FusionModel(SMALL)
    with pytest.raises(
        ConfigError, match=r"'camra'.*expected one of normaliser|'camra'.*expected one of camera"
    ):
        freeze(model, ["camra"])
    with pytest.raises(ConfigError, match=r"lr_factors\.cam"):
        make_optimiser(model, OptimiserConfig(lr_factors={"cam": 0.1}))


def test_each_parameter_has_the_rate_of_the_longest_name_that_fits_it() -> None:
    model = FusionModel(SMALL)
    factors = {"camera": 0.5, "camera.backbone.stem": 0.1, "control_head": 3.0}
    optimiser = make_optimiser(model, OptimiserConfig(lr=1.0, lr_factors=factors))
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        expected = (
            0.1 if name.startswith("camera.backbone.stem.") else 0.5 if name.startswith("camera.") else 1.0
        )
        assert rates[id(parameter)] == (3.0 if name.startswith("control_head.") else expected)
    assert len(rates) == sum(1 for _ in model.parameters())


def test_adapters_that_a_checkpoint_has_not_are_new_and_change_nothing_at_first(weights: Path) -> None:
    heads = ("class", "box", "control")
    model = FusionModel(replace(SMALL, adapters=heads), seed=1)
    account = take_over(model, weights)
    assert {name.split(".")[0] for name in account.missing} == {f"{head}_adapter" for head in heads}
    assert (account.partly, account.different, account.unused) == ((), (), ())
    assert any("left as they start" in line and "class_adapter" in line for line in account.lines())
    plain = FusionModel(SMALL, seed=2)
    take_over(plain, weights)
    with torch.no_grad():
        for one, other in zip(plain.eval()(scene(SMALL, 2)), model.eval()(scene(SMALL, 2)), strict=True):
            assert torch.equal(one, other)


def test_adapters_of_a_checkpoint_are_taken_over_and_can_be_trained_alone(tmp_path: Path) -> None:
    """All but one head's adapter frozen: nothing else moves."""
    old = lively_model(replace(SMALL, adapters=("box",)), seed=4)
    with torch.no_grad():
        old.get_parameter("box_adapter.up.weight").normal_(generator=torch.Generator().manual_seed(0))
    save_checkpoint(tmp_path / "old.safetensors", old)
    model = FusionModel(replace(SMALL, adapters=("box", "class")), seed=1)
    account = take_over(model, tmp_path / "old.safetensors")
    assert "box_adapter.up.weight" in account.taken
    assert {name.split(".")[0] for name in account.missing} == {"class_adapter"}
    parts = {name.split(".")[0] for name, _ in model.named_parameters()} - {"box_adapter"}
    freeze(model, sorted(parts))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = make_optimiser(model, OptimiserConfig(lr=0.1))
    train_mode(model)
    model.dense(scene(SMALL, 3)).ltrb.mean().backward()
    optimiser.step()
    moved = {
        n for n, v in model.state_dict().items() if not torch.equal(v.nan_to_num(), before[n].nan_to_num())
    }
    assert moved == {name for name in before if name.startswith("box_adapter.")}
