"""Several cameras through a plugin: a row for each, joined to one output."""

from __future__ import annotations

from typing import Any

from perception.align import Aligner
from perception.align.ledger import Ledger
from perception.pipeline.opened_plugin import OpenedPlugin
from perception.pipeline.runner import Runner
from perception.plugin import Context, Prepared
from perception.sinks import OutputSink
from perception.sinks.jsonl_sink import as_row
from perception.types import Output, Sample, camera_views
from tests.align.rig_build import image, rig_config, scan
from tests.pipeline.memory_plugin import MemoryPlugin


class Rows(OutputSink):
    def __init__(self) -> None:
        self.rows: list[tuple[Sample, Output]] = []

    def write(self, sample: Sample, output: Output, *_: Any) -> None:
        self.rows.append((sample, output))


class OfOneCamera(MemoryPlugin):
    """Fails on one camera; answers with the size of the image as its box."""

    def prepare(self, sample: Sample) -> Prepared:
        if sample.camera.name == "left" and sample.tick.index == 1:
            raise ValueError("no left")
        return super().prepare(sample)


def run(plugin: MemoryPlugin, batch: int = 1, control: str | None = None) -> tuple[Rows, Runner, Ledger]:
    sink, ledger = Rows(), Ledger()
    aligner = Aligner(rig_config(), ledger)
    samples: list[Sample] = []
    for k in range(4):
        for message in (scan("lidar", 100 * k - 2), image("left", 100 * k - 1), image("front", 100 * k)):
            samples += aligner.push(message)
    samples += aligner.flush()
    runner = Runner(plugin, [sink], ledger=ledger, batch=batch, control_camera=control)
    plugin.open(Context())
    runner.run(samples)
    return sink, runner, ledger


def test_one_output_a_tick_with_the_detections_of_each_camera_and_the_control_of_the_reference() -> None:
    for batch in (1, 2, 3):
        sink, runner, _ = run(MemoryPlugin(), batch)
        assert len(sink.rows) == runner.tally.frames == 4
        for _, output in sink.rows:
            assert list(output.cameras) == ["front", "left"]
            assert output.detections is output.cameras["front"]
            assert output.control is not None
            assert output.control.based_on == ("front",)  # the lidar is not placed in the image
        assert runner.tally.outputs["left/class"] == {"valid": 4, "invalid": 0}
        assert runner.tally.outputs["control"] == {"valid": 4, "invalid": 0}
        assert runner.tally.inputs["lidar"] == {"present": 0, "absent": 4}
        assert "range_no_camera_info (left)" in runner.tally.warnings


def test_control_comes_from_the_camera_that_is_configured() -> None:
    sink, _, _ = run(MemoryPlugin(), control="left")
    assert all(o.control is not None and o.control.based_on == ("left",) for _, o in sink.rows)


def test_a_plugin_that_fails_on_one_camera_costs_that_camera_alone() -> None:
    sink, runner, _ = run(OfOneCamera())
    assert runner.tally.errors == 1
    valid = [(o.cameras["front"].valid, o.cameras["left"].valid) for _, o in sink.rows]
    assert valid == [(True, True), (True, False), (True, True), (True, True)]


def test_the_ledger_counts_what_no_view_could_use_and_json_names_the_cameras() -> None:
    sink, _, ledger = run(MemoryPlugin())
    assert ledger.rows()["/left"] == {"used": 4}
    row = as_row(*sink.rows[0])
    assert row["camera"] == "front"
    assert list(row["cameras"]) == ["front", "left"]
    assert list(row["inputs"]) == ["front", "left", "lidar", "radar", "odom", "imu"]


def test_views_of_an_output_are_those_of_logs_with_one_camera() -> None:
    sink, _, _ = run(MemoryPlugin())
    front, left = camera_views(*sink.rows[0])
    assert front.output.control is not None
    assert left.output.control is None
    assert left.output.detections is sink.rows[0][1].cameras["left"]
    assert not left.output.cameras


def test_a_program_that_calls_the_plugin_gets_the_same() -> None:
    sink, _, _ = run(MemoryPlugin())
    opened = OpenedPlugin(MemoryPlugin())
    for sample, output in sink.rows[:1]:
        again = opened(sample)
        assert again.cameras["left"].items == output.cameras["left"].items
        assert again.control == output.control
