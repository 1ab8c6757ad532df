from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align.truth import boxes_of
from perception.geometry import TransformTree, invert_pose, pose_matrix
from perception.types import Cuboid, Rig, TruthBox, TruthBoxes
from tests.align.truth.build import HEIGHT, WIDTH, K, boxes_message, cuboid, cuboids, rig

SEEDS = st.integers(0, 2**32 - 1)
SAME: dict[str, str] = {}


def surface(item: Cuboid, steps: int = 60) -> np.ndarray:
    """Points all over a cuboid, in the camera frame."""
    along = np.linspace(-1, 1, steps)
    a, b = (g.ravel() for g in np.meshgrid(along, along))
    one = np.ones_like(a)
    faces = [np.stack(f, 1) for s in (-1, 1) for f in ((s * one, a, b), (a, s * one, b), (a, b, s * one))]
    local = np.concatenate(faces) * np.array(item.size_m) / 2
    return np.asarray(local @ item.frame_from_box[:3, :3].T + item.frame_from_box[:3, 3])


def drawn_cuboid(rng: np.random.Generator) -> Cuboid:
    """Around the camera, often reaching behind it or out of the picture."""
    quaternion = rng.normal(size=4)
    return cuboid(rng.uniform([-8, -4, -3], [8, 4, 15]), rng.uniform(0.5, 5, 3), quaternion=quaternion)


def only(*items: Cuboid, where: Rig | None = None) -> TruthBox:
    found = boxes_of(cuboids(*items), where or rig(), SAME)
    assert found is not None
    (box,) = found
    return box


def test_a_cuboid_straight_ahead_in_numbers() -> None:
    box = only(cuboid([1.0, 0.5, 11.0], [2.0, 4.0, 2.0], track_id="7"))
    # Its near face is 10 m away: x from 0 to 2, y from -1.5 to 2.5.
    np.testing.assert_allclose(box.xyxy, [320, 180, 400, 340])
    assert box.distance_m == pytest.approx(np.sqrt(1 + 0.25 + 121))
    assert (box.label, box.visible, box.track_id) == ("Car", 1.0, "7")


@settings(max_examples=25)
@given(seed=SEEDS, bent=st.booleans())
def test_the_box_is_around_all_that_the_image_shows(seed: int, bent: bool) -> None:
    rng = np.random.default_rng(seed)
    item = drawn_cuboid(rng)
    distortion = [-0.12, 0.03, 0.001, -0.001, 0.0] if bent else []
    found = boxes_of(cuboids(item), rig(distortion), SAME)
    points = surface(item)
    assert found is not None
    local = -item.frame_from_box[:3, :3].T @ item.frame_from_box[:3, 3]
    if (np.abs(local) <= np.array(item.size_m) / 2).all():
        assert found == (), "the camera is inside"
        return
    points = points[(points[:, 2] > 0.1) & (np.abs(points[:, :2]) < 1.5 * points[:, 2:]).all(axis=1)]
    pixels = np.empty((0, 2))
    if len(points):
        pixels = cv2.projectPoints(
            points, np.zeros(3), np.zeros(3), K, np.array(distortion) if bent else None
        )[0][:, 0]
    inside = pixels[((pixels >= 0) & (pixels <= [WIDTH, HEIGHT])).all(axis=1)]
    if not found:
        assert len(inside) == 0 or np.ptp(inside, axis=0).min() < 3, "what the image shows of it has a box"
        return
    x1, y1, x2, y2 = found[0].xyxy
    assert 0 <= x1 < x2 <= WIDTH
    assert 0 <= y1 < y2 <= HEIGHT
    if len(inside) > 2000:  # sampled densely enough to say where it ends
        low, high = inside.min(axis=0), inside.max(axis=0)
        assert (low >= np.array([x1, y1]) - 0.5).all()
        assert (high <= np.array([x2, y2]) + 0.5).all()
        if not bent:
            gap = max(12.0, 0.05 * max(x2 - x1, y2 - y1))
            assert (low - [x1, y1] < gap).all()
            assert ([x2, y2] - high < gap).all()


def test_what_reaches_behind_the_camera_is_cut_not_dropped() -> None:
    box = only(cuboid([3.0, 0.0, 2.0], [2.0, 2.0, 10.0]))  # from 3 m behind to 7 m ahead, 2 m to the right
    # Its far end is at x = 2..4 m, 7 m away; nearer parts leave the image on the right.
    np.testing.assert_allclose(box.xyxy, [320 + 400 * 2 / 7, 240 - 400 / 2.5, 640, 240 + 400 / 2.5])


def test_what_is_behind_or_beside_has_no_box() -> None:
    behind, beside = cuboid([0, 0, -5.0]), cuboid([30.0, 0, 5.0])
    around = cuboid([0, 0, 1.0], [3.0, 3.0, 4.0])
    assert boxes_of(cuboids(behind, beside, around), rig(), SAME) == ()
    # A bent lens sees farther to the side in the corners of the image than in the middle of its edges.
    corners_only = cuboid([18.0, 0.0, 20.0], [0.2, 0.2, 0.2])
    assert boxes_of(cuboids(corners_only), rig([-0.12, 0.03, 0.0, 0.0]), SAME) == ()


def test_own_vehicle_around_the_camera_hides_nothing() -> None:
    assert only(cuboid([0, 0, 1.0], [3.0, 3.0, 4.0]), cuboid([0, 0, 10.0], label="Van")).visible == 1.0


