from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from perception.geometry import pose_matrix, quaternions_from_rotations, rotation_from_quaternion
from perception.geometry.pose_history import MAX_GAP_NS, MAX_POSES, PoseHistory, interpolated_poses

MS = 1_000_000


def pose(x: float, yaw: float = 0.0) -> np.ndarray:
    return pose_matrix((x, 0.0, 0.0), (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))


@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0, 1))
def test_between_two_poses_it_is_scipys_slerp(seed: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    ends = Rotation.random(2, rng)
    poses = [np.eye(4), np.eye(4)]
    for place, rotation in zip(poses, ends.as_matrix(), strict=True):
        place[:3, :3], place[:3, 3] = rotation, rng.normal(size=3)
    [found] = interpolated_poses(poses[0][None], poses[1][None], np.array([fraction]))
    np.testing.assert_allclose(found[:3, :3], Slerp([0, 1], ends)(fraction).as_matrix(), atol=1e-9)
    np.testing.assert_allclose(
        found[:3, 3], (1 - fraction) * poses[0][:3, 3] + fraction * poses[1][:3, 3], atol=1e-9
    )


RIGHT_ANGLES = Rotation.create_group("O").as_matrix().round()
"""The 24 rotations by right angles, exactly as a rig states them."""


@given(
    seed=st.integers(0, 2**32 - 1),
    short_of_half=st.sampled_from([0.0, 1e-12, 1e-8, 1e-4, 0.1, 2.0, np.pi]),
)
def test_a_rotation_and_its_quaternion_are_the_same(seed: int, short_of_half: float) -> None:
    axis = np.random.default_rng(seed).normal(size=3)
    rotation = Rotation.from_rotvec(axis / np.linalg.norm(axis) * (np.pi - short_of_half)).as_matrix()
    (quaternion,) = quaternions_from_rotations(rotation[None])
    assert quaternion[3] >= 0
    np.testing.assert_allclose(np.linalg.norm(quaternion), 1.0, atol=1e-12)
    np.testing.assert_allclose(Rotation.from_quat(quaternion).as_matrix(), rotation, atol=1e-12)


def test_rotations_by_right_angles_have_their_quaternions() -> None:
    quaternions = quaternions_from_rotations(np.array(RIGHT_ANGLES))
    for rotation, quaternion in zip(RIGHT_ANGLES, quaternions, strict=True):
        np.testing.assert_allclose(rotation_from_quaternion(*quaternion), rotation, atol=1e-12)


@given(
    place=st.integers(1, 8),
    away_ns=st.one_of(st.integers(-(10**18), -2 * MAX_GAP_NS), st.integers(2 * MAX_GAP_NS, 10**18)),
    at_ms=st.integers(0, 900),
)
def test_one_pose_of_another_clock_changes_nothing(place: int, away_ns: int, at_ms: int) -> None:
    alone, beside = PoseHistory("base"), PoseHistory("base")
    for i in range(10):
        for history in (alone, beside):
            history.add(i * 100 * MS, pose(0.1 * i), i * 100 * MS + 5 * MS)
        if i == place:
            assert not beside.add(i * 100 * MS + away_ns, pose(-9.0), i * 100 * MS + 6 * MS)
    assert alone.at(at_ms * MS).held_ns == beside.at(at_ms * MS).held_ns == 0
    np.testing.assert_array_equal(
        alone.at(at_ms * MS).parent_from_child, beside.at(at_ms * MS).parent_from_child
    )


def test_the_second_pose_of_another_clock_begins_anew() -> None:
    history = PoseHistory("base")
    for i in range(10):
        history.add(i * 100 * MS, pose(0.1 * i), i * 100 * MS)
    later, arrival = 10**18, 1000 * MS
    assert not history.add(later, pose(5.0), arrival)
    assert history.add(later + 100 * MS, pose(6.0), arrival + 100 * MS)
    assert not history.moves
    assert history.add(later + 200 * MS, pose(7.0), arrival + 200 * MS)
    assert history.at(later + 150 * MS).parent_from_child[0, 3] == pytest.approx(6.5)
    assert history.add(
        later + 20_000 * MS, pose(8.0), arrival + 20_000 * MS
    )  # a long pause is no other clock
    assert history.latest()[0, 3] == 8.0


def test_a_slow_simulation_is_no_other_clock() -> None:
    history = PoseHistory("base")
    for i in range(10):  # a second of the simulation takes 20
        assert history.add(i * 1000 * MS, pose(0.1 * i), i * 20_000 * MS)
    assert history.at(5500 * MS).parent_from_child[0, 3] == pytest.approx(0.55)


@given(order=st.permutations(range(8)), at_ms=st.integers(-300, 1300))
def test_a_constant_motion_is_known_at_any_moment_near_its_poses(order: list[int], at_ms: int) -> None:
    """Whatever the order in which they come."""
    history = PoseHistory("base")
    for i in order:
        history.add(i * 100 * MS, pose(0.1 * i, 0.05 * i))
    found = history.at(at_ms * MS)
    if -200 <= at_ms <= 900:
        np.testing.assert_allclose(found.parent_from_child, pose(at_ms / 1e3, at_ms / 2e3), atol=1e-9)
        assert found.held_ns == 0
    else:
        end_ms = 0 if at_ms < 0 else 700
        np.testing.assert_allclose(found.parent_from_child, pose(end_ms / 1e3, end_ms / 2e3), atol=1e-9)
        assert found.held_ns == abs(at_ms - end_ms) * MS


def test_a_frame_that_rests_has_one_pose_however_often_it_is_published() -> None:
    history = PoseHistory("base")
    changes = [history.add(i * MS, pose(0.3)) for i in range(1000)]
    assert changes == [True] + [False] * 999
    assert not history.moves
    assert len(history._stamps) <= 2
    assert history.at(0).parent_from_child is history.at(10**15).parent_from_child
    assert history.at(10**15).held_ns == 0


def test_rest_before_a_motion_is_not_smeared_into_it() -> None:
    history = PoseHistory("base")
    for i in range(10):
        history.add(i * 100 * MS, pose(0.0))
    history.add(1000 * MS, pose(1.0))
    assert history.at(850 * MS).parent_from_child[0, 3] == 0.0
    np.testing.assert_allclose(history.at(950 * MS).parent_from_child[0, 3], 0.5)


def test_a_motion_that_had_ended_is_held_without_doubt() -> None:
    history = PoseHistory("map")
    for at_ms, x in ((0, 0.0), (100, 1.0), (200, 2.0)):
        history.add(at_ms * MS, pose(x))
    assert history.at(2000 * MS).held_ns == 1800 * MS
    history.add(300 * MS, pose(2.0))
    assert history.at(2000 * MS).held_ns == 0
    np.testing.assert_array_equal(history.at(2000 * MS).parent_from_child, pose(2.0))


def test_across_a_long_gap_the_earlier_pose_holds() -> None:
    history = PoseHistory("base")
    history.add(0, pose(0.0))
    history.add(MAX_GAP_NS + MS, pose(1.0))
    assert history.at(MAX_GAP_NS).parent_from_child[0, 3] == 0.0
    assert history.at(MAX_GAP_NS + MS).parent_from_child[0, 3] == 1.0


def test_memory_is_bounded() -> None:
    history = PoseHistory("base")
    for i in range(3 * MAX_POSES):
        history.add(i * 1000, pose(float(i)))
    assert len(history._stamps) == MAX_POSES
    slow = PoseHistory("base")
    for i in range(100):
        slow.add(i * 1000 * MS, pose(float(i)))
    assert len(slow._stamps) <= 12


def test_of_two_poses_with_one_stamp_the_later_one_counts() -> None:
    history = PoseHistory("base")
    assert history.add(0, pose(1.0))
    assert history.add(0, pose(2.0))
    assert history.at(5).parent_from_child[0, 3] == 2.0
