"""Every loss and every method of balancing on the real model: a short run in which every head improves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from perception.errors import ConfigError
from perception.models import FusionModel
from perception.models.checkpoint import save_checkpoint
from perception.training.balancing.options import METHODS
from perception.training.config_file import parse_train_config, to_yaml
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import measure_stats
from perception.training.data.sample_cache import CachedLog
from perception.training.data.training_sample import IGNORED, Batch, TrainingSample, collate
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.loop.loss_step import LossStep
from perception.training.loop.optimiser import clip, make_optimiser
from perception.training.train_config import TrainConfig
from perception.types import SENSORS
from tests.training.conftest import small_config

HEADS = ("class", "box", "distance", "control")
LOSSES = {
    "laplace": [
        {"class": "focal", "box": "smooth_l1", "distance": "l1", "control": "mse"},
        {"class": "cross_entropy", "box": "mse", "distance": "kl", "control": "kl"},
    ],
    "gaussian": [{"distance": "gaussian", "control": "beta_nll"}],
}


@pytest.fixture(scope="module")
def dataset(cached: CachedLog) -> Dataset:
    return Dataset([cached], [torch.arange(0, 30, 5).numpy()])


@pytest.fixture(scope="module")
def batch(dataset: Dataset) -> Batch:
    """Three moments of the drive, as they are, learned by heart."""
    return collate([dataset[i] for i in (0, 2, 4)])


def improvement(dataset: Dataset, batch: Batch, steps: int = 9, **sections: Any) -> dict[str, float]:
    """By how much each head's loss falls over some steps on one batch."""
    config = small_config(Path("a"), Path("b"), Path("c"), **sections)
    shape = config.model_shape()
    model = FusionModel(shape, seed=3, stats=measure_stats(dataset, shape)).train()
    lessons, plan = LossStep(config, model), HeadSchedule(config.schedule)
    optimiser = make_optimiser(model, config.optimiser.model_copy(update={"lr": 0.01}), lessons.parameters())
    first: dict[str, float] = {}
    values: dict[str, float] = {}
    for step in range(steps):
        torch.manual_seed(step)
        optimiser.zero_grad()
        found = lessons.losses(model, batch, plan, step)
        values = {head: float(loss.detach()) for head, loss in found.items()}
        first = first or values
        lessons.backward(found, values, 1)
        clip([p for group in optimiser.param_groups for p in group["params"]], 10.0)
        optimiser.step()
    return {head: first[head] - values[head] for head in values}


@pytest.mark.parametrize(
    "method",
    [
        # What each of these aggregates to: test_definitions.py; a run with `pcgrad`: test_training_run.py.
        pytest.param(method, marks=pytest.mark.slow)
        if method in ("pcgrad", "cagrad", "mgda", "nash")
        else method
        for method in METHODS
    ],
)
def test_every_head_improves_whatever_balances_them(method: str, dataset: Dataset, batch: Batch) -> None:
    if method in ("pcgrad", "cagrad", "upgrad", "mgda", "nash"):
        pytest.importorskip("torchjd")
    options = {"period": 4} if method == "dwa" else {}
    found = improvement(dataset, batch, balancing={"method": method, **options})
    assert found.keys() == set(HEADS)
    assert all(fell > 0.05 for fell in found.values()), found


@pytest.mark.parametrize(
    ("family", "losses"), [(family, losses) for family in LOSSES for losses in LOSSES[family]], ids=str
)
def test_every_head_improves_by_every_loss(
    family: str, losses: dict[str, str], dataset: Dataset, batch: Batch
) -> None:
    found = improvement(dataset, batch, losses=losses, model={"loss_family": family})
    assert all(fell > 0.005 for fell in found.values()), found


def test_adapters_learn_with_the_rest(dataset: Dataset, batch: Batch) -> None:
    found = improvement(dataset, batch, model={"adapters": ["class", "box", "control"]})
    assert all(fell > 0.05 for fell in found.values()), found


