"""Lenses: how the direction (x, y, 1) before a camera lands at a distorted (x, y) on its plane, and back.

Two families, by the names that calibrations use:

- Brown (1966), as OpenCV orders it: k1, k2, p1, p2[, k3[, k4, k5, k6]]; named `plumb_bob`,
  `rational_polynomial`, or not at all.
- Kannala and Brandt (2006), for fisheyes: k1, k2, k3, k4 on powers of the angle; named `equidistant`,
  `kannala_brandt` or `fisheye`.

A polynomial holds up to the radius where it stops growing: beyond it, it would fold far-off points back into
the image. There, both ways give NaN.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BROWN = frozenset({"", "none", "plumb_bob", "rational_polynomial"})
FISHEYE = frozenset({"equidistant", "kannala_brandt", "fisheye"})

_NEWTON_STEPS = 25
_DERIVATIVE_STEP = 1e-6


def is_known(model: str, coefficients: NDArray[np.floating]) -> bool:
    """Return whether a lens model is implemented. An unknown one without distortion counts as a pinhole."""
    count = 4 if model.lower() in FISHEYE else 8  # those that follow are other effects (thin prisms, tilt)
    implemented = model.lower() in BROWN | FISHEYE
    return not np.any(np.ravel(coefficients)[count if implemented else 0 :])


def distort(x: Array, y: Array, coefficients: NDArray[np.floating], model: str = "") -> tuple[Array, Array]:
    """Return where the directions (x, y, 1) land; NaN where the polynomial does not hold."""
    if model.lower() in FISHEYE:
        k = _padded(coefficients, 4)
        r = np.hypot(x, y)
        angle = np.arctan(r)
        angle = np.where(angle * angle < _fisheye_limit(k), angle, np.nan)
        scale = np.where(r > 1e-9, _bent(angle, k) / np.maximum(r, 1e-9), 1.0)
        return x * scale, y * scale
    if not np.any(coefficients):
        return x, y
    k = _padded(coefficients, 8)
    inside = x * x + y * y < _brown_limit(k)
    return _brown(np.where(inside, x, np.nan), np.where(inside, y, np.nan), k)


def undistort(x: Array, y: Array, coefficients: NDArray[np.floating], model: str = "") -> tuple[Array, Array]:
    """Return the directions that land at (x, y), by Newton's method; NaN where the camera sees none."""
    if model.lower() in FISHEYE:
        return _undo_fisheye(x, y, _padded(coefficients, 4))
    if not np.any(coefficients):
        return x, y
    return _undo_brown(x, y, _padded(coefficients, 8))


def _padded(coefficients: NDArray[np.floating], count: int) -> tuple[float, ...]:
    values = [float(k) for k in np.ravel(coefficients)[:count]]
    return (*values, *[0.0] * (count - len(values)))


# --- Brown -------------------------------------------------------------------------------------------


def _brown(x: Array, y: Array, k: tuple[float, ...]) -> tuple[Array, Array]:
    k1, k2, p1, p2, k3, k4, k5, k6 = k
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def _undo_brown(x0: Array, y0: Array, k: tuple[float, ...]) -> tuple[Array, Array]:
    """Newton from the distorted point, held inside the radius that the polynomial covers."""
    farthest = 0.999 * min(_brown_limit(k), 1e6) ** 0.5
    x, y, e = x0, y0, _DERIVATIVE_STEP
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            shrink = np.minimum(1.0, farthest / np.hypot(x, y).clip(1e-12))
            x, y = x * shrink, y * shrink
            u, v = _brown(x, y, k)
            if not (np.hypot(u - x0, v - y0) > 1e-12).any():
                break
            (ux, vx), (uy, vy) = _brown(x + e, y, k), _brown(x, y + e, k)
            a, b, c, d = (ux - u) / e, (uy - u) / e, (vx - v) / e, (vy - v) / e
            determinant = a * d - b * c
            x = x + (d * (x0 - u) - b * (y0 - v)) / determinant
            y = y + (a * (y0 - v) - c * (x0 - u)) / determinant
        back_x, back_y = _brown(x, y, k)
        converged = (np.hypot(back_x - x0, back_y - y0) < 1e-6) & (x * x + y * y < _brown_limit(k))
    return np.where(converged, x, np.nan), np.where(converged, y, np.nan)


@lru_cache(maxsize=64)
def _brown_limit(k: tuple[float, ...]) -> float:
    """Return the squared radius up to which the distorted radius grows."""
    k1, k2, _, _, k3, k4, k5, k6 = k
    numerator, denominator = np.poly1d([k3, k2, k1, 1.0]), np.poly1d([k6, k5, k4, 1.0])
    growth = numerator + np.poly1d([2.0, 0.0]) * numerator.deriv()
    # d/dr (r N / D) has the sign of (N + 2 r2 N') D - 2 r2 N D', with derivatives by r2.
    slope = growth * denominator - np.poly1d([2.0, 0.0]) * numerator * denominator.deriv()
    return _first_positive(np.concatenate([slope.roots, denominator.roots]))


# --- fisheye -----------------------------------------------------------------------------------------


def _bent(angle: Array, k: tuple[float, ...]) -> Array:
    a2 = angle * angle
    return angle * (1 + a2 * (k[0] + a2 * (k[1] + a2 * (k[2] + a2 * k[3]))))


def _undo_fisheye(x0: Array, y0: Array, k: tuple[float, ...]) -> tuple[Array, Array]:
    bent = np.hypot(x0, y0)
    largest = min(_fisheye_limit(k) ** 0.5, np.pi / 2)
    angle = np.minimum(bent, 0.999 * largest)
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            a2 = angle * angle
            slope = 1 + a2 * (3 * k[0] + a2 * (5 * k[1] + a2 * (7 * k[2] + a2 * 9 * k[3])))
            angle = np.clip(angle - (_bent(angle, k) - bent) / slope, 0.0, 0.99999 * largest)
        converged = np.abs(_bent(angle, k) - bent) < 1e-6
    scale = np.where(bent > 1e-9, np.tan(angle) / np.maximum(bent, 1e-9), 1.0)
    return np.where(converged, x0 * scale, np.nan), np.where(converged, y0 * scale, np.nan)


@lru_cache(maxsize=64)
def _fisheye_limit(k: tuple[float, ...]) -> float:
    """Return the squared angle up to which the distorted angle grows."""
    return _first_positive(np.poly1d([9 * k[3], 7 * k[2], 5 * k[1], 3 * k[0], 1.0]).roots)


def _first_positive(roots: NDArray[np.inexact]) -> float:
    positive = roots.real[(np.abs(roots.imag) < 1e-9 * np.maximum(1.0, np.abs(roots))) & (roots.real > 0)]
    return float(positive.min()) if positive.size else float("inf")
