"""Which topics of returns are range sensors, and what is said of their unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import ConfigChoice, complete_config
from perception.logs import open_log
from tests.small_logs import SmallLog


def choice_of(log: SmallLog, folder: Path) -> ConfigChoice:
    with open_log(log.write(folder / "small.mcap")) as opened:
        return complete_config(opened)


@pytest.mark.parametrize("frame", ["map", "robot/odom", "camera_init"])
def test_returns_in_a_frame_that_stands_still_are_of_no_sensor(tmp_path: Path, frame: str) -> None:
    log = SmallLog().image().scan("/cloud_2", frame)
    choice = choice_of(log, tmp_path)
    assert [section.topic for section in choice.config.sensors.ranges.values()] == ["/cloud_2"]
    assert any(f"/cloud_2: its points are in the frame {frame!r}" in text for text in choice.warnings)
    choice = choice_of(log.scan("/velodyne", "laser"), tmp_path)
    assert [section.topic for section in choice.config.sensors.ranges.values()] == ["/velodyne"]
    (item,) = [item for item in choice.unused if item.topic == "/cloud_2"]
    assert "stands still" in item.reason


@pytest.mark.parametrize(("range_m", "says_mm"), [(5000.0, True), (80.0, False)])
def test_ranges_that_are_perhaps_in_mm_are_named(tmp_path: Path, range_m: float, says_mm: bool) -> None:
    choice = choice_of(SmallLog().image().scan(ranges=lambda i: [range_m] * 8), tmp_path)
    (reason,) = [text for text in choice.reasons if "lie beyond it" in text]
    assert ("perhaps they are in mm" in reason) == says_mm


@pytest.mark.parametrize("placed", [True, False])
def test_depth_that_was_made_for_the_pictures_is_used_where_nothing_places_the_sensors_own(
    tmp_path: Path, placed: bool
) -> None:
    """RealSense publishes both; bags without `/tf_static` place only the one in the frame of the pictures."""
    log = SmallLog().image("/color/image_raw", "color").calibration("/color/camera_info", "color")
    log.raw_image("/depth/image_rect_raw", "16UC1", "depth").calibration("/depth/camera_info", "depth")
    log.raw_image("/aligned_depth_to_color/image_raw", "16UC1", "color")
    log.transforms(edges=(("link", "color"), ("link", "depth" if placed else "gyro")))
    choice = choice_of(log, tmp_path)
    used, left = "/depth/image_rect_raw", "/aligned_depth_to_color/image_raw"
    used, left = (used, left) if placed else (left, used)
    assert [section.topic for section in choice.config.sensors.ranges.values()] == [used]
    (item,) = [item for item in choice.unused if item.topic == left]
    assert used in item.reason
    assert ("no transforms place its frame" in item.reason) == (not placed)
