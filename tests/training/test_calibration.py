"""A checkpoint that is overconfident is put right by calibration, without moving its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perception.training.calibration import calibrate_checkpoint
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import measure_stats
from perception.training.data.sample_cache import CachedLog
from perception.training.validation import predict
from tests.training.conftest import SHAPE


def test_control_intervals_cover_what_they_promise(cached: CachedLog, tmp_path: Path) -> None:
    dataset = Dataset([cached], [np.arange(len(cached))])
    model = FusionModel(SHAPE, seed=2, stats=measure_stats(dataset, SHAPE))
    with torch.no_grad():
        model.control_head.predict.bias[2:] = -2.0  # claims to know control to a seventh
        model.decoder.calibration.score_bias.fill_(7.0)  # of an earlier calibration, to be forgotten
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, Checkpoint(config=SHAPE, trained_on=({"log": "a"},)))
    calibrate_checkpoint(path, dataset)
    found, meta = load_checkpoint(path)
    assert meta.calibration["samples"] == 30
    assert meta.trained
    factors = found.decoder.calibration.control_factor
    assert bool((factors[1:] > 1.5).any(1).all())  # every subset that has a sensor
    assert torch.equal(factors[0], torch.ones(2))  # no sensor: nothing was seen
    assert float(found.decoder.calibration.score_bias.abs().max()) < 7
    examples = [dataset[i] for i in range(len(dataset))]
    before, after = (predict(m.eval(), examples, torch.device("cpu")) for m in (model, found))
    np.testing.assert_array_equal(before.control, after.control)
    true = np.array([e.truth.control for e in examples])
    for predicted, low, high in ((before, 0.0, 0.72), (after, 0.72, 0.88)):
        inside = np.abs(predicted.control - true) <= 1.6094 / np.sqrt(2) * predicted.control_std
        assert all(low <= share <= high for share in inside.mean(0)), inside.mean(0)


def test_a_run_calibrates_on_the_logs_it_is_given(street: Path, cache_root: Path, tmp_path: Path) -> None:
    from perception.training import train
    from tests.training.conftest import small_config

    config = small_config(
        street,
        cache_root,
        tmp_path / "run",
        data={"calibrate": [str(street)]},
        schedule={"steps": 3, "warmup_steps": 1},
    )
    train(config)
    meta = load_checkpoint(tmp_path / "run" / "best.safetensors")[1]
    assert meta.calibration["logs"] == ["street.mcap"]
    assert pytest.approx(30) == meta.calibration["samples"]
