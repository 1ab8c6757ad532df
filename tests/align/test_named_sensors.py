"""Named sensors, several of a kind: what a sample of them holds, and what its views are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align import Aligner
from perception.align.truth import TruthJoiner
from perception.config import TruthConfig, parse_config
from perception.models.preprocess import InputSpec, prepare_inputs
from perception.types import (
    CameraInfo,
    Cuboid,
    Cuboids,
    RegionOfInterest,
    Sample,
    TruthBox,
    TruthBoxes,
    views_of,
)
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


def truth_boxes(topic: str, label: str) -> TruthBoxes:
    return TruthBoxes(topic, 0, 0, (TruthBox(label, (1, 2, 3, 4), 5.0, 1.0, ""),))


def test_boxes_of_an_image_are_those_of_one_camera_and_cuboids_are_seen_by_each() -> None:
    (sample,) = samples_of(*rig_messages(), image("left", -1), image("front", 0))
    sensors = rig_config().sensors
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"), sensors)
    joiner.push(truth_boxes("/boxes", "seen"))
    joiner.add(sample)
    (joined,) = joiner.flush()
    assert [box.label for box in joined.truth.boxes or ()] == ["seen"]
    assert joined.truth.cameras["left"].boxes is None
    assert "truth.camera_boxes.left" in joined.truth.cameras["left"].missing["boxes"].text

    both = TruthConfig(boxes="/boxes", camera_boxes={"left": "/left/boxes"})
    joiner = TruthJoiner(both, sensors)
    for message in (truth_boxes("/boxes", "ahead"), truth_boxes("/left/boxes", "aside")):
        joiner.push(message)
    joiner.add(sample)
    (joined,) = joiner.flush()
    assert {n: [b.label for b in t.boxes or ()] for n, t in joined.truth.cameras.items()} == {
        "front": ["ahead"],
        "left": ["aside"],
    }

    pose = np.eye(4)
    pose[:3, 3] = (0.0, 8.0, 0.0)  # where the left camera looks
    cuboids = Cuboids("/boxes", 0, 0, (Cuboid("car", "", "base", pose, (1.0, 1.0, 1.0)),))
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"), sensors)
    for message in (*rig_messages(), cuboids):
        joiner.push(message)  # type: ignore[arg-type]
    joiner.add(sample)
    (joined,) = joiner.flush()
    assert {n: [b.label for b in t.boxes or ()] for n, t in joined.truth.cameras.items()} == {
        "front": [],
        "left": ["car"],
    }


@pytest.mark.parametrize("reference", ["front", "left"])
def test_the_truth_of_a_sample_is_that_of_its_reference_camera(reference: str) -> None:
    """Whatever the order of the sensors. Boxes of another size are scaled to the picture, not to its info."""
    setup = rig_config(reference=reference)
    of_cameras = {"front": "/front/boxes", "left": "/left/boxes"}
    joiner = TruthJoiner(TruthConfig(camera_boxes=of_cameras), setup.sensors)
    for name, topic in of_cameras.items():
        joiner.push(replace(truth_boxes(topic, name), size=(640, 480)))
    large = (128, 96)
    messages = [camera_info("front"), camera_info("left"), image("left", 0, large), image("front", 0, large)]
    (sample,) = samples_of(*messages, reference=reference)
    (joined,) = [*joiner.add(sample), *joiner.flush()]
    (box,) = joined.truth.boxes or ()
    assert box.label == reference
    np.testing.assert_allclose(box.xyxy, (0.2, 0.4, 0.6, 0.8))


def labels_of(frames: dict[str, int], *images: str) -> dict[str, list[str] | str]:
    """Return the labels of the boxes of each camera, or the code of why it has none.

    Args:
        frames: The frame of each message of boxes, whose label it is, and its stamp in ns.
        images: The frame of the left and the front picture.
    """
    left, front = images
    pictures = [replace(image("left", -1), frame_id=left), replace(image("front", 0), frame_id=front)]
    (sample,) = samples_of(*rig_messages(), *pictures)
    joiner = TruthJoiner(TruthConfig(boxes="/boxes"), rig_config().sensors)
    for frame, stamp_ns in frames.items():
        boxes = truth_boxes("/boxes", frame or "unnamed")
        joiner.push(replace(boxes, frame_id=frame, stamp_ns=stamp_ns))
    (joined,) = [*joiner.add(sample), *joiner.flush()]
    return {
        name: [box.label for box in truth.boxes] if truth.boxes is not None else truth.missing["boxes"].code
        for name, truth in joined.truth.cameras.items()
    }


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ({"front": 5, "left": 1}, {"front": ["front"], "left": ["left"]}),
        ({"left": 0}, {"front": "other_camera", "left": ["left"]}),
        ({"": 0}, {"front": ["unnamed"], "left": "other_camera"}),
        ({"": 4, "left": 0}, {"front": ["unnamed"], "left": ["left"]}),
        ({"map": 0}, {"front": ["map"], "left": "other_camera"}),  # one frame alone: as without a name
        ({"rear": 0, "right": 2}, {"front": "other_camera", "left": "other_camera"}),
        ({"front": 90_000_000, "left": 0}, {"front": "too_far", "left": ["left"]}),
    ],
)
def test_boxes_on_one_topic_are_those_of_the_camera_whose_frame_they_name(
    frames: dict[str, int], expected: dict[str, list[str] | str]
) -> None:
    assert labels_of(frames, "left", "front") == expected


def test_cameras_that_share_a_frame_do_not_share_boxes() -> None:
    assert labels_of({"cam": 0}, "cam", "cam") == {"front": ["cam"], "left": "other_camera"}


@st.composite
def camera_infos(draw: st.DrawFn, name: str) -> tuple[CameraInfo, tuple[int, int], bool]:
    """A camera info (region, binning, bent lens, P), the size of its picture, and if that is rectified."""
    width, height = draw(st.sampled_from([(64, 48), (128, 64), (96, 96)]))
    focal = draw(st.floats(20, 90))
    binning = draw(st.sampled_from([(1, 1), (2, 2)]))
    region = draw(st.sampled_from([None, RegionOfInterest(8, 4, width // 2, height // 2)]))
    bent = draw(st.booleans())
    matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    projection = np.hstack(
        [matrix * [[0.9], [0.9], [1]], [[draw(st.sampled_from([0.0, -3.0]))], [0.0], [0.0]]]
    )
    info = CameraInfo(
        f"/{name}/info",
        0,
        0,
        name,
        width,
        height,
        matrix,
        np.array([0.1, -0.02, 0, 0, 0]) if bent else np.zeros(0),
        draw(st.sampled_from(["plumb_bob", "unheard_of"])) if bent else "",
        projection=projection,
        binning=binning,
        roi=region,
    )
    part = (region.width, region.height) if region is not None else (width, height)
    shrink = draw(st.sampled_from([1, 2]))
    size = (part[0] // binning[0] // shrink, part[1] // binning[1] // shrink)
    return info, size, draw(st.booleans())


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_each_camera_of_a_rig_is_seen_as_in_a_log_with_that_camera_alone(data: st.DataObject) -> None:
    names = ("front", "left")
    cameras = {name: data.draw(camera_infos(name), name) for name in names}
    moves = data.draw(st.booleans())
    points = data.draw(st.lists(st.tuples(*[st.floats(-20, 20)] * 3), min_size=1, max_size=20))
    poses = [(name, looking(1, 0.3 * k)) for k, name in enumerate((*names, "lidar"))]
    messages: list[object] = [cameras[name][0] for name in names]
    messages += [transform(name, pose) for name, pose in poses]
    if moves:  # the rig drives: each picture and scan has the pose of its own moment
        for at_ms in (-100.0, 100.0):
            driven = np.eye(4)
            driven[0, 3] = at_ms / 50
            messages.append(transform("base", driven, at_ms, parent="map"))
            messages.append(transform("lidar", driven, at_ms, parent="map"))
    messages += [scan("lidar", -9, points), image("left", -5, cameras["left"][1])]
    messages.append(image("front", 0, cameras["front"][1]))
    sections = {
        name: {
            "kind": "camera",
            "topic": f"/{name}",
            "calibration": f"/{name}/info",
            "transforms": ["/tf"],
            "rectified": cameras[name][2],
            "policy": "latest",
        }
        for name in names
    }
    (sample,) = samples_of(*messages, sensors=sections)
    spec = InputSpec(width=32, height=16, returns=16)
    for view in views_of(sample):
        name = view.camera.name
        alone = {
            "camera": {k: v for k, v in sections[name].items() if k != "kind"},
            "range": {"topic": "/lidar"},
        }
        (single,) = alone_samples(messages, alone, name)
        for one, other in ((view.rig.calibration, single.rig.calibration),):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert np.array_equal(one.intrinsics, other.intrinsics)
                assert (one.width, one.height) == (other.width, other.height)
        poses_now = view.rig.camera_from("lidar"), single.rig.camera_from("lidar")
        assert (poses_now[0] is None) == (poses_now[1] is None)
        if poses_now[0] is not None and poses_now[1] is not None:
            assert np.array_equal(*poses_now)
            for a, b in zip(prepare_inputs(view, spec)[1], prepare_inputs(single, spec)[1], strict=True):
                assert np.array_equal(a, b)
        assert [issue.code for issue in view.issues] == [issue.code for issue in single.issues]


def alone_samples(messages: list[object], sensors: dict[str, object], name: str) -> list[Sample]:
    """Return the samples of the ticks of the front camera as one other camera sees them alone."""
    reference = "camera" if name == "front" else "ticks"
    more = {} if name == "front" else {"ticks": {"kind": "status", "topic": "/ticks", "fields": {"v": "v"}}}
    config = parse_config({"reference": reference, "reference_rate_hz": 10, "sensors": {**sensors, **more}})
    aligner = Aligner(config)
    out: list[Sample] = []
    for message in messages:
        if getattr(message, "topic", "") == "/front" and name != "front":
            message = reading("ticks", 0, v=1.0)
        out += aligner.push(message)  # type: ignore[arg-type]
    return [*out, *aligner.flush()]
