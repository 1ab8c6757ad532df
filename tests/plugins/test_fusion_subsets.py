"""The fusion plugin answers on every subset of the sensors at once as it would on each alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perception.diagnosis.conformance.samples import STATUS, drawn_samples
from perception.evaluation import SUBSETS
from perception.evaluation.ablation.sensor_subsets import without
from perception.plugin import Context, StepsSubsets, load_plugin
from perception.types import SENSORS, absent_sample
from tests.plugins.test_fusion import write_checkpoint


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_each_subset_is_what_the_plugin_says_with_the_others_absent(tmp_path: Path, batch: int) -> None:
    plugin = load_plugin("fusion")
    assert isinstance(plugin, StepsSubsets)
    weights = write_checkpoint(tmp_path / "small.safetensors")
    plugin.open(Context(backend="torch", status=STATUS, threads=1, checkpoint=weights, batch=batch))
    samples = drawn_samples(6)
    samples[1] = samples[1].with_absent({"camera": "dark"})
    samples[2] = absent_sample(samples[2].tick, "nothing came")
    prepared = [plugin.prepare(sample) for sample in samples]
    together = [
        row
        for start in range(0, len(samples), batch)
        for row in plugin.step_subsets(prepared[start : start + batch], SUBSETS)
    ]
    said = 0
    for sample, row in zip(samples, together, strict=True):
        for subset, output in zip(SUBSETS, row, strict=True):
            (alone,) = plugin.step([plugin.prepare(without(sample, subset))])
            assert replace(output, warnings={}) == replace(alone, warnings={}), subset
            present = {given.name for given in sample.inputs if given.present}
            assert output.control is not None
            assert set(output.control.based_on) == present & set(subset)
            said += len(output.detections.items) if output.detections is not None else 0
    assert said > 20, "detections to compare"
    assert plugin.step_subsets([], SUBSETS) == []
    plugin.close()


def test_all_sensors_are_the_first_subset() -> None:
    assert SUBSETS[0] == SENSORS
    assert len(set(SUBSETS)) == 7
