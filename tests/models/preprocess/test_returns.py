from __future__ import annotations

from dataclasses import replace
from math import ceil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.geometry import TransformTree, invert_pose, pose_matrix, transform_points
from perception.models.preprocess import InputSpec, merged_returns, returns_array
from perception.models.preprocess.returns import UnusableScan, cell_size
from perception.models.tensors import RETURN_CHANNELS
from perception.types import Absent, Input, RangeScan, Rig, Sample, Tick, absent_sample
from tests.models.preprocess.build import CAMERA_FROM_SCANNER, rig, scan_of

SPEC = InputSpec(width=128, height=64, returns=32)
SEEDS = st.integers(0, 2**32 - 1)
COLUMN = {name: index for index, name in enumerate(RETURN_CHANNELS)}


def drawn_points(seed: int, count: int, step: float = 0.0) -> np.ndarray:
    """Points around the scanner, most ahead; on a grid of `step` metres, so that many are equally far."""
    rng = np.random.default_rng(seed)
    points = rng.normal([8, 0, 0], [6, 4, 2], (count, 3))
    return np.round(points / step) * step if step else points


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return np.asarray(rows[:, COLUMN[name]])


@given(seed=SEEDS, count=st.integers(1, 300), step=st.sampled_from([0.0, 0.5, 2.0]), known=st.booleans())
def test_the_order_of_the_returns_changes_nothing(seed: int, count: int, step: float, known: bool) -> None:
    points = drawn_points(seed, count, step) + np.array([0.01, 0, 0])
    rng = np.random.default_rng(seed + 1)
    intensity, speed = rng.integers(0, 3, count), rng.integers(-1, 2, count)
    order = rng.permutation(count)
    where = rig() if known else Rig()
    expected = returns_array(scan_of(points, intensity, speed), where, SPEC)
    found = returns_array(scan_of(points[order], intensity[order], speed[order]), where, SPEC)
    for a, b in zip(expected, found, strict=True):
        assert a.tobytes() == b.tobytes()


