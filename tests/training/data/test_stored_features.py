"""The control head alone, from stored readings: the same lessons, nothing else moved, nothing made twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.errors import ConfigError, TrainingError
from perception.models import FusionModel
from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.models.tensors import Inputs
from perception.training import Silent, TrainConfig, read_journal, train
from perception.training.data import stored_features as stored_module
from perception.training.data.augmentation import Augmenter
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from perception.training.data.stored_features import TRAINED
from perception.training.data.training_sample import Batch, FeatureBatch, batch_rows, collate
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.loop.loss_step import LossStep
from perception.training.loop.state_file import load_state
from tests.training.conftest import SHAPE, small_config

DEEPER = replace(SHAPE, control_widths=(24, 16), control_status=True)
FROZEN = ["camera", "range", "status", "fusion", "top_down", "class_head", "box_head", "control_head.reduce"]


class Seen(Silent):
    def __init__(self) -> None:
        self.made: list[str] = []

    def cached(self, what: str, done: int, total: int) -> None:
        if what not in self.made:
            self.made.append(what)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    save_checkpoint(path, FusionModel(SHAPE, seed=3))
    return path


SHORT = {"steps": 2, "warmup_steps": 1}


def alone(street: Path, trunk: Path, cache: Path, out: Path, **sections: dict[str, Any]) -> TrainConfig:
    """A run of the control head alone on ten samples; sections are laid over it key by key."""
    own: dict[str, dict[str, Any]] = {
        "data": {"stride": 3},
        "model": {"control_widths": [24, 16], "control_status": True},
        "losses": {"control": "l1"},
        "transfer": {"checkpoint": str(trunk), "freeze": FROZEN, "store": 2},
    }
    for name, values in sections.items():
        own[name] = {**own.get(name, {}), **values}
    return small_config(street, cache, out, **own)


def weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(config.run.out / "last.safetensors")[0].state_dict())


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("features-*"))


def test_a_reading_teaches_what_the_whole_sample_does(
    street: Path, cached: CachedLog, recipe: CacheSpec, cache_root: Path, tmp_path: Path
) -> None:
    """The same loss, and the same gradients of the layers that learn."""
    config = small_config(street, cache_root, tmp_path)
    model = FusionModel(DEEPER, seed=1).eval()
    lessons, plan = LossStep(config, model), HeadSchedule(config.schedule)
    dataset = Dataset([cached], [np.arange(8)])
    augmenter = Augmenter(config.augment, DEEPER, recipe.spec)
    examples = [augmenter(dataset[i], np.random.default_rng(i), lambda: None) for i in range(8)]
    whole = collate(examples)
    inputs = Inputs(*(torch.from_numpy(array) for array in whole.inputs))
    with torch.no_grad():
        readings = model.control_reading(inputs).numpy()
    read = FeatureBatch(readings, whole.truth.control, whole.ids)

    def gradients(batch: Batch | FeatureBatch) -> tuple[float, list[torch.Tensor]]:
        model.zero_grad()
        losses = lessons.losses(model, batch, plan, 0)
        losses["control"].backward()
        learning = [p for n, p in model.named_parameters() if n.startswith(TRAINED)]
        return losses["control"].item(), [p.grad.clone() for p in learning if p.grad is not None]

    (one, first), (other, second) = gradients(whole), gradients(read)
    assert list(lessons.losses(model, read, plan, 0)) == ["control"]
    assert one == pytest.approx(other, rel=1e-5)
    assert len(first) == len(second) == 6
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_the_control_head_learns_and_nothing_else_moves(street: Path, trunk: Path, tmp_path: Path) -> None:
    schedule = {"steps": 80, "batch": 16, "validate_every": 80, "save_every": 80, "ema": 0.9}
    optimiser = {"lr": 0.01}
    config = alone(
        street,
        trunk,
        tmp_path / "cache",
        tmp_path / "run",
        schedule=schedule,
        optimiser=optimiser,
        data={"stride": 1},
    )
    assert train(config).reason == "done"
    before, after = load_checkpoint(trunk)[0].state_dict(), weights(config)
    moved = {
        name
        for name, value in after.items()
        if not name.startswith(("normaliser.", "decoder.", "control_head."))
        and not torch.equal(value, before[name])
    }
    assert not moved
    assert torch.equal(after["control_head.reduce.weight"], before["control_head.reduce.weight"])
    losses = [n["loss/control"] for n in read_journal(tmp_path / "run") if n["kind"] == "train"]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])


@pytest.mark.slow
def test_readings_are_made_once_for_each_version_and_trunk(street: Path, trunk: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def made(name: str, **sections: dict[str, Any]) -> list[str]:
        seen = Seen()
        train(alone(street, trunk, cache, tmp_path / name, **sections), watcher=seen)
        return [what for what in seen.made if what.startswith("features")]

    assert made("one") == ["features, version 1 of 2", "features, version 2 of 2"]
    one, two = (path.read_bytes() for path in files(cache))
    assert one != two  # augmented in another way
    assert made("again") == []
    assert (tmp_path / "one/last.safetensors").read_bytes() == (
        tmp_path / "again/last.safetensors"
    ).read_bytes()
    more = {"checkpoint": str(trunk), "freeze": FROZEN, "store": 3}
    assert made("more", transfer=more) == ["features, version 3 of 3"]
    assert made("wider", model={"control_widths": [32]}) == []
    assert len(made("brighter", augment={"brightness": 0.5})) == 2
    assert len(made("other seed", run={"seed": 1, "out": str(tmp_path / "other seed")})) == 2
    assert len(made("fewer", data={"stride": 5})) == 2
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, FusionModel(SHAPE, seed=4))
    assert len(made("other", transfer=more | {"checkpoint": str(other), "store": 2})) == 2


def test_a_damaged_file_of_readings_is_made_again(street: Path, trunk: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    train(alone(street, trunk, cache, tmp_path / "one", schedule=SHORT))
    whole = [path.read_bytes() for path in files(cache)]
    files(cache)[0].write_bytes(whole[0][:-100])
    files(cache)[1].write_bytes(b"nonsense")
    seen = Seen()
    train(alone(street, trunk, cache, tmp_path / "two", schedule=SHORT), watcher=seen)
    assert len(seen.made) == 2
    assert [path.read_bytes() for path in files(cache)] == whole


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(
    street: Path, trunk: Path, tmp_path: Path
) -> None:
    schedule = {"steps": 6, "accumulate": 2, "validate_every": 3, "save_every": 3}

    def config(name: str) -> TrainConfig:
        return alone(street, trunk, tmp_path / "cache", tmp_path / name, schedule=schedule)

    train(config("whole"))
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == 4

    assert train(config("parts"), stop=stop).reason == "interrupted"
    assert train(config("parts"), resume=True).steps == 6
    one, other = (load_state(tmp_path / name / "state.safetensors") for name in ("whole", "parts"))
    for part in ("model", "average"):
        assert one[part].keys() == other[part].keys()
        for name, value in one[part].items():
            assert value.numpy().tobytes() == other[part][name].numpy().tobytes(), name


def test_an_interrupt_keeps_the_versions_that_are_finished(street: Path, trunk: Path, tmp_path: Path) -> None:
    cache, seen = tmp_path / "cache", Seen()
    config = alone(street, trunk, cache, tmp_path / "run", schedule=SHORT, data={"stride": 1})
    with pytest.raises(KeyboardInterrupt):
        train(
            config,
            watcher=seen,
            stop=lambda: "features, version 2 of 2" in seen.made,
        )
    assert len(files(cache)) == 1
    seen = Seen()
    assert train(config, watcher=seen).reason == "done"
    assert seen.made == ["features, version 2 of 2"]


def test_rows_of_readings_are_a_part_of_the_batch() -> None:
    whole = FeatureBatch(
        np.arange(8.0).reshape(4, 2), np.arange(4.0)[:, None], ((0, 0), (0, 1), (0, 2), (0, 3))
    )
    part = batch_rows(whole, slice(1, 3))
    assert isinstance(part, FeatureBatch)
    assert part.features.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert part.control.tolist() == [[1.0], [2.0]]
    assert part.ids == ((0, 1), (0, 2))


def test_what_stands_against_it_is_said_at_once(street: Path, trunk: Path, tmp_path: Path) -> None:
    transfer = {"checkpoint": str(trunk), "freeze": FROZEN[1:-1], "store": 2}
    distill = {"checkpoint": str(trunk)}
    with pytest.raises(ConfigError) as caught:
        train(
            alone(
                street,
                trunk,
                tmp_path / "cache",
                tmp_path / "run",
                transfer=transfer | {"distill": distill},
                balancing={"method": "gradnorm"},
            )
        )
    assert not (tmp_path / "cache").exists()  # before anything is decoded
    freeze, balancing, teacher = caught.value.errors
    assert "all but control_head.hidden, control_head.deeper, control_head.predict" in freeze
    assert freeze.endswith("free to learn: camera, control_head.reduce")
    assert "balancing.method" in balancing
    assert "transfer.distill" in teacher


def test_a_full_disk_names_what_it_would_take(
    street: Path, trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise stored_module.CheckpointError(f"{path} is not written: No space left on device")

    monkeypatch.setattr(stored_module, "write_whole", full)
    with pytest.raises(TrainingError, match=r"No space left.*needs about 0 MiB, set data\.cache"):
        train(alone(street, trunk, tmp_path / "cache", tmp_path / "run"))
