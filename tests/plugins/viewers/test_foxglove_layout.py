"""The layout for Foxglove: every panel has its place, and every topic and path exists in what is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perception.autoconfig import complete_config
from perception.config import Config
from perception.config.config_file import to_yaml
from perception.errors import OutputError
from perception.logs import open_log
from perception.logs.perception_proto import decode_control, decode_inputs, decode_status
from perception.path_guard import Write, check_paths
from perception.pipeline import ReplayOptions, replay
from perception.pipeline.stage_times import STAGES
from perception.sinks import McapSink, RunInfo, make_sink
from perception_plugins.viewers.foxglove_layout import LayoutSink, foxglove_layout
from tests.align.rig_build import rig_config
from tests.pipeline.memory_plugin import MemoryPlugin
from tests.pipeline.test_rig_views import run as run_rig
from tests.short_logs import SAMPLE_LOGS
from tests.small_logs import SmallLog


def leaves(place: Any, panels: dict[str, Any]) -> Iterator[str]:
    """Yield the panels of a mosaic, those in tabs too."""
    if isinstance(place, str):
        yield place
        for tab in panels[place].get("tabs", ()):
            yield from leaves(tab["layout"], panels)
        return
    assert place["direction"] in ("row", "column")
    assert 0 < place["splitPercentage"] < 100
    yield from leaves(place["first"], panels)
    yield from leaves(place["second"], panels)


def paths_of(layout: dict[str, Any]) -> list[str]:
    return [row["value"] for panel in layout["configById"].values() for row in panel.get("paths", ())]


def test_every_topic_and_path_of_the_layout_is_in_the_output_log(tmp_path: Path) -> None:
    path = SmallLog().sound().write(tmp_path / "a.mcap")
    out, made = tmp_path / "out.mcap", tmp_path / "layout.json"
    with open_log(path) as log:
        config = complete_config(log).config
        sink = McapSink(out)
        sinks = [sink, make_sink(made, "foxglove-layout")]
        replay(log, config, MemoryPlugin(), sinks, ReplayOptions(on_message=sink.copy))
    layout = json.loads(made.read_text())
    panels = layout["configById"]
    assert sorted(leaves(layout["layout"], panels)) == sorted(panels)
    with open_log(out) as log:
        topics = set(log.channels)
        last = {message.topic: message for message in log.messages()}
    mode = panels["Image!camera0"]["imageMode"]
    assert mode["imageTopic"] in topics
    assert mode["calibrationTopic"] in topics
    assert set(mode["annotations"]) | set(panels["Image!camera0"]["topics"]) <= topics
    known = {
        "/perception/control": {c.name for c in decode_control(last["/perception/control"].data)[1].channels},
        "/perception/inputs": {state.name for state in decode_inputs(last["/perception/inputs"].data)[2]},
        "/perception/timing": {row[0] for row in decode_status(last["/perception/timing"].data)[1]},
    }
    named: dict[str, set[str]] = {}
    for text in paths_of(layout):
        selection = r'(/[^.]+)\.(channels|inputs)\[:\]\{name=="([^"]+)"\}\.(value|age_ms|present)'
        match = re.fullmatch(selection, text)
        assert match, text
        named.setdefault(match[1], set()).add(match[3])
    assert named == known


def test_each_camera_has_a_panel_with_its_own_boxes(tmp_path: Path) -> None:
    config = rig_config()
    sink, _, _ = run_rig(MemoryPlugin())
    layout_sink = LayoutSink(tmp_path / "layout.json")
    layout_sink.open(RunInfo(config=to_yaml(config)))
    layout_sink.write(*sink.rows[0])
    layout_sink.close()
    panels = json.loads((tmp_path / "layout.json").read_text())["configById"]
    titles = {
        panel["foxglovePanelTitle"]: panel for name, panel in panels.items() if name.startswith("Image")
    }
    assert list(titles) == ["front", "left"]
    for name, panel in titles.items():
        assert panel["imageMode"]["imageTopic"] == config.sensors.cameras[name].topic
        assert list(panel["imageMode"]["annotations"]) == [f"/perception/{name}/annotations"]
    assert "/perception/left/scene" in panels["3D!scene"]["topics"]


def test_only_the_layout_of_a_server_has_the_texts_that_an_output_log_lacks() -> None:
    config = rig_config()
    for live in (False, True):
        layout = foxglove_layout(config, {}, live=live)
        panels = layout["configById"]
        assert sorted(leaves(layout["layout"], panels)) == sorted(panels)
        assert ("RosOut!log" in panels) is live


def test_returns_are_coloured_by_range_in_clouds_as_in_laser_scans() -> None:
    """A cloud has no field `range`: Foxglove computes the distance."""
    panels = foxglove_layout(rig_config(), {})["configById"]
    looks = [panels["3D!scene"]["topics"][scan.topic] for scan in rig_config().sensors.ranges.values()]
    assert looks
    for look in looks:
        assert (look["colorField"], look["colorFieldComputed"]) == ("range", "distance")


def test_the_layout_beside_the_sample_logs_is_that_of_a_replay_of_them() -> None:
    stored = json.loads((SAMPLE_LOGS / "foxglove_layout.json").read_text())
    with open_log(SAMPLE_LOGS / "yard_day.mcap") as log:
        config = complete_config(log).config
    assert stored == foxglove_layout(
        config, {"/perception/control": ["curvature", "acceleration"]}, STAGES[:-1]
    )


def test_only_layouts_of_ours_are_replaced(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.json", tmp_path / "other.json"
    sink = LayoutSink(mine)
    sink.open(RunInfo(config=to_yaml(Config())))
    sink.close()
    other.write_text('{"layout": {}}')
    check_paths([], [Write("--layout", mine, LayoutSink.is_ours)])
    with pytest.raises(OutputError):
        check_paths([], [Write("--layout", other, LayoutSink.is_ours)])
