from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.geometry import project, rays
from perception.geometry.lens import BROWN, FISHEYE, distort, lens_problem, undistort

SEEDS = st.integers(0, 2**32 - 1)
K = np.array([[600.0, 0.0, 640.0], [0.0, 610.0, 360.0], [0.0, 0.0, 1.0]])

# (fx, fy, cx, cy), size, coefficients, model: of the kind that published data sets have.
LENSES = {
    "street camera, 80 degrees": (
        (980, 980, 690, 245),
        (1392, 512),
        [-0.37, 0.2, 0.001, 0.0005, -0.07],
        "plumb_bob",
    ),
    "webcam": ((530, 530, 320, 240), (640, 480), [0.05, -0.1, 0.0, 0.001], "plumb_bob"),
    "depth camera": (
        (607, 607, 640, 368),
        (1280, 720),
        [0.5, -2.6, 0.0004, 0.0, 1.5, 0.38, -2.45, 1.45],
        "rational_polynomial",
    ),
    "tilted sensor with prisms": (
        (900, 900, 640, 360),
        (1280, 720),
        [-0.1, 0.02, 0.0005, 0.0, 0.0, 0.05, 0.0, 0.0, 0.004, -0.001, -0.003, 0.001, 0.03, -0.05],
        "rational_polynomial",
    ),
    "fisheye, 130 degrees": ((480, 480, 512, 384), (1024, 768), [-0.01, 0.02, -0.02, 0.005], "equidistant"),
    "pinhole": ((400, 400, 320, 240), (640, 480), [], ""),
}


@given(seed=SEEDS)
def test_a_fisheye_is_that_of_opencv(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform([-3, -2, 0.5], [3, 2, 3], (50, 3))
    coefficients = rng.uniform(-0.05, 0.05, 4)
    expected = cv2.fisheye.projectPoints(points[None], np.zeros(3), np.zeros(3), K, coefficients)[0][0]
    found = project(points, K, coefficients, "equidistant")
    known = np.isfinite(found).all(axis=1)
    assert known.mean() > 0.5
    np.testing.assert_allclose(found[known], expected[known], atol=1e-6)


@given(seed=SEEDS, count=st.sampled_from([4, 5, 8, 12, 14]))
def test_a_lens_of_many_coefficients_is_that_of_opencv(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scale = [0.2, 0.05, 0.01, 0.01, 0.02, 0.1, 0.05, 0.01, *[0.01] * 4, 0.1, 0.1]
    coefficients = rng.uniform(-1, 1, count) * scale[:count]
    points = rng.uniform([-1.5, -1.0, 2], [1.5, 1.0, 4], (50, 3))
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, coefficients)[0][:, 0]
    found = project(points, K, coefficients, "rational_polynomial")
    known = np.isfinite(found).all(axis=1)
    assert known.mean() > 0.8
    np.testing.assert_allclose(found[known], expected[known], atol=1e-6)
    back = rays(found[known], K, coefficients, "rational_polynomial")
    seen = np.isfinite(back).all(axis=1)
    assert seen.mean() > 0.95
    np.testing.assert_allclose(back[seen] * points[known][seen, 2:], points[known][seen], atol=1e-5)


@pytest.mark.parametrize("name", LENSES)
def test_every_pixel_of_a_real_lens_has_its_ray(name: str) -> None:
    (fx, fy, cx, cy), size, coefficients, model = LENSES[name]
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    u, v = np.meshgrid(np.linspace(0, size[0], 40), np.linspace(0, size[1], 30))
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)
    directions = rays(pixels, intrinsics, np.array(coefficients), model)
    assert np.isfinite(directions).all()
    np.testing.assert_allclose(
        project(directions * 3.0, intrinsics, np.array(coefficients), model), pixels, atol=1e-3
    )


@given(seed=SEEDS, model=st.sampled_from(["plumb_bob", "fisheye"]))
def test_both_ways_undo_each_other_where_the_polynomial_holds(seed: int, model: str) -> None:
    rng = np.random.default_rng(seed)
    k = rng.uniform(-0.3, 0.3, 4 if model == "fisheye" else 5)
    if model == "plumb_bob":
        k[2:4] *= 0.01
    x, y = rng.uniform(-0.6, 0.6, (2, 40))
    bent = distort(x, y, k, model)
    known = np.isfinite(bent[0])
    back = undistort(*bent, k, model)
    assert (
        np.isfinite(back[0][known]).mean() > 0.95
    )  # but for points at the very edge of what the polynomial covers
    kept = known & np.isfinite(back[0])
    np.testing.assert_allclose(back[0][kept], x[kept], atol=1e-3)
    np.testing.assert_allclose(back[1][kept], y[kept], atol=1e-3)


@given(seed=SEEDS, model=st.sampled_from(["plumb_bob", "rational_polynomial", "fisheye"]))
def test_points_are_placed_up_to_where_the_distorted_radius_stops_growing(seed: int, model: str) -> None:
    rng = np.random.default_rng(seed)
    k = rng.uniform(-0.6, 0.6, {"plumb_bob": 5, "rational_polynomial": 8, "fisheye": 4}[model])
    angle = np.linspace(0.0, 1.5, 3001)
    radius = np.tan(angle)
    if model == "fisheye":
        bent = angle * (1 + sum(c * angle ** (2 * i + 2) for i, c in enumerate(k)))
        grows = np.diff(bent) > 0
    else:
        k[2:4] = 0.0
        k1, k2, _, _, k3, k4, k5, k6 = np.pad(k, (0, 8 - len(k)))
        below = 1 + k4 * radius**2 + k5 * radius**4 + k6 * radius**6
        bent = radius * (1 + k1 * radius**2 + k2 * radius**4 + k3 * radius**6) / below
        grows = (np.diff(bent) > 0) & (below[1:] > 0)
    first_fall = int(np.argmin(grows)) if not grows.all() else len(angle)
    found = distort(radius, np.zeros_like(radius), k, model)[0]
    assert abs(int(np.isfinite(found).sum()) - first_fall) <= 2
    np.testing.assert_allclose(found[: first_fall - 1], bent[: first_fall - 1], rtol=1e-9)


