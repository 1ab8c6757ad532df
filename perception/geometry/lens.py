"""Lenses: how the direction (x, y, 1) before a camera lands at a distorted (x, y) on its plane, and back.

Two families, by the names that drivers and calibration tools use (in any case, with `_`, `-` or spaces):

- Brown (1966), as OpenCV orders it: k1, k2, p1, p2[, k3[, k4, k5, k6[, s1, s2, s3, s4[, tau_x, tau_y]]]],
  with thin prisms (s) and a sensor that is tilted against the lens (tau, rad; Louhichi et al. 2007); named
  `plumb_bob` or `rational_polynomial` (ROS, Foxglove), `radtan` (Kalibr), `brown_conrady` (RealSense, Azure
  Kinect), `OPENCV` (COLMAP), or not at all.
- Kannala and Brandt (2006), for fisheyes: k1, k2, k3, k4 on powers of the angle; named `equidistant` (ROS,
  RealSense), `equi` (Kalibr), `kannala_brandt` (Foxglove), `KannalaBrandt8` (ORB-SLAM3), `fisheye` (OpenCV).

Any other name is a pinhole where no coefficient differs from zero, unless it names a projection that is none
(`double_sphere`, `mei`, `fov`, ...): of such a camera nothing can be placed.

A polynomial holds up to the radius where it stops growing: beyond it, it would fold far-off points back into
the image. There, both ways give NaN.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BROWN = frozenset(
    {
        *("", "none", "plumb_bob", "rational_polynomial", "rational", "radtan", "radial_tangential"),
        *("pinhole_radtan", "brown", "brown_conrady", "opencv", "full_opencv", "opencv_full"),
    }
)
FISHEYE = frozenset(
    {
        *("equidistant", "equi", "pinhole_equi", "kannala_brandt", "kannala_brandt4", "kannala_brandt8"),
        *("kb4", "kb8", "fisheye", "opencv_fisheye"),
    }
)
_NO_PINHOLE = frozenset(
    {
        *("double_sphere", "ds", "ds_none", "eucm", "eucm_none", "extended_unified", "ucm", "unified", "mei"),
        *("omni", "omni_none", "omni_radtan", "omnidirectional", "catadioptric", "cata", "ocam"),
        *("fov", "pinhole_fov", "atan", "ftheta", "fisheye62", "fisheye624", "fisheye_polynomial"),
        *("equirectangular", "spherical", "panoramic", "cylindrical", "stereographic", "equisolid"),
        *("orthographic", "scaramuzza"),
    }
)
"""Models that bend the picture also where every coefficient is zero."""

_BROWN_COUNT = 14
_LARGEST_TILT = np.pi / 4
_NEWTON_STEPS = 25
_DERIVATIVE_STEP = 1e-6
_FARTHEST_SQUARE = 1e6  # the square of a radius that no direction before a camera is beyond
_LEAST_TERM = 1e-12  # a term of a polynomial whose constant is 1


def is_fisheye(model: str) -> bool:
    """Return whether a name is one of Kannala and Brandt's model."""
    return _plain(model) in _FISHEYE_NAMES


def lens_problem(model: str, coefficients: NDArray[np.floating]) -> str:
    """Return why points cannot be projected through a lens; empty where they can.

    An unknown model without distortion counts as a pinhole.
    """
    name, k = _plain(model), np.ravel(coefficients)
    if name in _NO_PINHOLE_NAMES or ("fisheye" in name and name not in _FISHEYE_NAMES):
        return f"the lens model {model!r} is not implemented"
    if name == "modifiedbrownconrady" and not np.any(k[2:4]):
        name = "plumbbob"  # they differ in the tangential part alone
    if name in _BROWN_NAMES | _FISHEYE_NAMES:
        count = 4 if name in _FISHEYE_NAMES else _BROWN_COUNT
        if np.any(k[count:]):
            return f"coefficients after the first {count} are not implemented"
        tilted = name in _BROWN_NAMES and bool(np.any(np.abs(k[12:14]) >= _LARGEST_TILT))
        return "the sensor is tilted by more than 45 degrees" if tilted else ""
    if np.any(k):
        known = "plumb_bob, rational_polynomial, radtan, equidistant, kannala_brandt"
        return f"the lens model {model!r} is not known, and it has coefficients; known are {known}"
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BROWN_NAMES, _FISHEYE_NAMES, _NO_PINHOLE_NAMES = (
    frozenset(map(_plain, names)) for names in (BROWN, FISHEYE, _NO_PINHOLE)
)


