"""Small logs, a small model and cached samples that the tests of training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perception.models import ModelConfig
from perception.models.preprocess import InputSpec
from perception.training.config_file import parse_train_config
from perception.training.data.cache_spec import CacheSpec
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
    """Three seconds of a scripted drive: 30 camera frames."""
    return write_scene(tmp_path_factory.mktemp("logs") / "street.mcap", seed=3, duration_s=3.0)


@pytest.fixture(scope="session")
def recipe() -> CacheSpec:
    return CacheSpec(SHAPE, InputSpec.of(SHAPE, {}))


@pytest.fixture(scope="session")
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def cached(street: Path, recipe: CacheSpec, cache_root: Path) -> CachedLog:
    return cached_log(street, recipe, cache_root)


def small_config(log: Path, cache: Path, out: Path, **sections: dict[str, Any]) -> TrainConfig:
    """A run of a few steps; sections are laid over it key by key."""
    data: dict[str, Any] = {
        "model": {k: v for k, v in SHAPE.to_dict().items() if k not in ("control", "status")},
        "data": {"train": [str(log)], "validate": [str(log)], "cache": str(cache), "validate_samples": 6},
        "schedule": {"steps": 8, "batch": 4, "warmup_steps": 2, "validate_every": 4, "save_every": 2},
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
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values}
    return parse_train_config(data)
