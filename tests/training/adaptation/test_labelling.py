"""Labels of samples: where their boxes stand in the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.training.adaptation.labelling import in_source_pixels
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import cached_log
from tests.scripted_scene import write_scene


@pytest.mark.parametrize("size", [(96, 96), (192, 48)])
def test_boxes_stand_in_pixels_of_their_picture_whatever_lies_beside_it(
    size: tuple[int, int], recipe: CacheSpec, tmp_path: Path
) -> None:
    log = write_scene(tmp_path / "scene.mcap", seed=3, duration_s=1.0, image_size=size)
    limited = replace(recipe, spec=replace(recipe.spec, stretch=(1.0, 1.0)))
    found = []
    for spec in (recipe, limited):
        cached = cached_log(log, spec, tmp_path)
        dataset = Dataset([cached], [np.arange(len(cached))])
        boxes = [in_source_pixels(cached.boxes(row)["xyxy"], dataset, dataset.ids[row]) for row in range(10)]
        found.append(np.concatenate(boxes))
    assert len(found[0])
    np.testing.assert_allclose(*found, atol=1e-3)
