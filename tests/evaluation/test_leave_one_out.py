"""The ablation that leaves out one named sensor at a time."""

from __future__ import annotations

from perception.evaluation.ablation.sensor_subsets import (
    SUBSETS,
    SubsetSink,
    SubsetsPlugin,
    leave_one_out,
    subset_name,
    without,
)
from perception.plugin import Context
from perception.sinks import RunInfo
from perception.types import Output, Sample, TruthFrame, views_of
from perception.types.views import joined_output
from tests.align.rig_build import image, reading, scan
from tests.align.test_named_sensors import rig_messages, samples_of
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin


def sample_of_all() -> Sample:
    others = [reading("odom", -10, v=3.0), scan("radar", -2), scan("lidar", -1), image("left", -1)]
    (sample,) = samples_of(*rig_messages(), *others, image("front", 0))
    return sample


def test_each_subset_lacks_one_sensor_and_the_first_lacks_none() -> None:
    sample = sample_of_all()
    subsets = leave_one_out(["front", "lidar", "odom"])
    assert [subset_name(subset) for subset in subsets] == [
        "camera+range+status",
        "without front",
        "without lidar",
        "without odom",
    ]
    present = {source.name for source in sample.sensors if source.present}
    for subset in subsets:
        rest = without(sample, subset)
        gone = present - {source.name for source in rest.sensors if source.present}
        assert gone == set(subset[1:]) & present if subset[0] == "without" else gone == set()
    assert without(sample, subsets[0]) is sample
    assert without(sample, ("without", "lidar")).range.name == "radar"


def test_the_rows_of_the_cameras_are_kept_apart() -> None:
    plugin = SubsetsPlugin(MemoryPlugin, leave_one_out(["front", "left"]))
    plugin.manifest = MANIFEST
    plugin.open(Context())
    sample = sample_of_all()
    rows = views_of(sample)
    plugin.step([plugin.prepare(row) for row in rows])
    for row in rows:
        outputs = plugin.take(sample.tick, row.camera.name)
        based_on = {subset_name(s): out.control.based_on for s, out in outputs.items() if out.control}
        assert (row.camera.name in based_on[f"without {row.camera.name}"]) is False
        other = "left" if row.camera.name == "front" else "front"
        assert based_on[f"without {other}"] == based_on["camera+range+status"]


class KeptOutputs:
    """Takes the place of a suite."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def update(self, output: Output, truth: TruthFrame) -> None:
        self.outputs.append(output)


def test_control_of_a_subset_is_that_of_the_camera_that_gives_it() -> None:
    plugin, sample = SubsetsPlugin(MemoryPlugin), sample_of_all()
    plugin.open(Context())
    kept = {subset: KeptOutputs() for subset in SUBSETS}
    sink = SubsetSink(plugin, lambda run, subset: kept[subset], control_camera="left")  # type: ignore[arg-type,return-value]
    sink.open(RunInfo())
    answers = plugin.step([plugin.prepare(row) for row in views_of(sample)])
    sink.write(sample, joined_output(sample, dict(zip(sample.cameras, answers, strict=True)), "left"))
    for subset, suite in kept.items():
        front, left = suite.outputs
        assert left.control is None  # it is scored once for a tick
        assert front.control is not None
        assert front.detections is not None
        assert ("left" in front.control.based_on) == ("camera" in subset)
        assert "front" not in front.control.based_on
        assert ("front" in front.detections.based_on) == ("camera" in subset)
