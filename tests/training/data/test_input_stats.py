"""Statistics are those of the samples; what nothing is known of keeps its default."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception.models import default_stats
from perception.models.tensors import RETURN_CHANNELS
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import BEYOND, measure_stats, seen_stretch
from perception.training.data.sample_cache import CachedLog, cached_log
from perception.training.train_config import PictureConfig
from tests.scripted_scene import write_scene
from tests.training.conftest import SHAPE


def dataset(log: CachedLog) -> Dataset:
    return Dataset([log], [np.arange(len(log))])


def test_every_channel_is_measured_over_what_is_valid(cached: CachedLog) -> None:
    stats = measure_stats(dataset(cached), SHAPE)
    control = np.asarray(cached.column("control"), np.float64)
    assert stats.control["curvature"].mean == pytest.approx(control[:, 0].mean())
    assert stats.control["acceleration"].maximum == pytest.approx(control[:, 1].max())
    valid = np.asarray(cached.column("returns"))[np.asarray(cached.column("returns_valid")) > 0]
    ranges = valid[:, RETURN_CHANNELS.index("range_m")]
    assert stats.returns["range_m"].mean == pytest.approx(ranges.mean(), rel=1e-4)
    inside = valid[valid[:, RETURN_CHANNELS.index("in_image")] > 0]
    assert stats.returns["u"].mean == pytest.approx(inside[:, 0].mean(), rel=1e-4)
    metres = np.concatenate([cached.boxes(i)["distance_m"] for i in range(len(cached))])
    assert stats.log_distance["log_distance"].mean == pytest.approx(np.log(metres).mean(), rel=1e-4)
    images = np.stack([cached.sample(row).inputs.image for row in range(len(cached))])
    image = np.asarray(images, np.float64)[:, :, ::8, ::8]
    assert stats.image["green"].std == pytest.approx(image[:, 1].std(), rel=1e-6)


def test_what_never_changes_is_not_blown_up(cached: CachedLog) -> None:
    speed = measure_stats(dataset(cached), SHAPE).returns["radial_speed"]  # a scan measures none
    assert speed.std == default_stats(SHAPE).returns["radial_speed"].std
    assert (speed.minimum, speed.maximum) == (0.0, 0.0)


def test_a_sensor_and_a_truth_that_are_not_there_keep_their_defaults(
    recipe: CacheSpec, tmp_path: Path
) -> None:
    path = write_scene(tmp_path / "a.mcap", duration_s=1.0, scan=False, truth=False)
    found, default = measure_stats(dataset(cached_log(path, recipe, tmp_path)), SHAPE), default_stats(SHAPE)
    assert found.returns == default.returns
    assert found.control == default.control
    assert found.log_distance == default.log_distance
    assert found.status != default.status


def test_the_shapes_that_training_shows(cached: CachedLog, recipe: CacheSpec, tmp_path: Path) -> None:
    width, height = cached.column("source_size")[0].tolist()
    stretch = round(SHAPE.input_width * height / (SHAPE.input_height * width), 3)
    samples = dataset(cached)
    most = pytest.approx(max(BEYOND * stretch, 1), abs=1e-3)
    assert seen_stretch(samples, SHAPE, PictureConfig()) == (min(stretch, 1), most)
    assert seen_stretch(samples, SHAPE, PictureConfig(mosaic=0.5)) == (min(stretch, 1), most)
    drawn = seen_stretch(samples, SHAPE, PictureConfig(mosaic=0.5, drives=0.5))
    assert drawn == (min(stretch, 1), max(stretch, 1.5))
    blind = write_scene(tmp_path / "a.mcap", duration_s=1.0, camera=False)
    assert seen_stretch(dataset(cached_log(blind, recipe, tmp_path)), SHAPE, PictureConfig()) == (1, BEYOND)
