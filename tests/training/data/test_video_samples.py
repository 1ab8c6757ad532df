"""A video log trains: the cache holds the pictures that its decoder gives, at the model's size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.logs import open_log
from perception.models.preprocess import image_pixels
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.cache_writer import samples_with_truth
from perception.training.data.sample_cache import cached_log
from perception.types import CameraFrame
from tests.small_logs import SmallLog
from tests.video_files import decoded, packets, video_log


@pytest.mark.parametrize("height", [16, 128], ids=["smaller", "larger than the picture"])
def test_cached_samples_of_a_video_are_its_decoded_pictures(
    recipe: CacheSpec, tmp_path: Path, height: int
) -> None:
    log = SmallLog().scan(seconds=2.4).status(hz=50.0, seconds=2.4).truth(seconds=2.4).control(seconds=2.4)
    path = video_log(tmp_path / "video.mcap", log=log)
    spec = replace(recipe, spec=replace(recipe.spec, height=height, width=2 * height))
    cached = cached_log(path, spec, tmp_path / "cache")
    with open_log(path) as opened:
        samples = [sample for sample, _ in samples_with_truth(opened, spec.config_for(opened))]
    assert len(samples) == len(cached) == 24
    for row, data in enumerate(decoded(packets())):
        frame = CameraFrame("", 0, 0, "", data, "i420", 64, 48, 64, colours="bt601")
        image = np.asarray(cached.sample(row).inputs.image)
        np.testing.assert_array_equal(image, image_pixels(frame, spec.spec))