def distort(x: Array, y: Array, coefficients: NDArray[np.floating], model: str = "") -> tuple[Array, Array]:
    """Return where the directions (x, y, 1) land; NaN where the polynomial does not hold."""
    if is_fisheye(model):
        k = _padded(coefficients, 4)
        r = np.hypot(x, y)
        angle = np.arctan(r)
        angle = np.where(angle * angle < _fisheye_limit(k), angle, np.nan)
        scale = np.where(r > 1e-9, _bent(angle, k) / np.maximum(r, 1e-9), 1.0)
        return x * scale, y * scale
    if not np.any(coefficients):
        return x, y
    k = _padded(coefficients, _BROWN_COUNT)
    inside = x * x + y * y < _brown_limit(k[:8])
    return _brown(np.where(inside, x, np.nan), np.where(inside, y, np.nan), k)


def undistort(x: Array, y: Array, coefficients: NDArray[np.floating], model: str = "") -> tuple[Array, Array]:
    """Return the directions that land at (x, y), by Newton's method; NaN where the camera sees none."""
    if is_fisheye(model):
        return _undo_fisheye(x, y, _padded(coefficients, 4))
    if not np.any(coefficients):
        return x, y
    return _undo_brown(x, y, _padded(coefficients, _BROWN_COUNT))


def _padded(coefficients: NDArray[np.floating], count: int) -> tuple[float, ...]:
    values = [float(k) for k in np.ravel(coefficients)[:count]]
    return (*values, *[0.0] * (count - len(values)))


# --- Brown -------------------------------------------------------------------------------------------


def _brown(x: Array, y: Array, k: tuple[float, ...]) -> tuple[Array, Array]:
    k1, k2, p1, p2, k3, k4, k5, k6 = k[:8]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    if any(k[8:12]):
        s1, s2, s3, s4 = k[8:12]
        u, v = u + r2 * (s1 + r2 * s2), v + r2 * (s3 + r2 * s4)
    return _tilted(u, v, *k[12:]) if any(k[12:]) else (u, v)


def _tilted(x: Array, y: Array, tau_x: float, tau_y: float) -> tuple[Array, Array]:
    """Return where rays that land at (x, y) on a plane before the lens land on a sensor tilted against it."""
    about_x = np.array([[1, 0, 0], [0, np.cos(tau_x), np.sin(tau_x)], [0, -np.sin(tau_x), np.cos(tau_x)]])
    about_y = np.array([[np.cos(tau_y), 0, -np.sin(tau_y)], [0, 1, 0], [np.sin(tau_y), 0, np.cos(tau_y)]])
    turned = about_y @ about_x
    (a, b, c), (d, e, f), (g, h, i) = (
        np.array([[turned[2, 2], 0, -turned[0, 2]], [0, turned[2, 2], -turned[1, 2]], [0, 0, 1]]) @ turned
    )
    w = g * x + h * y + i
    w = np.where(w > 1e-9, w, np.nan)  # behind the sensor
    return (a * x + b * y + c) / w, (d * x + e * y + f) / w


def _undo_brown(x0: Array, y0: Array, k: tuple[float, ...]) -> tuple[Array, Array]:
    """Newton from the distorted point, held inside the radius that the polynomial covers."""
    limit = _brown_limit(k[:8])
    farthest = 0.999 * min(limit, 1e6) ** 0.5
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
        converged = (np.hypot(back_x - x0, back_y - y0) < 1e-6) & (x * x + y * y < limit)
    return np.where(converged, x, np.nan), np.where(converged, y, np.nan)


@lru_cache(maxsize=64)
def _brown_limit(k: tuple[float, ...]) -> float:
    """Return the squared radius up to which the distorted radius grows."""
    k1, k2, _, _, k3, k4, k5, k6 = k
    with np.errstate(all="ignore"):
        numerator, denominator = np.poly1d([k3, k2, k1, 1.0]), np.poly1d([k6, k5, k4, 1.0])
        growth = numerator + np.poly1d([2.0, 0.0]) * numerator.deriv()
        # d/dr (r N / D) has the sign of (N + 2 r2 N') D - 2 r2 N D', with derivatives by r2.
        slope = growth * denominator - np.poly1d([2.0, 0.0]) * numerator * denominator.deriv()
        return min(_first_root(slope), _first_root(denominator))


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
    with np.errstate(all="ignore"):
        return _first_root(np.poly1d([9 * k[3], 7 * k[2], 5 * k[1], 3 * k[0], 1.0]))


def _first_root(polynomial: np.poly1d) -> float:
    """Return the smallest positive root; infinite where there is none, 0 where it cannot be computed."""
    terms = polynomial.coeffs
    if not np.isfinite(terms).all():
        return 0.0
    # A leading term that is nothing anywhere in view (a denormal number, say) overflows the division by it.
    powers = np.arange(terms.size - 1, -1, -1)
    counts = np.abs(terms) * _FARTHEST_SQUARE**powers >= _LEAST_TERM
    try:
        roots = np.roots(terms[np.argmax(counts) :])
    except np.linalg.LinAlgError:
        return 0.0
    positive = roots.real[(np.abs(roots.imag) < 1e-9 * np.maximum(1.0, np.abs(roots))) & (roots.real > 0)]
    return float(positive.min()) if positive.size else float("inf")
