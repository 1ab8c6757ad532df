"""The rig that a benchmark makes of a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.diagnosis.bench.rig_speed import rig_config, write_rig_log
from perception.errors import ConfigError
from perception.logs import open_log
from tests.small_logs import SmallLog


def test_the_rig_has_the_sensors_of_the_log_several_times(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().scan()
    log.json("/odom", lambda i: {"speed": 1.0, "yaw_rate": 0.1})
    path = log.write(tmp_path / "one.mcap")
    with open_log(path) as opened:
        config = complete_config(opened).config
        rig = rig_config(config, 4)
        write_rig_log(opened, config, rig, tmp_path / "rig.mcap")
    sensors = rig.sensors
    assert (len(sensors.cameras), len(sensors.ranges), len(sensors.statuses)) == (4, 2, 2)
    assert rig.conflicts() == []
    with open_log(tmp_path / "rig.mcap") as made:
        counts = {topic: survey.count for topic, survey in made.survey.topics.items()}
        assert counts.keys() == rig.roles().keys()
        assert {counts[camera.topic] for camera in sensors.cameras.values()} == {20}
        assert complete_config(made, rig).config.sensors == sensors


def test_a_log_without_a_camera_is_refused(tmp_path: Path) -> None:
    with open_log(SmallLog().scan().write(tmp_path / "scan.mcap")) as opened:
        config = complete_config(opened).config
    with pytest.raises(ConfigError, match="needs a log whose reference is a camera"):
        rig_config(config, 2)