def test_a_fisheye_has_no_ray_beyond_its_largest_radius() -> None:
    k = np.array([-0.3, 0.0, 0.0, 0.0])  # grows up to an angle of 1.05
    assert np.isnan(undistort(np.array([5.0]), np.array([0.0]), k, "fisheye")[0]).all()


def test_a_place_that_no_direction_lands_at_has_none() -> None:
    assert np.isnan(undistort(np.array([3.0]), np.array([0.0]), np.array([-0.3, 0, 0, 0]))[0]).all()


def test_the_middle_stays_the_middle() -> None:
    zero = np.zeros(1)
    for model in BROWN | FISHEYE:
        assert distort(zero, zero, np.array([0.1, 0.1, 0.0, 0.0]), model) == (0, 0)
        assert undistort(zero, zero, np.array([0.1, 0.1, 0.0, 0.0]), model) == (0, 0)


@pytest.mark.parametrize(
    ("model", "coefficients", "known"),
    [
        ("plumb_bob", [0.1] * 5, True),
        ("Plumb_Bob", [0.1] * 5, True),
        ("rational_polynomial", [0.1] * 8, True),
        ("rational_polynomial", [0.1] * 12, True),  # thin prisms
        ("rational_polynomial", [0.0] * 12 + [0.02, -0.01], True),  # a tilted sensor
        ("rational_polynomial", [0.0] * 12 + [0.77, -0.77], True),  # by 44 degrees
        ("rational_polynomial", [0.0] * 12 + [0.8, 0.0], False),  # by 46 degrees
        ("rational_polynomial", [0.0] * 12 + [0.0, -0.8], False),
        ("rational_polynomial", [0.1] * 8 + [0.0] * 6, True),
        ("equidistant", [0.1] * 4, True),
        ("equidistant", [0.1] * 5, False),
        ("mystery", [0.1], False),
        ("mystery", [0.0] * 5, True),
        ("radtan", [-0.1, 0.01, 0.0, 0.0], True),
        ("Radial-Tangential", [0.1] * 4, True),
        ("Brown Conrady", [0.1] * 8, True),
        ("pinhole-radtan", [0.1] * 4, True),
        ("OPENCV", [0.1] * 4, True),
        ("equi", [0.1] * 4, True),
        ("KannalaBrandt8", [0.1] * 4, True),
        ("OPENCV_FISHEYE", [0.1] * 4, True),
        ("modified_brown_conrady", [0.1, 0.1, 0.0, 0.0, 0.1], True),
        ("modified_brown_conrady", [0.1, 0.1, 0.1, 0.0, 0.1], False),
        ("inverse_brown_conrady", [0.1] * 5, False),
        ("inverse_brown_conrady", [0.0] * 5, True),
        ("pinhole", [-0.1, 0.01, 0.0, 0.0], False),
        ("pinhole", [], True),
        ("double sphere", [], False),
        ("ds", [0.0] * 5, False),
        ("mei", [], False),
        ("thin_prism_fisheye", [0.0] * 8, False),
        ("FOV", [0.9], False),
        ("", [], True),
    ],
)
def test_a_lens_is_known_or_not(model: str, coefficients: list[float], known: bool) -> None:
    problem = lens_problem(model, np.array(coefficients))
    assert (not problem) == known
    assert model in problem or model in BROWN | FISHEYE or known


@pytest.mark.parametrize("model", ["plumb_bob", "radtan", "brown_conrady", "Plumb-Bob"])
def test_names_of_one_lens_are_one_lens(model: str) -> None:
    k = np.array([-0.1, 0.01, 0.001, 0.002])
    points = np.array([[1.0, 0.5, 4.0], [-2.0, 1.0, 3.0]])
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, k)[0][:, 0]
    np.testing.assert_allclose(project(points, K, k, model), expected, atol=1e-9)


@given(
    k=st.lists(
        st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from([1e300, -1e300, 5e-324, 8.65e-322]),
        max_size=8,
    ),
    model=st.sampled_from(["plumb_bob", "equidistant"]),
)
def test_no_finite_coefficients_raise(k: list[float], model: str) -> None:
    """Points are placed or they are not; coefficients that overflow place none off the axis."""
    points = np.array([[0.0, 0.0, 1.0], [0.3, 0.2, 1.0], [-3.0, 2.0, 1.0]])
    with np.errstate(all="ignore"):
        pixels = project(points, K, np.array(k), model)
        rays(np.array([[640.0, 360.0], [0.0, 0.0]]), K, np.array(k), model)
    assert pixels.shape == (3, 2)


def test_a_coefficient_too_small_to_count_is_zero() -> None:
    points = np.array([[0.3, 0.2, 1.0], [-1.0, 0.5, 1.0]])
    plain = project(points, K)
    for tiny in (8.65e-322, 5e-324, 1e-300):
        np.testing.assert_allclose(project(points, K, np.array([tiny, 0, 0, 0, tiny])), plain, atol=1e-9)
