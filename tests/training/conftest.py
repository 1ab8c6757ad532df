"""Small logs, a small model and cached samples that the tests of training share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from perception.autoconfig import complete_config
from perception.logs import open_log
from perception.models import FusionModel, ModelConfig
from perception.models.checkpoint import Checkpoint, save_checkpoint
from perception.models.input_profile import InputProfile
from perception.models.preprocess import InputSpec
from perception.training import input_profile
from perception.training.calibration import calibrate_checkpoint
from perception.training.config_file import parse_train_config
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import measure_stats
from perception.training.data.sample_cache import CachedLog, cached_log
from perception.training.train_config import TrainConfig
from tests.scripted_scene import write_scene

CLASSES = ("person", "vehicle", "cone")
SHAPE = ModelConfig(
    classes=CLASSES,
    input_height=64,
    input_width=128,
    returns=64,
    steps=6,
    detections=20,
    widths=(8, 16, 16),
    blocks=(1, 1, 1),
    fused_width=16,
    range_width=16,
    splat_widths=(4, 8, 8),
    status_width=8,
)


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a scripted drive: 30 camera frames. Beside it is how it is read, chosen once."""
    log = write_scene(tmp_path_factory.mktemp("logs") / "street.mcap", seed=3, duration_s=3.0)
    with open_log(log) as opened:
        config = complete_config(opened).config
    reading = config.model_dump(mode="json", exclude={"plugin", "engine"}, exclude_defaults=True)
    log.with_suffix(".yaml").write_text(yaml.safe_dump({"version": 1, **reading}))
    return log


@pytest.fixture(scope="session")
def recipe() -> CacheSpec:
    return CacheSpec(SHAPE, InputSpec.of(SHAPE, {}))


@pytest.fixture(scope="session")
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def cached(street: Path, recipe: CacheSpec, cache_root: Path) -> CachedLog:
    return cached_log(street, recipe, cache_root)


@pytest.fixture(scope="session")
def overconfident(
    cached: CachedLog, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FusionModel, Path, Dataset]:
    """A model that claims to know control to a seventh, its checkpoint after calibration, and the samples."""
    dataset = Dataset([cached], [np.arange(len(cached))])
    model = FusionModel(SHAPE, seed=2, stats=measure_stats(dataset, SHAPE))
    with torch.no_grad():
        model.control_head.predict.bias[2:] = -2.0
        model.decoder.calibration.score_bias.fill_(7.0)  # of an earlier calibration, to be forgotten
    path = tmp_path_factory.mktemp("calibrated") / "model.safetensors"
    save_checkpoint(path, model, Checkpoint(config=SHAPE, trained_on=({"log": "a"},)))
    calibrate_checkpoint(path, dataset)
    return model.eval(), path, dataset


@pytest.fixture(scope="session", autouse=True)
def _kept_profiles() -> Iterator[None]:
    """The profile of the same training inputs is measured once: the end of each run measures it."""
    measure = input_profile.measure_profiles
    kept: dict[object, list[InputProfile]] = {}

    def measure_once(dataset: Dataset, most: int = 600) -> list[InputProfile]:
        key = most, tuple(log.folder for log in dataset.logs), tuple(dataset.ids)
        if key not in kept:
            kept[key] = measure(dataset, most)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(input_profile, "measure_profiles", measure_once)
        yield


def small_config(log: Path, cache: Path, out: Path, **sections: dict[str, Any]) -> TrainConfig:
    """A run of a few steps; sections are laid over it key by key.

    How a log is read is configured where a configuration lies beside it, as beside `street`; else each run
    chooses it.
    """
    reading = log.with_suffix(".yaml")
    data: dict[str, Any] = {
        "model": {k: v for k, v in SHAPE.to_dict().items() if k not in ("control", "status")},
        "data": {"train": [str(log)], "validate": [str(log)], "cache": str(cache), "validate_samples": 6},
        "schedule": {"steps": 4, "batch": 4, "warmup_steps": 2, "validate_every": 2, "save_every": 2},
        "run": {
            "out": str(out),
            "threads": 1,
            "device": "cpu",
            "precision": "fp32",
            "evaluate": False,
            "tensorboard": False,
            "plots": False,
        },
    }
    if reading.is_file():
        data["data"]["config"] = str(reading)
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values}
    return parse_train_config(data)