@given(seed=SEEDS, count=st.integers(33, 400))
def test_every_cell_that_was_hit_keeps_its_nearest_return(seed: int, count: int) -> None:
    points = drawn_points(seed, count)
    every, _ = returns_array(scan_of(points), rig(), InputSpec(width=128, height=64, returns=1000))
    rows, valid = returns_array(scan_of(points), rig(), SPEC)
    size = cell_size(SPEC)
    inside = every[column(every, "in_image") > 0]
    nearest: dict[tuple[int, int], float] = {}
    for row in inside:
        cell = int(row[0]) // size, int(row[1]) // size
        nearest[cell] = min(nearest.get(cell, np.inf), row[COLUMN["range_m"]])
    kept = {(int(r[0]) // size, int(r[1]) // size, float(r[COLUMN["range_m"]])) for r in rows[valid > 0]}
    assert all((*cell, float(range_m)) in kept for cell, range_m in nearest.items())
    # The places that are left go to the nearest of all the others.
    others = sorted(column(every, "range_m")[column(every, "range_m") > 0].tolist())
    for range_m in nearest.values():
        others.remove(range_m)
    room = SPEC.returns - len(nearest)
    expected = sorted([*nearest.values(), *others[:room]])
    np.testing.assert_array_equal(column(rows, "range_m")[valid > 0], np.array(expected, dtype=np.float32))


@given(width=st.integers(1, 700), height=st.integers(1, 500), returns=st.integers(1, 600))
def test_cells_are_the_smallest_that_cover_the_image(width: int, height: int, returns: int) -> None:
    spec = InputSpec(width=width, height=height, returns=returns)
    size = cell_size(spec)
    assert ceil(width / size) * ceil(height / size) <= returns
    assert size == 1 or ceil(width / (size - 1)) * ceil(height / (size - 1)) > returns


@given(seed=SEEDS, model=st.sampled_from([(), (-0.1, 0.02, 0.001, -0.001, 0.0)]))
def test_rows_are_what_the_camera_sees(seed: int, model: tuple[float, ...]) -> None:
    points = drawn_points(seed, SPEC.returns)
    where = rig(distortion=model)
    rows, valid = returns_array(scan_of(points), where, SPEC)
    assert where.calibration is not None
    seen = points @ CAMERA_FROM_SCANNER[:3, :3].T + CAMERA_FROM_SCANNER[:3, 3]
    distance = np.linalg.norm(seen, axis=1)
    near = np.linalg.norm(points, axis=1) <= SPEC.max_range_m
    assert valid.sum() == near.sum()
    order = np.argsort(np.where(near, distance, np.inf))[: near.sum()]
    seen, distance, rows = seen[order], distance[order], rows[valid > 0]
    np.testing.assert_allclose(column(rows, "range_m"), distance, rtol=1e-5)
    np.testing.assert_allclose(column(rows, "bearing"), np.arctan2(-seen[:, 0], seen[:, 2]), atol=1e-4)
    np.testing.assert_allclose(
        column(rows, "elevation"), np.arcsin(np.clip(-seen[:, 1] / distance, -1, 1)), atol=1e-4
    )
    ahead = seen[:, 2] > 0.5
    pixels, _ = cv2.projectPoints(
        seen[ahead],
        np.zeros(3),
        np.zeros(3),
        where.calibration.intrinsics,
        np.array(model) if model else None,
    )
    pixels = pixels[:, 0] / [640 / 128, 480 / 64]
    inside = column(rows, "in_image")[ahead] > 0
    well_inside = (pixels > 0.1).all(axis=1) & (pixels < [127.9, 63.9]).all(axis=1)
    near_axis = np.hypot(seen[ahead, 0], seen[ahead, 1]) < seen[ahead, 2]
    assert (inside | ~(well_inside & near_axis)).all()
    np.testing.assert_allclose(rows[ahead][inside, :2], pixels[inside], atol=1e-2)
    assert (column(rows, "in_image")[seen[:, 2] <= 0] == 0).all()


def test_one_return_in_numbers() -> None:
    rows, valid = returns_array(scan_of([[10.0, 1.0, 0.5]], [255.0], [-2.5]), rig(), SPEC)
    # The camera sees it 1 m to the left at its own height: u = 320 - 400 / 10, v = 240.
    expected = [280 / 5, 240 / 7.5, np.arctan(0.1), 0.0, np.sqrt(101.0), -2.5, 1.0, 1.0]
    np.testing.assert_allclose(rows[0], expected, atol=1e-5)
    assert valid.tolist() == [1.0] + [0.0] * 31
    assert not rows[1:].any()


def sample_of(scans: dict[str, RangeScan], where: Rig) -> Sample:
    ranges = {name: Input(name, scan.topic, scan, 0, 0.0) for name, scan in scans.items()}
    ranges["silent"] = Input("silent", "/silent", None, absence=Absent("silent", "silent"))
    return replace(absent_sample(Tick(0, "reference", 0, 0), "none"), ranges=ranges, rig=where)


@given(
    seed=SEEDS,
    counts=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    turn=st.sampled_from([(0, 0, 1, 1), (1, 0, 0, 1), (0, -1, 0, 1), (1, 1, 1, 1)]),
)
def test_scans_of_several_sensors_are_one_scan_as_the_camera_sees_it(
    seed: int, counts: tuple[int, int], turn: tuple[int, int, int, int]
) -> None:
    """Each by the pose of its sensor, in whatever order, beside scans that are broken or not placed."""
    rng = np.random.default_rng(seed)
    where = rig()
    turned = pose_matrix((0.25, -0.5, 1.0), turn)  # right angles and dyadic numbers: nothing is rounded
    where = Rig(where.calibration, TransformTree({**where.transforms.edges, "radar": ("scanner", turned)}))
    points = [drawn_points(seed + i, count, step=1 / 64) for i, count in enumerate(counts)]
    values = [(rng.integers(0, 9, count), rng.normal(size=count)) for count in counts]
    scans = {
        "lidar": scan_of(points[0], *values[0]),
        "radar": scan_of(transform_points(invert_pose(turned), points[1]), *values[1], frame_id="radar"),
        "broken": scan_of([[np.nan, 0.0, 0.0]]),
        "lost": scan_of([[1.0, 0.0, 0.0]], frame_id="nowhere"),
    }
    near = [np.linalg.norm(scan.points_m, axis=1) <= SPEC.max_range_m for scan in list(scans.values())[:2]]
    both = scan_of(
        *(
            np.concatenate([each[kept] for each, kept in zip(parts, near, strict=True)])
            for parts in (points, *zip(*values, strict=True))
        )
    )
    expected = returns_array(both, where, InputSpec(width=128, height=64, returns=32, max_range_m=1e3))
    for order in (list(scans), list(scans)[::-1]):
        found = merged_returns(sample_of({name: scans[name] for name in order}, where), SPEC)
        assert found is not None
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_scans_of_several_sensors_without_a_return_say_why_of_each() -> None:
    scans = {
        "a": replace(scan_of([[np.nan, 0, 0]]), topic="/a"),
        "b": replace(scan_of(np.zeros((0, 3))), topic="/b"),
    }
    with pytest.raises(UnusableScan, match=r"^/a: none of 1 returns .*; /b: scan without returns$"):
        merged_returns(sample_of(scans, rig()), SPEC)
    assert merged_returns(sample_of({}, rig()), SPEC) is None


def test_without_a_rig_returns_are_seen_from_the_sensor() -> None:
    scan = scan_of([[10.0, 10.0, 0.0], [0.0, 0.0, 5.0]])
    for where in (Rig(), Rig(rig().calibration), Rig(None, rig().transforms)):
        rows, _ = returns_array(scan, where, SPEC)
        np.testing.assert_allclose(rows[0], [0, 0, 0, np.pi / 2, 5, 0, 0, 0], atol=1e-6)
        np.testing.assert_allclose(rows[1], [0, 0, np.pi / 4, 0, np.sqrt(200), 0, 0, 0], atol=1e-5)


def test_a_calibration_of_another_size_places_returns_in_the_same_part_of_the_input() -> None:
    scan = scan_of([[10.0, 1.0, 0.5]])
    small = rig()
    assert small.calibration is not None
    doubled = replace(
        small.calibration,
        width=1280,
        height=960,
        intrinsics=np.diag([2.0, 2.0, 1.0]) @ small.calibration.intrinsics,
    )
    expected, _ = returns_array(scan, small, SPEC)
    found, _ = returns_array(scan, Rig(doubled, small.transforms), SPEC)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "where", [rig(distortion=[0.1] * 4, model="mystery"), rig(width=0), rig(distortion=[0] * 14 + [0.1])]
)
def test_a_camera_that_cannot_be_projected_still_gives_bearings(where: Rig) -> None:
    rows, _ = returns_array(scan_of([[10.0, 1.0, 0.5]]), where, SPEC)
    np.testing.assert_allclose(rows[0], [0, 0, np.arctan(0.1), 0, np.sqrt(101), 0, 0, 0], atol=1e-5)


def test_returns_that_are_none_are_left_out() -> None:
    bad = [
        [np.nan, 0, 0],
        [np.inf, 0, 0],
        [0, -np.inf, 0],
        [0, 0, 0],
        [30.1, 0, 0],
        [1e30, 0, 0],
        [2.0, 0, 0],
        [30.0, 0, 0],
    ]
    rows, valid = returns_array(scan_of(bad), Rig(), SPEC)
    assert valid.sum() == 2
    np.testing.assert_array_equal(column(rows, "range_m")[:2], [2.0, 30.0])
    with pytest.raises(UnusableScan, match="none of 6 returns is finite and within 30 m"):
        returns_array(scan_of(bad[:6]), Rig(), SPEC)
    with pytest.raises(UnusableScan, match="without returns"):
        returns_array(scan_of(np.empty((0, 3))), Rig(), SPEC)


def test_range_is_limited_from_the_sensor_not_from_the_camera() -> None:
    points = [[29.999, 0.0, 0.0]]  # 0.5 m below the camera: 30.003 m from it
    rows, valid = returns_array(scan_of(points), rig(), SPEC)
    assert valid[0] == 1
    assert column(rows, "range_m")[0] > 30


def test_intensity_grows_with_its_logarithm_and_is_never_unknown() -> None:
    given = [0.0, 1.0, 255.0, 65535.0, -3.0, np.nan, np.inf]
    points = [[1.0 + i, 0, 0] for i in range(len(given))]
    rows, _ = returns_array(scan_of(points, given, [np.nan, 3, np.inf, 0, 0, 0, 0]), Rig(), SPEC)
    np.testing.assert_allclose(column(rows, "intensity")[:7], [0, 0.125, 1.0, 2.0, 0, 0, 0], atol=1e-4)
    np.testing.assert_array_equal(column(rows, "radial_speed")[:7], [0, 3, 0, 0, 0, 0, 0])
