"""A checkpoint says what its outputs look like, by subset of the sensors."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from perception.diagnosis.monitor import StatisticsReader, from_plain
from perception.diagnosis.monitor.baseline_stats import KEY, LEVELS
from perception.evaluation import SUBSETS, subset_name
from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint, load_checkpoint, read_metadata, save_checkpoint
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import cached_log
from perception.training.output_stats import store_output_stats
from perception.training.validation import output_of, predict
from tests.small_logs import SmallLog
from tests.training.conftest import SHAPE


def test_each_camera_of_a_rig_is_a_series_of_its_own(
    recipe: CacheSpec, cache_root: Path, tmp_path: Path
) -> None:
    """Both see a picture that never changes: no output jumps, though those of the two differ."""
    log = SmallLog().image("/a/image", frame="one", frozen=True)
    log.image("/b/image", frame="two", frozen=True, noisy=True)
    cached = cached_log(log.write(tmp_path / "rig.mcap"), recipe, cache_root)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, FusionModel(SHAPE, seed=2), Checkpoint(config=SHAPE, trained_on=({"log": "a"},)))
    found = store_output_stats(path, Dataset([cached], [np.arange(len(cached))]))
    control = found["camera"].quantiles["control"]
    assert max(control["jump/curvature"]) == 0
    assert control["std/curvature"][0] < control["std/curvature"][-1]


def test_the_statistics_are_those_of_the_calibrated_outputs(
    overconfident: tuple[FusionModel, Path, Dataset], tmp_path: Path
) -> None:
    _, calibrated_path, dataset = overconfident
    path = shutil.copy(calibrated_path, tmp_path / "model.safetensors")
    weights = {k: v.clone() for k, v in load_checkpoint(path)[0].state_dict().items()}
    store_output_stats(path, dataset)

    calibrated, meta = load_checkpoint(path)
    for name, value in calibrated.state_dict().items():
        np.testing.assert_array_equal(weights[name].numpy(), value.numpy(), err_msg=name)
    found = from_plain(read_metadata(path).calibration[KEY])
    assert set(found) == {subset_name(subset) for subset in SUBSETS}
    assert meta.calibration["method"] == "platt+spread/quantile80"

    examples = [dataset[i] for i in range(len(dataset))]
    whole = [i for i, e in enumerate(examples) if e.inputs.present.all()]
    assert found["camera+range+status"].frames == len(whole)
    predicted = predict(calibrated, examples, torch.device("cpu"))
    outputs = [output_of(examples[i], type(predicted)(*(a[i] for a in predicted)), SHAPE) for i in whole]
    stds = [StatisticsReader().read(output)["control"]["std/curvature"] for output in outputs]
    median = found["camera+range+status"].quantiles.get("control", {}).get("std/curvature")
    if len(whole) >= 30:
        assert median is not None
        np.testing.assert_allclose(median[3], np.median(stds), rtol=1e-3)
    assert len(found["camera"].inputs["camera"]["age_ms"]) == len(LEVELS)
    assert max(found["status"].inputs["status"].get("still", [0.0])) < 1.0
    alone = found["camera"].quantiles["control"]["std/curvature"]
    assert list(alone) == sorted(alone)
