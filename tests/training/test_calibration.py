"""A checkpoint that is overconfident is put right by calibration, without moving its answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perception.training import Silent, train
from perception.training.calibration import calibrate_checkpoint
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from perception.training.validation import predict
from tests.scripted_scene import write_scene
from tests.training.conftest import SHAPE, small_config


def test_control_intervals_cover_what_they_promise(overconfident: tuple[FusionModel, Path, Dataset]) -> None:
    model, path, dataset = overconfident
    found, meta = load_checkpoint(path)
    assert meta.calibration["samples"] == 30
    assert meta.trained
    factors = found.decoder.calibration.control_factor
    assert bool((factors[1:] > 1.5).any(1).all())  # every subset that has a sensor
    assert torch.equal(factors[0], torch.ones(2))  # no sensor: nothing was seen
    assert float(found.decoder.calibration.score_bias.abs().max()) < 7
    examples = [dataset[i] for i in range(len(dataset))]
    before, after = (predict(m, examples, torch.device("cpu")) for m in (model, found))
    np.testing.assert_array_equal(before.control, after.control)
    true = np.array([e.truth.control for e in examples])
    for predicted, low, high in ((before, 0.0, 0.72), (after, 0.72, 0.88)):
        inside = np.abs(predicted.control - true) <= 1.6094 / np.sqrt(2) * predicted.control_std
        assert all(low <= share <= high for share in inside.mean(0)), inside.mean(0)


def test_a_run_calibrates_on_the_logs_it_is_given_and_tells_those_that_were_trained_on(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    class Told(Silent):
        texts: list[str] = []  # noqa: RUF012

        def message(self, text: str) -> None:
            self.texts.append(text)

    told, log = Told(), write_scene(tmp_path / "street.mcap", seed=3, duration_s=0.4)
    shutil.copy(street.with_suffix(".yaml"), tmp_path)  # how it is read
    copy = shutil.copy(log, tmp_path / "copy.mcap")
    data: dict[str, Any] = {"calibrate": [str(copy)], "validate": []}
    schedule = {"steps": 2, "warmup_steps": 1}
    train(small_config(log, cache_root, tmp_path / "run", data=data, schedule=schedule), watcher=told)
    meta = load_checkpoint(tmp_path / "run" / "best.safetensors")[1]
    assert meta.calibration["logs"] == ["copy.mcap"]
    assert pytest.approx(4) == meta.calibration["samples"]
    assert any("1 of the logs to calibrate on were also trained or validated on" in t for t in told.texts)


def test_scores_of_a_class_that_is_not_completely_labelled_are_left_alone(
    cached: CachedLog, tmp_path: Path
) -> None:
    """Without boxes all detections look wrong: that says nothing of a class whose objects have none."""
    model = FusionModel(SHAPE, seed=2)
    with torch.no_grad():
        model.class_head.get_parameter("predict.bias").fill_(0.0)
    rows = np.arange(0, len(cached), 3)
    for complete in ([1, 1, 1], [0, 1, 1]):
        dataset = Dataset([cached], [rows], [np.array(complete, np.float32)])
        path = tmp_path / f"{complete}.safetensors"
        save_checkpoint(path, model, Checkpoint(config=SHAPE, trained_on=({"log": "a"},)))
        calibrate_checkpoint(path, dataset)
        calibration = load_checkpoint(path)[0].decoder.calibration
        assert bool(calibration.score_bias[-1, 0]) == bool(complete[0])