def as_picture(sample: TrainingSample) -> TrainingSample:
    present = np.array([name == "camera" for name in SENSORS], np.float32)
    control = np.full_like(sample.truth.control, np.nan)
    return sample._replace(
        inputs=sample.inputs._replace(present=present), truth=sample.truth._replace(control=control)
    )


def test_a_teacher_may_leave_out_labelled_pictures(dataset: Dataset, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.safetensors"
    save_checkpoint(teacher, FusionModel(small_config(Path("a"), Path("b"), Path("c")).model_shape(), seed=9))
    drive, picture = collate([dataset[0]]), collate([as_picture(dataset[0])])
    found: dict[object, list[float]] = {}
    for pictures in (True, False, None):
        distill = None if pictures is None else {"checkpoint": str(teacher), "pictures": pictures}
        config = small_config(Path("a"), Path("b"), Path("c"), transfer={"distill": distill})
        model = FusionModel(config.model_shape(), seed=3).eval()
        step, plan = LossStep(config, model), HeadSchedule(config.schedule)
        losses = [step.losses(model, batch, plan, 0) for batch in (drive, picture)]
        found[pictures] = [float(sum(loss.detach() for loss in each.values())) for each in losses]
    assert found[False] == pytest.approx([found[True][0], found[None][1]])
    assert found[True][0] != pytest.approx(found[None][0])
    assert found[True][1] != pytest.approx(found[None][1])


def parse(**sections: Any) -> TrainConfig:
    return parse_train_config({"model": {"input_height": 64, "input_width": 128}, **sections})


def test_faults_of_every_section_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(
            losses={"class": "focall", "control": {"name": "gaussian"}},
            balancing={"method": "gradnrom"},
            schedule={"stepps": 3},
        )
    text = "\n".join(caught.value.errors)
    assert len(caught.value.errors) == 4
    for words in (
        "did you mean focal?",
        "set model.loss_family: gaussian",
        "did you mean gradnorm?",
        "steps",
    ):
        assert words in text


def test_the_method_of_balancing_is_no_name() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(balancing={"name": "uncertainty"})
    assert list(caught.value.errors) == ["balancing.name: unknown key, did you mean method?"]


def test_the_resolved_configuration_says_every_loss_with_its_options() -> None:
    config = parse(losses={"class": "focal"}, balancing={"method": "gradnorm", "weights": {"box": 2}})
    assert config.losses == {
        "class": {"name": "focal", "alpha": 0.25, "gamma": 2.0},
        "box": {"name": "giou", "weight": 2.0, "scale_weight": 0.1},
        "distance": {"name": "laplace"},
        "control": {"name": "mse", "scale_weight": 0.1},
    }
    assert config.balancing == {"method": "gradnorm", "alpha": 1.5, "lr": 0.025, "weights": {"box": 2}}
    assert parse_train_config(yaml.safe_load(to_yaml(config))).losses == config.losses


def test_a_gaussian_model_is_taught_by_gaussian_likelihoods_where_nothing_is_said() -> None:
    config = parse(model={"loss_family": "gaussian"})
    lessons = LossStep(config, FusionModel(config.model_shape()))
    assert lessons.head_losses.family == "gaussian"
    assert lessons.head_losses.chosen["distance"].name == "gaussian"


def test_regions_to_ignore_teach_nothing_in_any_of_their_cells(dataset: Dataset) -> None:
    sample = dataset[0]
    region = np.array([[8.0, 8.0, 120.0, 56.0]], np.float32)
    truth = sample.truth._replace(
        labels=np.zeros(1, np.int64),
        boxes=region,
        distance_m=np.full(1, np.nan, np.float32),
        visible=np.full(1, IGNORED, np.float32),
    )
    config = small_config(Path("a"), Path("b"), Path("c"))
    model = FusionModel(config.model_shape())
    step, plan = LossStep(config, model), HeadSchedule(config.schedule)
    counted = step.targets(model, collate([sample._replace(truth=truth)]), plan, 0).counted[0, 0]
    assert not counted[2:14, 2:30].any()
    assert counted.sum() == 16 * 32 - 12 * 28
