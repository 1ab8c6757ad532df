"""Tests of the steps after training."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.models import FusionModel
from perception.models.checkpoint import DEFAULT_PREPROCESS, Checkpoint, save_checkpoint
from perception.models.preprocess import BESIDE
from perception.training import final_evaluation
from perception.training.data.dataset import Dataset
from perception.training.loop.observer import Silent
from tests.scripted_scene import write_scene
from tests.training.conftest import SHAPE, small_config


@pytest.mark.parametrize("limits", [[0.5, 2.0], [1.0, 1.0]])
def test_calibration_sees_pictures_as_a_replay_of_the_weights_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: list[float]
) -> None:
    """Those of a camera that the training did not know have grey beside them."""
    seen: list[Dataset] = []
    monkeypatch.setattr(
        final_evaluation, "calibrate_checkpoint", lambda path, dataset: seen.append(dataset) or {"all": 0}
    )
    monkeypatch.setattr(final_evaluation, "store_output_stats", lambda path, dataset: None)
    monkeypatch.setattr(final_evaluation, "subset_name", lambda subset: "all")
    path = tmp_path / "model.safetensors"
    about = Checkpoint(SHAPE, preprocess={**DEFAULT_PREPROCESS, "stretch": limits})
    save_checkpoint(path, FusionModel(SHAPE, seed=1), about)
    log = write_scene(tmp_path / "square.mcap", duration_s=1.0, image_size=(96, 96))
    config = small_config(log, tmp_path / "cache", tmp_path / "run", data={"calibrate": [str(log)]})
    final_evaluation.calibrate(config, path, Silent())
    (dataset,) = seen
    at_the_left = dataset[0].inputs.image[:, :, :32]
    assert bool((at_the_left == BESIDE).all()) is (limits == [1.0, 1.0])
