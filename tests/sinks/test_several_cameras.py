"""Outputs of several cameras in an output log and back."""

from __future__ import annotations

from pathlib import Path

from perception.logs import open_log
from perception.sinks import McapSink, RunInfo, read_outputs
from perception.types import Output, Sample
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.pipeline.test_rig_views import run


def written(path: Path) -> list[tuple[Sample, Output]]:
    sink, _, _ = run(MemoryPlugin())
    out = McapSink(path, timing=False)
    out.open(RunInfo())
    for sample, output in sink.rows:
        out.write(sample, output)
    out.close()
    return sink.rows


def test_each_camera_has_topics_of_its_own_and_comes_back_by_its_name(tmp_path: Path) -> None:
    rows = written(tmp_path / "out.mcap")
    with open_log(tmp_path / "out.mcap") as log:
        topics = set(log.survey.topics)
        stored = list(read_outputs(log))
    for camera in ("front", "left"):
        assert {f"/perception/{camera}/detections", f"/perception/{camera}/annotations"} <= topics
    assert "/perception/detections" not in topics
    assert "/perception/control" in topics
    assert len(stored) == len(rows)
    for item, (_, output) in zip(stored, rows, strict=True):
        assert item.output.cameras == output.cameras
        assert item.output.detections == output.detections
        assert item.output.control == output.control
        assert [state.name for state in item.inputs] == ["front", "left", "lidar", "radar", "odom", "imu"]
