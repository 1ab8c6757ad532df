"""Distances of boxes against plain loops over boxes and returns, and against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.diagnosis.conformance.samples import drawn_samples
from perception.geometry import TransformTree, pose_matrix, project
from perception.models import returns_distance
from perception.models.placed_returns import PlacedReturns, placed_returns
from perception.models.returns_distance import distances_from_returns
from perception.types import CameraInfo, Rig
from perception_plugins.detector.ground_distance import distances_on_ground, ground_from
from perception_plugins.detector.late_fusion import distances
from perception_plugins.detector.options import DistanceOptions

HEIGHT_M = 1.6


def in_order(u: Any, v: Any, range_m: Any, planar: Any = None) -> PlacedReturns:
    """Returns as `placed_returns` gives them."""
    across = np.argsort(u)
    outwards = np.argsort(range_m[across])
    rank = np.argsort(outwards)
    planar = np.zeros(u.size, bool) if planar is None else planar
    return PlacedReturns(u[across], v[across], rank, np.sort(range_m), planar[across], ("range",))


def by_loops(
    u: Any, v: Any, range_m: Any, planar: Any, box: Any, depth: float, least: int
) -> tuple[float, float] | None:
    """The distance of one box, return by return."""
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    inside = sorted(
        float(r)
        for a, b, r, flat in zip(u, v, range_m, planar, strict=True)
        if x1 + 0.2 * w <= a < x2 - 0.2 * w and (y1 <= b <= y2 if flat else y1 + 0.1 * h <= b <= y2 - 0.3 * h)
    )
    groups: list[list[float]] = []
    for r in inside:
        if groups and r - groups[-1][-1] <= max(0.8, 0.04 * groups[-1][-1]):
            groups[-1].append(r)
        else:
            groups.append([r])
    most = max(map(len, groups), default=0)
    if most < least:
        return None
    chosen = next(g for g in groups if len(g) >= max(least, (0.1 if planar.all() else 0.7) * most))

    def middle(group: list[float]) -> float:
        return group[(len(group) - 1) // 2]

    spread = float(np.std(chosen))
    rivals = [chosen] if planar.all() else [g for g in groups if len(g) >= 0.3 * most]
    doubt = sum(len(g) * (middle(g) - middle(chosen)) ** 2 for g in rivals) / sum(map(len, rivals))
    std = (0.01 + (0.35 * depth) ** 2 + spread**2 + doubt) ** 0.5
    return middle(chosen) + max(depth - spread, 0.0), std


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(1, 12), st.sampled_from([1, 3, 8]))
def test_all_boxes_at_once_are_each_box_by_loops(seed: int, count: int, boxes: int, least: int) -> None:
    draw = np.random.default_rng(seed)
    u, v = draw.uniform(0, 320, count), draw.uniform(0, 240, count)
    range_m = np.round(draw.gamma(2, 10, count), 1)  # equal ranges, too
    corners = draw.uniform(-40, 300, (boxes, 2))
    xyxy = np.concatenate([corners, corners + draw.uniform(1, 250, (boxes, 2))], 1)
    depth = draw.uniform(0, 5, boxes)
    planar = draw.random(count) < draw.choice([0.0, 0.5, 1.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(returns_distance, "MOST_AT_ONCE", int(draw.integers(1, 2000)))
        metres, std = distances_from_returns(in_order(u, v, range_m, planar), xyxy, depth, least)
    for i in range(boxes):
        expected = by_loops(u, v, range_m, planar, xyxy[i], float(depth[i]), least)
        assert (metres[i], std[i]) == pytest.approx(expected or (np.nan, np.nan), rel=1e-9, nan_ok=True)


def camera_of(distortion: Any = ()) -> CameraInfo:
    k = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    return CameraInfo("/camera", 0, 0, "camera", 640, 480, k, np.array(distortion), "plumb_bob")


def test_returns_are_placed_as_a_loop_places_them() -> None:
    sample = drawn_samples(1)[0]
    draw = np.random.default_rng(3)
    points = draw.uniform(-40, 60, (400, 3)).astype(np.float32)
    points[::17] = np.nan
    points[5] = 0
    camera = camera_of((0.1, -0.05, 0.001, 0.002))
    rig = Rig(camera, sample.rig.transforms)
    scan = replace(sample.range.value, points_m=points, intensity=None, radial_speed_m_s=None)
    placed = placed_returns(replace(sample, range=replace(sample.range, value=scan), rig=rig), 50.0)
    expected = []
    for forward, left, up in points.astype(float):
        point = np.array([-left, -up, forward])
        length = float(np.linalg.norm(point))
        if not (1e-3 < length <= 50 and forward > 1e-3):
            continue
        ((u, v),) = project(point[None], camera.intrinsics, camera.distortion, "plumb_bob")
        if 0 <= u <= 640 and 0 <= v <= 480:
            expected.append((u, v, length))
    assert placed is not None
    assert len(expected) > 10
    found = np.stack([placed.u, placed.v, placed.range_m[placed.rank]], 1)
    np.testing.assert_allclose(found, sorted(expected), rtol=1e-9)
    assert (np.diff(placed.range_m) >= 0).all()
    assert not placed.planar.any()


def test_a_scan_in_one_plane_sees_legs_before_the_wall() -> None:
    """The plane crosses a person at 4 m at the shins; between the legs the wall at 12 m shows."""
    sample = drawn_samples(1)[0]
    bearing = np.linspace(-0.2, 0.2, 81)
    reach = np.where(np.abs(np.abs(bearing) - 0.03) < 0.012, 4.0, 12.0)
    points = np.stack([reach * np.cos(bearing), reach * np.sin(bearing), np.zeros(81)], 1).astype(np.float32)
    down = np.array([[0, -1, 0, 0], [0, 0, -1, 1.2], [1, 0, 0, 0], [0, 0, 0, 1.0]])  # 1.2 m below the camera
    rig = Rig(camera_of(), TransformTree({"scanner": ("camera", down)}))
    scan = replace(sample.range.value, points_m=points, intensity=None, radial_speed_m_s=None)
    placed = placed_returns(replace(sample, range=replace(sample.range, value=scan), rig=rig), 50.0)
    assert placed is not None
    assert placed.planar.all()
    box = np.array([[320 - 35.0, 240 - 25, 320 + 35, 240 + 188]])  # 0.2 m above the camera to 1.5 m below
    metres, std = distances(placed, rig, box, ("person",), DistanceOptions())
    assert metres[0] == pytest.approx(np.hypot(4, 1.2) + 0.3, abs=0.1)
    assert std[0] < 0.5
    solid = placed._replace(planar=np.zeros_like(placed.planar))  # of many layers, this would be the ground
    assert distances(solid, rig, box, ("thing",), DistanceOptions()).metres[0] > 11
    # A person of 5 m is none: what was seen is the wall behind, and the ground may say more.
    assert np.isnan(distances(solid, rig, box, ("person",), DistanceOptions()).metres[0])
    high = DistanceOptions(camera_height_m=1.5)
    assert distances(solid, rig, box, ("person",), high).metres[0] == pytest.approx(4.3, abs=0.3)


@pytest.mark.parametrize("optical", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_a_scan_is_in_one_plane_where_its_returns_have_one_height(optical: bool, flat: bool) -> None:
    """Not where they have one depth: that is a wall before the camera."""
    sample = drawn_samples(1)[0]
    across, along = (g.ravel() for g in np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)))
    right, down, ahead = across, (0 * along if flat else along), (5 + along if flat else 5 + 0 * along)
    axes = (right, down, ahead) if optical else (ahead, -right, -down)
    frame_from_optical = (
        np.eye(4)[[0, 1, 2, 3]] if optical else np.eye(4)[[2, 0, 1, 3]] * [[1], [-1], [-1], [1]]
    )
    rig = Rig(camera_of(), TransformTree({"scanner": ("camera", np.linalg.inv(frame_from_optical))}))
    scan = replace(
        sample.range.value,
        points_m=np.stack(axes, 1).astype(np.float32),
        frame_id="scanner",
        intensity=None,
        radial_speed_m_s=None,
        optical=optical,
    )
    placed = placed_returns(replace(sample, range=replace(sample.range, value=scan), rig=rig), 50.0)
    assert placed is not None
    assert placed.planar.tolist() == [flat] * 81
    np.testing.assert_allclose(
        np.sort(placed.range_m), np.sort(np.sqrt(right**2 + down**2 + ahead**2)), rtol=1e-6
    )


# --- the ground ---------------------------------------------------------------------------------------


def standing(u: float, v: float, height: float = 60.0) -> Any:
    """A box whose lower edge has its middle at (u, v)."""
    return np.array([[u - 20, v - height, u + 20, v]])


def test_a_level_camera_sees_the_ground_at_its_height_over_the_tangent() -> None:
    """50 pixels below the horizon of a lens of 500 pixels, 1.6 m high: 16 m ahead."""
    rig = Rig(camera_of())
    ground = ground_from(rig, HEIGHT_M)
    assert ground is not None
    metres, std = distances_on_ground(rig, *ground, standing(320, 290), np.zeros(1))
    assert metres[0] == pytest.approx((16**2 + 1.6**2) ** 0.5)
    near = 1.6 / ((50 + 1 + 0.03 * 60) / 500)
    assert std[0] == pytest.approx(16 - near, rel=0.01)  # to where the edge is if it lies one deviation lower
    aside, _ = distances_on_ground(rig, *ground, standing(420, 290), np.full(1, 2.2))
    assert aside[0] == pytest.approx((16**2 + 1.6**2 + 3.2**2) ** 0.5 + 2.2)


@pytest.mark.parametrize(
    ("frame", "above_m", "stated_m"), [("base_footprint", 0.0, None), ("base_link", 0.4, HEIGHT_M)]
)
def test_a_tilted_camera_with_a_lens_sees_points_of_the_ground_where_they_are(
    frame: str, above_m: float, stated_m: float | None
) -> None:
    tilt = np.deg2rad(6)
    down = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    camera_from_ground = np.eye(4)
    camera_from_ground[:3, :3] = down @ np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
    camera_from_ground[:3, 3] = -camera_from_ground[:3, :3] @ [1.2, 0.1, HEIGHT_M]
    camera = camera_of((0.1, -0.05, 0.001, 0.002))
    camera_from_frame = camera_from_ground @ pose_matrix((0.5, 0, above_m), (0, 0, 0, 1))
    rig = Rig(camera, TransformTree({frame: ("camera", camera_from_frame)}))
    ground = ground_from(rig, stated_m)
    assert ground is not None
    assert ground[1] == pytest.approx(HEIGHT_M)
    for forward, left in ((8.0, 0.0), (12.0, 2.5), (20.0, -4.0)):
        point = (camera_from_ground @ [forward, left, 0, 1])[:3]
        ((u, v),) = project(point[None], camera.intrinsics, camera.distortion, "plumb_bob")
        metres, std = distances_on_ground(rig, *ground, standing(u, v), np.zeros(1))
        assert metres[0] == pytest.approx(float(np.linalg.norm(point)), rel=1e-6)
        assert 0.05 * metres[0] <= std[0] < metres[0]


def test_the_deviation_of_the_ground_holds_for_edges_that_are_off() -> None:
    """Objects at 5 to 20 m whose lower edges are off by the deviation that a detector's have."""
    draw, rig = np.random.default_rng(5), Rig(camera_of())
    truth = draw.uniform(5, 20, 4000)
    height = 500 * 1.5 / truth
    v = 240 + 500 * HEIGHT_M / truth + draw.normal(0, 1 + 0.03 * height)
    boxes = np.stack([np.full_like(v, 300), v - height, np.full_like(v, 340), v], 1)
    metres, std = distances_on_ground(rig, np.array([0.0, -1, 0]), HEIGHT_M, boxes, np.zeros(v.size))
    seen = np.isfinite(metres)
    off = (metres - np.hypot(truth, HEIGHT_M))[seen] / std[seen]
    assert seen.mean() > 0.9
    assert 0.6 < (np.abs(off) < 1).mean() < 0.85
    assert 0.7 < np.median(np.abs(off)) / 0.6745 < 1.3


