"""Positions of detections against independent references: OpenCV, drawn errors, an exact world."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align.picture_camera import picture_camera
from perception.config import CameraConfig
from perception.geometry import TransformTree, invert_pose, pose_matrix
from perception.plugin import Manifest, positioned
from perception.plugin.output_rules import output_violations
from perception.plugin.positions import OFF_CENTRE
from perception.types import NOT_STATED, CameraInfo, Detection, Detections, Output, Rig
from tests.align.truth.build import HEIGHT, WIDTH, K, rig
from tests.scripted_camera import CAMERA_IN_BASE, Camera
from tests.scripted_street import Street
from tests.sinks.build import sample_of

OPTICAL = (-0.5, 0.5, -0.5, 0.5)  # of a camera that looks ahead
LENSES = {
    "": [],
    "plumb_bob": [-0.12, 0.03, 0.001, -0.001, 0.0],
    "rational_polynomial": [0.2, -0.1, 0.001, 0.0005, 0.01, 0.25, -0.08, 0.005],
    "equidistant": [-0.02, 0.004, -0.001, 0.0002],
}


def placed_rig(model: str = "", base_from_camera: np.ndarray | None = None) -> Rig:
    """The camera hangs from `mount`, which hangs from `base_link`."""
    pose = pose_matrix((1.5, 0.2, 1.1), OPTICAL) if base_from_camera is None else base_from_camera
    mount = pose_matrix((0.3, -0.1, 0.9), (0.0, 0.0, np.sin(0.1), np.cos(0.1)))
    tree = TransformTree({"camera": ("mount", invert_pose(mount) @ pose), "mount": ("base_link", mount)})
    found = rig(LENSES[model], tree)
    assert found.calibration is not None
    return replace(found, calibration=replace(found.calibration, distortion_model=model))


def opencv_pixel(point: np.ndarray, model: str) -> np.ndarray:
    zero, points = np.zeros(3), point.reshape(1, 1, 3)
    if model == "equidistant":
        return cv2.fisheye.projectPoints(points, zero, zero, K, np.array(LENSES[model]))[0].ravel()
    return cv2.projectPoints(points, zero, zero, K, np.array(LENSES[model] or [0.0] * 4))[0].ravel()


def detection(pixel: np.ndarray, distance_m: float | None, **changes: object) -> Detection:
    u, v = pixel
    item = Detection("car", 0.9, (u - 8, v - 6, u + 8, v + 6), (1.0, 2.0, 1.5, 0.5), distance_m, 0.5)
    return replace(item, **changes)


def head(*items: Detection) -> Detections:
    return Detections(True, ("camera",), "", items)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), model=st.sampled_from(sorted(LENSES)))
def test_a_point_that_opencv_projects_comes_back_where_it_was(seed: int, model: str) -> None:
    rng = np.random.default_rng(seed)
    point = rng.uniform([-0.5, -0.35, 1.0], [0.5, 0.35, 1.0]) * rng.uniform(2, 60)
    quaternion = rng.normal(size=4)
    base_from_camera = pose_matrix(
        tuple(rng.uniform(-3, 3, 3)), tuple(quaternion / np.linalg.norm(quaternion))
    )
    item = detection(opencv_pixel(point, model), float(np.linalg.norm(point)))
    found = positioned(head(item), placed_rig(model, base_from_camera), "base_link")
    assert found.position_frame == "base_link"
    assert found.items[0].position_unknown == ""
    expected = base_from_camera[:3, :3] @ point + base_from_camera[:3, 3]
    np.testing.assert_allclose(found.items[0].position_m, expected, atol=2e-5 * np.linalg.norm(point))


@pytest.mark.parametrize("model", sorted(LENSES))
def test_the_covariance_is_that_of_drawn_boxes_and_distances(model: str) -> None:
    rng = np.random.default_rng(5)
    centre = opencv_pixel(np.array([3.0, -1.0, 12.0]), model)
    item = detection(centre, 12.4, distance_std_m=0.6, box_std=(4.0, 5.0, 6.0, 3.0))
    where = placed_rig(model)
    (stated,) = positioned(head(item), where, "base_link").items
    off = 16 * OFF_CENTRE * 16 / 400, 12 * OFF_CENTRE * 16 / 400  # of the object in its box
    assert item.box_std is not None
    noise = rng.normal(size=(4000, 4)) * item.box_std
    noise += np.tile(rng.normal(size=(4000, 2)) * off, 2)
    drawn = head(
        *(
            replace(item, xyxy=tuple(np.array(item.xyxy) + edges), distance_m=12.4 + 0.6 * rng.normal())
            for edges in noise
        )
    )
    points = np.array([d.position_m for d in positioned(drawn, where, "base_link").items])
    np.testing.assert_allclose(points.mean(axis=0), stated.position_m, atol=0.05)
    assert stated.position_cov_m2 is not None
    scale = np.sqrt(np.diag(stated.position_cov_m2))
    off_by = (np.cov(points.T) - np.array(stated.position_cov_m2)) / np.outer(scale, scale)
    assert np.abs(off_by).max() < 0.12


def test_a_simulated_object_lies_within_its_covariance() -> None:
    """Exact boxes and distances of a scripted street, disturbed as far as their deviations say."""
    rng, squared = np.random.default_rng(0), []
    street = Street(3, 6.0)
    camera = Camera(street, (512, 256))
    info = CameraInfo("/c", 0, 0, "camera", 512, 256, camera.intrinsics, np.zeros(0))
    tree = TransformTree({"camera": ("base_link", pose_matrix(tuple(CAMERA_IN_BASE), OPTICAL))})
    for t in np.arange(0.0, 6.0, 0.5):
        _, translation = street.bodies(t)
        boxes = [b for b in camera.boxes(t) if b.visible > 0.9 and 3 < b.distance_m < 50]
        box_std, relative = 1.5, 0.05
        items = [
            Detection(
                b.label,
                1.0,
                tuple(np.array(b.xyxy) + box_std * rng.normal(size=4)),
                (box_std,) * 4,
                b.distance_m * (1 + relative * rng.normal()),
                b.distance_m * relative,
            )
            for b in boxes
        ]
        found = positioned(head(*items), Rig(info, tree), "base_link")
        for box, item in zip(boxes, found.items, strict=True):
            thing = street.things[int(box.track_id)]
            error = np.subtract(item.position_m, translation[int(box.track_id)] + (0, 0, thing.size[2] / 2))
            squared.append(error @ np.linalg.solve(np.array(item.position_cov_m2), error))
    assert len(squared) > 50
    assert 0.5 < np.mean(squared) / 3 < 1.5
    assert np.mean(np.array(squared) < 16.27) > 0.98, "the 99.9 % ellipsoid"


@pytest.mark.parametrize("baseline_m", [0.0, 0.12])
def test_a_rectified_picture_is_seen_by_p_from_its_own_origin(baseline_m: float) -> None:
    p = np.array([[350.0, 0, 310, -350.0 * baseline_m], [0, 350.0, 245, 0], [0, 0, 1, 0]])
    info = CameraInfo(
        "/right/info",
        0,
        0,
        "camera",
        WIDTH,
        HEIGHT,
        K,
        np.array(LENSES["plumb_bob"]),
        "plumb_bob",
        projection=p,
    )
    view = picture_camera(info, None, CameraConfig(topic="/right/image_rect", calibration="/right/info"))
    tree = TransformTree({"camera": ("base_link", pose_matrix((1.0, 0.0, 1.2), OPTICAL))})
    where = Rig(view.calibration, tree, view.issue, view.picture_from_camera)
    point = np.array([2.0, 0.5, 9.0])
    u, v, w = p @ [*point, 1.0]
    distance = float(np.linalg.norm(point - (baseline_m, 0, 0)))
    (item,) = positioned(head(detection(np.array([u / w, v / w]), distance)), where, "base_link").items
    np.testing.assert_allclose(item.position_m, [1.0 + 9.0, -2.0, 1.2 - 0.5], atol=1e-6)


def test_a_cut_box_is_less_certain_across_the_ray() -> None:
    whole, cut = (detection(np.array([u, 240.0]), 10.0) for u in (20.0, 8.0))
    found = positioned(head(whole, cut), placed_rig(), "base_link").items
    sizes = [np.trace(np.array(item.position_cov_m2)) for item in found]
    assert sizes[1] > 1.2 * sizes[0]


def test_what_is_not_known_is_none_with_the_code_of_the_reason() -> None:
    item = detection(np.array([320.0, 240.0]), 10.0)
    assert positioned(head(item), placed_rig(), None) == head(item)
    assert item.position_unknown == NOT_STATED

    def codes(where: Rig, *items: Detection) -> list[str]:
        found = positioned(head(*items), where, "base_link")
        assert all(i.position_m is i.position_cov_m2 is None for i in found.items if i.position_unknown)
        return [i.position_unknown for i in found.items]

    assert codes(Rig(), item) == ["no_camera_info"]
    assert codes(rig(), item) == ["no_transform"]
    plain = detection(np.array([320.0, 240.0]), None, distance_std_m=None)
    assert codes(placed_rig(), item, plain) == ["", "no_distance"]
    far_out = detection(np.array([90000.0, 240.0]), 10.0)
    assert codes(placed_rig("equidistant"), far_out) == ["outside_lens"]
    (unsure,) = positioned(head(replace(item, box_std=None)), placed_rig(), "base_link").items
    assert unsure.position_m is not None
    assert unsure.position_cov_m2 is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"position_m": (1.0, float("nan"), 0.0)}, "is not three finite numbers"),
        ({"position_unknown": "no_distance"}, "though there is a position"),
        ({"position_m": None}, "give the reason"),
        ({"position_cov_m2": ((1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0))}, "not a covariance"),
        ({"position_cov_m2": ((1.0, 2.0, 0), (2.0, 1.0, 0), (0, 0, 1.0))}, "not a covariance"),
        ({"position_cov_m2": ((1.0, 0.5, 0), (0.1, 1.0, 0), (0, 0, 1.0))}, "not a covariance"),
    ],
)
def test_hosts_refuse_positions_that_are_none(changes: dict[str, object], words: str) -> None:
    sample = sample_of(0)
    manifest = Manifest(1, "p", "m:P", inputs=("camera",), heads=("class", "box"))

    def violations(found: Detections) -> list[str]:
        return output_violations(Output(sample.tick, found, None), sample, manifest)

    found = positioned(head(detection(np.array([320.0, 240.0]), 10.0)), placed_rig(), "base_link")
    assert violations(found) == []
    wrong = replace(found, items=(replace(found.items[0], **changes),))
    assert any(words in text for text in violations(wrong))
    assert any("has no frame" in text for text in violations(replace(found, position_frame="")))
