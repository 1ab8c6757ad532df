"""Named sensors, several of a kind: what a sample of them holds, and what its views are."""

from __future__ import annotations

import numpy as np

from perception.align import Aligner
from perception.types import Sample, views_of
from tests.align.rig_build import camera_info, image, looking, reading, rig_config, scan, transform


def samples_of(*messages: object, **changes: object) -> list[Sample]:
    aligner = Aligner(rig_config(**changes))
    samples = [sample for message in messages for sample in aligner.push(message)]  # type: ignore[arg-type]
    return [*samples, *aligner.flush()]


def rig_messages() -> list[object]:
    return [
        camera_info("front"),
        camera_info("left", focal=30.0),
        transform("front", looking(1, 0)),
        transform("left", looking(0, 1)),
        transform("lidar", np.eye(4)),
        transform("radar", np.eye(4)),
    ]


def test_each_sensor_has_its_own_input_and_the_kinds_are_joined() -> None:
    (sample,) = samples_of(
        *rig_messages(),
        reading("odom", -10, v=3.0),
        reading("imu", -5, w=0.1),
        scan("radar", -2),
        scan("lidar", -1),
        image("left", -1),
        image("front", 0),
    )
    assert [source.name for source in sample.sensors] == ["front", "left", "lidar", "radar", "odom", "imu"]
    assert sample.camera.name == "front"
    assert sample.range is sample.ranges["lidar"]
    window = sample.status.value
    assert window is not None
    assert window.names == ("speed", "yaw_rate")
    assert window.values[-1].tolist() == [3.0, 0.1]
    assert all(source.present for source in sample.sensors)


def test_a_kind_is_present_where_one_of_its_sensors_is() -> None:
    (sample,) = samples_of(*rig_messages(), scan("radar", -2), reading("imu", -5, w=0.1), image("front", 0))
    assert sample.range.name == "radar"
    assert sample.status.present
    assert [source.present for source in sample.sensors] == [True, False, False, True, False, True]
    assert sample.statuses["odom"].reason == "silent: nothing received"
    window = sample.status.value
    assert window is not None
    assert window.names == ("yaw_rate",)


def test_each_camera_sees_the_returns_by_its_own_intrinsics_and_pose() -> None:
    (sample,) = samples_of(*rig_messages(), scan("lidar", -1), image("left", -1), image("front", 0))
    front, left = views_of(sample)
    assert [view.camera.name for view in (front, left)] == ["front", "left"]
    assert front.rig.calibration is not None
    assert left.rig.calibration is not None
    assert (front.rig.calibration.intrinsics[0, 0], left.rig.calibration.intrinsics[0, 0]) == (40.0, 30.0)
    ahead = np.array([5.0, 0.0, 0.0, 1.0])
    in_front, in_left = (view.rig.camera_from("lidar") @ ahead for view in (front, left))
    assert np.allclose(in_front, [0, 0, 5, 1])
    assert np.allclose(in_left, [5, 0, 0, 1])  # to the right of a camera that looks left


def test_returns_without_a_transform_are_absent_in_the_views_and_it_is_said_for_each_camera() -> None:
    messages = [*rig_messages()[:4], transform("radar", np.eye(4))]
    (sample,) = samples_of(*messages, scan("lidar", -1), image("left", -1), image("front", 0))
    assert sample.range.present
    assert not any(view.range.present for view in views_of(sample))
    assert {issue.about for issue in sample.issues} == {"front", "left"}
    assert all("sensors.front.transforms" in i.text for i in sample.issues if i.about == "front")
    assert all("sensors.left.transforms" in i.text for i in sample.issues if i.about == "left")


def test_a_camera_without_camera_info_never_takes_that_of_another() -> None:
    config = {"left": {"kind": "camera", "topic": "/left"}}
    (sample,) = samples_of(*rig_messages(), image("left", -1), image("front", 0), sensors=config)
    front, left = views_of(sample)
    assert front.rig.calibration is not None
    assert left.rig.calibration is None


def test_absent_by_kind_leaves_the_reason_of_a_sensor_that_was_absent_before() -> None:
    (sample,) = samples_of(*rig_messages(), scan("radar", -2), image("front", 0))
    without = sample.with_absent({"range": "left out"})
    assert [source.reason for source in without.ranges.values()] == ["silent: nothing received", "left out"]
    one = sample.with_absent({"front": "left out"})
    assert not one.camera.present
    assert one.cameras["left"].reason == "silent: nothing received"


def test_the_ledger_counts_each_sensor() -> None:
    aligner = Aligner(rig_config())
    samples = []
    for message in [*rig_messages(), image("left", -150), image("left", -1), image("front", 0)]:
        samples += aligner.push(message)  # type: ignore[arg-type]
    for sample in [*samples, *aligner.flush()]:
        aligner.ledger.sample_done(sample, "used")
    rows = aligner.ledger.rows()
    assert rows["/front"] == {"used": 1}
    assert rows["/left"] == {"used": 1, "superseded": 1}
