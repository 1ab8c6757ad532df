"""A checkpoint says what its training inputs looked like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, load_checkpoint, read_metadata, save_checkpoint
from perception.models.input_profile import KEY, LEAST_GROUPS, from_plain, to_plain
from perception.models.preprocess.descriptors import describe_picture
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog, cached_log
from perception.training.input_profile import measure_profiles, store_input_profile
from tests.scripted_scene import write_scene
from tests.training.conftest import SHAPE


def test_the_profile_is_that_of_the_samples_and_the_weights_stay(cached: CachedLog, tmp_path: Path) -> None:
    dataset = Dataset([cached] * LEAST_GROUPS, [np.arange(len(cached))] * LEAST_GROUPS)
    path = tmp_path / "model.safetensors"
    save_checkpoint(
        path, FusionModel(SHAPE, seed=2), Checkpoint(config=SHAPE, calibration={"method": "none"})
    )
    weights = {name: value.clone() for name, value in load_checkpoint(path)[0].state_dict().items()}
    stored = store_input_profile(path, dataset, most=80)

    for name, value in load_checkpoint(path)[0].state_dict().items():
        np.testing.assert_array_equal(weights[name].numpy(), value.numpy(), err_msg=name)
    meta = read_metadata(path)
    assert meta.calibration["method"] == "none"
    profiles = from_plain(meta.calibration[KEY])
    assert set(profiles) == {profile.name for profile in stored} == {"camera", "range"}
    pictures = [e.inputs.image for e in (dataset[i] for i in range(len(cached))) if e.inputs.present[0]]
    own = np.array([describe_picture(picture) for picture in pictures])
    assert np.median(profiles["camera"].distances(own)) < profiles["camera"].limit
    inverted = np.array([describe_picture(255 - picture) for picture in pictures])
    assert np.median(profiles["camera"].distances(inverted)) > np.median(profiles["camera"].distances(own))


def test_the_pieces_of_one_log_stand_for_logs_and_too_little_gives_nothing(cached: CachedLog) -> None:
    alone = Dataset([cached], [np.arange(len(cached))])
    profiles = measure_profiles(alone)
    assert all(profile.groups >= LEAST_GROUPS for profile in profiles)
    assert measure_profiles(alone.some(10)) == []


def test_the_grey_beside_pictures_is_no_part_of_the_profile(recipe: CacheSpec, tmp_path: Path) -> None:
    """The profile of square pictures is that of an input that they fill."""
    log = write_scene(tmp_path / "square.mcap", duration_s=2.0, image_size=(96, 96))

    def profile(**changes: Any) -> dict[str, Any]:
        cached = cached_log(log, replace(recipe, spec=replace(recipe.spec, **changes)), tmp_path)
        dataset = Dataset([cached] * LEAST_GROUPS, [np.arange(len(cached))] * LEAST_GROUPS)
        found = to_plain(measure_profiles(dataset, most=80))
        return dict(found["camera"])

    assert profile(stretch=(1.0, 1.0)) == profile(width=SHAPE.input_height)
