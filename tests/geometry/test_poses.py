from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.geometry import (
    TransformTree,
    invert_pose,
    pose_matrix,
    project,
    rays,
    rotation_from_quaternion,
    transform_points,
)

K = np.array([[900.0, 0.0, 640.0], [0.0, 880.0, 360.0], [0.0, 0.0, 1.0]])
SEEDS = st.integers(0, 2**32 - 1)


def drawn_distortion(rng: np.random.Generator, count: int) -> np.ndarray:
    """Coefficients of real lenses: some tenths, tangential ones a hundred times smaller."""
    k = rng.uniform(-0.25, 0.25, count)
    k[2:4] *= 0.01
    return k


def drawn_pose(rng: np.random.Generator) -> np.ndarray:
    return pose_matrix(tuple(rng.normal(0, 10, 3)), tuple(rng.normal(0, 1, 4)))


# --- projection --------------------------------------------------------------------------------------


@given(seed=SEEDS, count=st.sampled_from([0, 4, 5, 8]))
def test_projection_is_that_of_opencv(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform([-1, -0.6, 2], [1, 0.6, 3], (50, 3)) * rng.uniform(0.5, 30)
    distortion = drawn_distortion(rng, count)
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, distortion if count else None)
    found = project(points, K, distortion)
    known = np.isfinite(found).all(axis=1)
    np.testing.assert_allclose(found[known], expected[known, 0], atol=1e-6)
    if np.all(np.abs(distortion) < 0.1):
        assert known.all()


def test_a_skewed_camera_has_rays_too() -> None:
    skewed = K.copy()
    skewed[0, 1] = 30.0
    pixels = np.array([[10.0, 20.0], [1000.0, 700.0]])
    np.testing.assert_allclose(project(rays(pixels, skewed) * 7.0, skewed), pixels, atol=1e-9)


def test_what_is_not_before_the_camera_has_no_pixel() -> None:
    points = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, -5.0], [0.0, 0.0, np.nan], [0.0, 0.0, 1.0]])
    found = project(points, K)
    assert np.isnan(found[:3]).all()
    np.testing.assert_allclose(found[3], [640, 360])


@pytest.mark.parametrize(
    "distortion",
    [
        [-0.3, 0.0, 0, 0, 0.0],
        [-0.4, 0.15, 0, 0, -0.02],
        [0.1, -0.3, 0, 0, 0.05, 0.4, 0.0, 0.0],
        [-0.3, 0.1, 0, 0],
    ],
)
def test_far_off_points_do_not_fold_back_into_the_image(distortion: list[float]) -> None:
    angle = np.linspace(0.0, 1.5, 4000)
    points = np.stack([np.tan(angle), np.zeros_like(angle), np.ones_like(angle)], axis=1)
    u = project(points, K, np.array(distortion))[:, 0]
    known = np.isfinite(u)
    first_unknown = int(np.argmin(known)) if not known.all() else len(u)
    assert not known[first_unknown:].any(), "beyond the first point without a pixel there is none with one"
    assert first_unknown > 100
    assert (np.diff(u[:first_unknown]) > 0).all()


# --- poses -------------------------------------------------------------------------------------------


@given(seed=SEEDS, scale=st.floats(1e-3, 1e3))
def test_rotation_of_a_quaternion_is_that_of_its_axis_and_angle(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = rng.uniform(0.01, np.pi - 0.01)
    x, y, z = axis * np.sin(angle / 2) * scale
    w = np.cos(angle / 2) * scale
    expected, _ = cv2.Rodrigues(axis * angle)
    np.testing.assert_allclose(rotation_from_quaternion(x, y, z, w), expected, atol=1e-9)
    np.testing.assert_allclose(rotation_from_quaternion(-x, -y, -z, -w), expected, atol=1e-9)


def test_an_unset_quaternion_is_no_rotation() -> None:
    np.testing.assert_array_equal(rotation_from_quaternion(0, 0, 0, 0), np.eye(3))
    np.testing.assert_array_equal(rotation_from_quaternion(float("nan"), 0, 0, 1), np.eye(3))


@given(seed=SEEDS)
def test_a_pose_and_its_inverse_undo_each_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = drawn_pose(rng)
    np.testing.assert_allclose(invert_pose(pose), np.linalg.inv(pose), atol=1e-9)
    points = rng.normal(0, 5, (7, 3))
    np.testing.assert_allclose(
        transform_points(invert_pose(pose), transform_points(pose, points)), points, atol=1e-9
    )


@given(seed=SEEDS, count=st.integers(2, 12))
def test_any_two_frames_of_a_tree_are_connected_by_the_way_over_the_root(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    root_from = {"0": np.eye(4)}
    edges = {}
    for child in range(1, count):
        parent = str(rng.integers(0, child))
        parent_from_child = drawn_pose(rng)
        edges[str(child)] = (parent, parent_from_child)
        root_from[str(child)] = root_from[parent] @ parent_from_child
    tree = TransformTree(edges)
    assert tree.frames() == set(root_from)
    target, source = (str(i) for i in rng.integers(0, count, 2))
    expected = np.linalg.inv(root_from[target]) @ root_from[source]
    found = tree.target_from_source(target, source)
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_frames_that_nothing_connects_have_no_transform() -> None:
    tree = TransformTree({"camera": ("base", np.eye(4)), "radar": ("trailer", np.eye(4))})
    assert tree.target_from_source("camera", "radar") is None
    assert tree.target_from_source("camera", "nowhere") is None


def test_a_cycle_does_not_hang() -> None:
    tree = TransformTree({"a": ("b", np.eye(4)), "b": ("a", np.eye(4))})
    assert tree.target_from_source("a", "b") is not None
    assert tree.target_from_source("a", "c") is None


def test_an_updated_tree_leaves_the_old_one_alone() -> None:
    old = TransformTree({"camera": ("base", np.eye(4))})
    moved = pose_matrix((1.0, 2.0, 3.0), (0, 0, 0, 1))
    new = old.updated({"camera": ("base", moved), "lidar": ("base", np.eye(4))})
    assert old.frames() == {"camera", "base"}
    np.testing.assert_array_equal(old.target_from_source("base", "camera"), np.eye(4))
    np.testing.assert_array_equal(new.target_from_source("base", "camera"), moved)