@pytest.mark.parametrize("v", [230.0, 240.0, 242.0, 479.5])
def test_an_edge_near_the_horizon_or_at_the_rim_says_nothing(v: float) -> None:
    metres, std = distances_on_ground(
        Rig(camera_of()), np.array([0.0, -1, 0]), HEIGHT_M, standing(320, v), np.zeros(1)
    )
    assert np.isnan([metres[0], std[0]]).all()


def test_boxes_without_returns_take_the_ground_and_the_others_their_returns() -> None:
    rig = Rig(camera_of())
    returns = in_order(np.full(5, 100.0), np.full(5, 250.0), np.full(5, 20.0))
    boxes = np.concatenate([standing(100, 280), standing(320, 290)])
    options = DistanceOptions(camera_height_m=HEIGHT_M)
    metres, std = distances(returns, rig, boxes, ("car", "thing"), options)
    assert metres.tolist() == [pytest.approx(20 + 2.2), pytest.approx((16**2 + 1.6**2) ** 0.5)]
    assert (std > 0).all()
    metres, _ = distances(returns, rig, boxes, ("car", "thing"), DistanceOptions())  # no height, no ground
    assert np.isnan(metres).tolist() == [False, True]
    metres, _ = distances(None, Rig(), boxes, ("car", "thing"), options)  # no camera info
    assert np.isnan(metres).all()