def test_the_nearer_hides_the_farther() -> None:
    near, far = cuboid([-1.0, 0, 5.0], [2.0, 8.0, 0.1], "Wall"), cuboid([0, 0, 20.0], [2.0, 2.0, 0.1])
    found = boxes_of(cuboids(far, near), rig(), SAME)
    assert found is not None
    assert [(b.label, round(b.visible, 2)) for b in found] == [("Wall", 1.0), ("Car", 0.5)]


def test_what_is_hidden_is_no_truth() -> None:
    wall, far = cuboid([0, 0, 5.0], [4.0, 4.0, 0.1], "Wall"), cuboid([0, 0, 20.0])
    assert only(wall, far).label == "Wall"


def test_classes_that_are_not_asked_for_hide_as_well() -> None:
    wall, far = cuboid([0, 0, 5.0], [4.0, 4.0, 0.1], "Wall"), cuboid([0, 0, 20.0])
    assert boxes_of(cuboids(wall, far), rig(), {"Car": "vehicle"}) == ()


def test_surfaces_decide_what_is_in_front_not_centres() -> None:
    # A long truck whose centre is farther than the man, but whose tail is nearer and hides him.
    truck = cuboid([0.0, 0.0, 14.0], [2.0, 3.0, 20.0], "Truck")  # from 4 m to 24 m
    man = cuboid([1.3, 0.0, 10.0], [0.4, 1.8, 0.4], "Man")  # beside it: its near edge hides him
    found = boxes_of(cuboids(man, truck), rig(), SAME)
    assert found is not None
    assert [b.label for b in found] == ["Truck"]
    apart = cuboid([4.0, 0.0, 10.0], [0.4, 1.8, 0.4], "Man")
    assert {b.label: b.visible for b in boxes_of(cuboids(apart, truck), rig(), SAME) or ()} == {
        "Man": 1.0,
        "Truck": 1.0,
    }


def test_the_border_of_the_image_hides_nothing() -> None:
    assert only(cuboid([-4.0, 0, 5.0])).visible == 1.0


@given(seed=SEEDS)
def test_truth_is_the_same_in_whatever_frame_it_is_written(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world_from_camera = pose_matrix(tuple(rng.normal(0, 20, 3)), tuple(rng.normal(size=4)))
    items = [cuboid(rng.uniform([-4, -2, 5], [4, 2, 20]), quaternion=rng.normal(size=4)) for _ in range(3)]
    moved = [
        Cuboid(c.label, c.track_id, "world", world_from_camera @ c.frame_from_box, c.size_m) for c in items
    ]
    expected = boxes_of(cuboids(*items), rig(), SAME)
    tree = TransformTree({"world": ("camera", invert_pose(world_from_camera))})
    found = boxes_of(cuboids(*moved), rig(transforms=tree), SAME)
    assert expected is not None
    assert found is not None
    assert len(found) == len(expected)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b.xyxy, a.xyxy, atol=1e-5)
        assert b.distance_m == pytest.approx(a.distance_m)


def test_without_a_rig_nothing_is_known() -> None:
    ahead = cuboid([0, 0, 10.0])
    elsewhere = cuboid([0, 0, 10.0], frame_id="map")
    assert boxes_of(cuboids(ahead), Rig(), SAME) is None
    assert boxes_of(cuboids(ahead, elsewhere), rig(), SAME) is None
    assert boxes_of(cuboids(), Rig(), SAME) == (), "an empty message says that nothing is there"


def test_broken_cuboids_are_left_out() -> None:
    broken = [cuboid([np.nan, 0, 5]), cuboid([0, 0, 9], [0.0, 1, 1]), cuboid([0, 0, 9], [np.inf, 1, 1])]
    assert only(*broken, cuboid([0, 0, 10.0], label="Van")).label == "Van"


def test_words_of_the_log_become_ours() -> None:
    items = [
        cuboid([3.0 * i, 0, 15.0], label=label)
        for i, label in enumerate(["Car", "Pedestrian", "vehicle", "Cone"])
    ]
    found = boxes_of(cuboids(*items), rig(), {"Car": "vehicle", "Pedestrian": "person"})
    assert found is not None
    assert [b.label for b in found] == ["vehicle", "person", "vehicle"]


def test_boxes_of_the_image_are_taken_as_they_are() -> None:
    message = boxes_message(3_000_000_000)
    assert boxes_of(message, Rig(), SAME) == message.items
    assert boxes_of(boxes_message(0, visible=0.09), Rig(), SAME) == ()
    (box,) = boxes_of(message, Rig(), {"car": "vehicle"}) or ()
    assert box == TruthBox(
        "vehicle", *[getattr(message.items[0], n) for n in ("xyxy", "distance_m", "visible", "track_id")]
    )


def test_boxes_of_a_picture_of_another_size_are_scaled_to_the_recorded_one() -> None:
    message = TruthBoxes("/boxes", 0, 0, boxes_message(0).items, size=(100, 200))
    for picture, expected in (
        ((50, 400), (0.5, 4, 15, 80)),
        ((100, 200), (1, 2, 30, 40)),
        (None, (1, 2, 30, 40)),
    ):
        (box,) = boxes_of(message, Rig(), SAME, picture) or ()
        assert box.xyxy == expected


def test_the_nearest_come_first() -> None:
    near, far = (TruthBox("car", (0, 0, 9, 9), metres, 1.0, "") for metres in (4.0, 40.0))
    assert boxes_of(TruthBoxes("/boxes", 0, 0, (far, near)), Rig(), SAME) == (near, far)
