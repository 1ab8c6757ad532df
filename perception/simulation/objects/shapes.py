"""Solids that objects of the simulated world are built from, and the points that outline them.

Every solid is convex, or (a ring) a union of convex pieces. The outline of a solid in an image is then the
convex hull of its projected points, so truth needs no rendering of each object alone.
Frames: x forward, y left, z up; a figure stands on z = 0 at its own origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from perception.geometry import Matrix, rotation_from_quaternion

Shape = Literal["box", "cylinder", "capsule", "ellipsoid", "hull", "ring"]
Finish = Literal["matte", "satin", "gloss", "glow"]
Vec3 = tuple[float, float, float]
Quat = tuple[float, float, float, float]

RING_PIECES = 16


@dataclass(frozen=True, slots=True)
class Solid:
    """A convex solid of a figure, or a ring.

    Attributes:
        size: Half sizes in metres: box (x, y, z), ellipsoid (x, y, z), cylinder and capsule
            (radius, half length along z), ring (outer radius, inner radius, half width along y).
        quat: Orientation w, x, y, z.
        points: Corners of a hull.
        joint: Name of the joint that moves it; empty: it does not move within the figure.
    """

    shape: Shape
    size: tuple[float, ...]
    pos: Vec3
    rgb: Vec3
    quat: Quat = (1.0, 0.0, 0.0, 0.0)
    finish: Finish = "matte"
    points: tuple[Vec3, ...] = ()
    joint: str = ""


@dataclass(frozen=True, slots=True)
class Joint:
    """A hinge about the y axis through `pivot`."""

    name: str
    pivot: Vec3


@dataclass(frozen=True, slots=True)
class Figure:
    """An object: its solids, its joints, and the size of the box around it at rest.

    `label` is its class in the truth, or empty for scenery. `size_m` is length, width, height.
    """

    label: str
    parts: tuple[Solid, ...]
    size_m: Vec3
    joints: tuple[Joint, ...] = ()

    @property
    def radius_m(self) -> float:
        """Return the radius of the circle around the footprint."""
        return 0.5 * float(np.hypot(self.size_m[0], self.size_m[1]))


def box(
    pos: Vec3, size: Vec3, rgb: Vec3, finish: Finish = "matte", joint: str = "", yaw: float = 0.0
) -> Solid:
    """Return a box by its centre and full sizes."""
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    return Solid("box", half, pos, rgb, about_z(yaw), finish, joint=joint)


def bar(a: Vec3, b: Vec3, radius: float, rgb: Vec3, finish: Finish = "matte", joint: str = "") -> Solid:
    """Return a capsule from point `a` to point `b`."""
    middle, quat, length = _between(a, b)
    return Solid("capsule", (radius, length / 2), middle, rgb, quat, finish, joint=joint)


def rod(a: Vec3, b: Vec3, radius: float, rgb: Vec3, finish: Finish = "matte") -> Solid:
    """Return a cylinder from point `a` to point `b`."""
    middle, quat, length = _between(a, b)
    return Solid("cylinder", (radius, length / 2), middle, rgb, quat, finish)


def ball(pos: Vec3, half: Vec3, rgb: Vec3, finish: Finish = "matte", joint: str = "") -> Solid:
    """Return an ellipsoid by its centre and half sizes."""
    return Solid("ellipsoid", half, pos, rgb, finish=finish, joint=joint)


def hull(points: Sequence[Vec3], rgb: Vec3, finish: Finish = "matte", joint: str = "") -> Solid:
    """Return the convex hull of points in the figure's frame."""
    return Solid("hull", (), (0.0, 0.0, 0.0), rgb, finish=finish, points=tuple(points), joint=joint)


def frustum(
    z0: float, r0: float, z1: float, r1: float, rgb: Vec3, finish: Finish = "matte", sides: int = 18
) -> Solid:
    """Return a truncated cone about the figure's z axis, from height `z0` to `z1`."""
    angles = np.arange(sides) * (2 * np.pi / sides)
    rings = [(r * float(np.cos(a)), r * float(np.sin(a)), z) for z, r in ((z0, r0), (z1, r1)) for a in angles]
    return hull(rings, rgb, finish)


def extruded(
    profile: Sequence[tuple[float, float]],
    half_width: float,
    rgb: Vec3,
    finish: Finish = "gloss",
    inset: float = 0.0,
) -> Solid:
    """Extrude a convex side view (x, z) along y; `inset` narrows its top on each side, in m."""
    top, bottom = max(z for _, z in profile), min(z for _, z in profile)
    points: list[Vec3] = []
    for x, z in profile:
        half = half_width - inset * (z - bottom) / max(top - bottom, 1e-6)
        points += [(x, half, z), (x, -half, z)]
    return hull(points, rgb, finish)


def about_z(angle: float) -> Quat:
    """Return the quaternion (w, x, y, z) of a rotation about z."""
    return (float(np.cos(angle / 2)), 0.0, 0.0, float(np.sin(angle / 2)))


def mirrored_solid(solid: Solid) -> Solid:
    """Return the solid with left and right exchanged."""
    (px, py, pz), (w, x, y, z) = solid.pos, solid.quat
    points = tuple((x, -y, z) for x, y, z in solid.points)
    return replace(solid, pos=(px, -py, pz), quat=(w, -x, y, -z), points=points)


def both_sides(*left: Solid) -> list[Solid]:
    """Return the solids of the left side, then their mirror images on the right."""
    return [*left, *(mirrored_solid(solid) for solid in left)]


def mirrored_figure(figure: Figure) -> Figure:
    """Return the figure with left and right exchanged."""
    joints = tuple(Joint(j.name, (j.pivot[0], -j.pivot[1], j.pivot[2])) for j in figure.joints)
    return replace(figure, parts=tuple(mirrored_solid(p) for p in figure.parts), joints=joints)


def turned_figure(figure: Figure, quat: Quat, lift_m: float, size_m: Vec3) -> Figure:
    """Return the figure rotated by `quat` about its origin, then lifted; `size_m` is its new box."""
    rotation = rotation_from_quaternion(quat[1], quat[2], quat[3], quat[0])
    parts = []
    for part in figure.parts:
        if part.shape == "hull":
            points = np.asarray(part.points).reshape(-1, 3) @ rotation.T + (0.0, 0.0, lift_m)
            parts.append(replace(part, points=_tuples(points)))
        else:
            pos = rotation @ np.asarray(part.pos) + (0.0, 0.0, lift_m)
            parts.append(replace(part, pos=_tuples(pos[None])[0], quat=_product(quat, part.quat)))
    return replace(figure, parts=tuple(parts), size_m=size_m)


def posed_figure(figure: Figure, turns: Mapping[str, Quat]) -> Figure:
    """Return the figure without joints, its limbs turned about their pivots by quaternions (w, x, y, z)."""
    pivots = {joint.name: np.asarray(joint.pivot) for joint in figure.joints}
    parts = []
    for part in figure.parts:
        if part.joint not in turns:
            parts.append(replace(part, joint=""))
            continue
        w, x, y, z = turns[part.joint]
        pivot = pivots[part.joint]
        pos = pivot + rotation_from_quaternion(x, y, z, w) @ (np.asarray(part.pos) - pivot)
        quat = _product(turns[part.joint], part.quat)
        parts.append(replace(part, pos=_tuples(pos[None])[0], quat=quat, joint=""))
    return replace(figure, parts=tuple(parts), joints=())


def outline_pieces(part: Solid) -> list[Matrix]:
    """Return the points [N, 3] of each convex piece of a solid, before its pos and quat apply."""
    if part.shape == "box":
        signs = np.array([(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)], float)
        return [signs * part.size]
    if part.shape == "hull":
        return [np.asarray(part.points, float)]
    if part.shape == "ellipsoid":
        return [_SPHERE * part.size]
    if part.shape == "ring":
        return ring_pieces(part.size)
    radius, half = part.size
    up = np.array([0.0, 0.0, half])
    if part.shape == "capsule":
        ball_points = _SPHERE * radius
        return [np.concatenate([ball_points + up, ball_points - up])]
    angles = np.arange(24) * (2 * np.pi / 24)
    circle = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.zeros(24)], axis=1)
    return [np.concatenate([circle + up, circle - up])]


def ring_pieces(size: tuple[float, ...]) -> list[Matrix]:
    """Return the corners [8, 3] of each convex piece of a ring in the xz plane."""
    outer, inner, half = size
    pieces = []
    for k in range(RING_PIECES):
        a, b = (2 * np.pi * (k + j) / RING_PIECES for j in (0, 1))
        corners = [
            (r * np.cos(t), y, r * np.sin(t)) for y in (-half, half) for t in (a, b) for r in (inner, outer)
        ]
        pieces.append(np.array(corners))
    return pieces


def _sphere_points() -> Matrix:
    """Return points just outside the unit sphere, so that their hull fits the sphere on average."""
    rows = [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]
    for elevation in np.deg2rad([-60.0, -30.0, 0.0, 30.0, 60.0]):
        count = 14 if abs(elevation) < 0.1 else 12 if abs(elevation) < 0.6 else 7
        turn = np.arange(count) * (2 * np.pi / count)
        flat, z = float(np.cos(elevation)), float(np.sin(elevation))
        rows += [(flat * float(np.cos(a)), flat * float(np.sin(a)), z) for a in turn]
    return np.array(rows) * 1.012


_SPHERE = _sphere_points()


def _between(a: Vec3, b: Vec3) -> tuple[Vec3, Quat, float]:
    """Return the middle of the line from `a` to `b`, the rotation of z onto it, and its length."""
    start, end = np.asarray(a, float), np.asarray(b, float)
    along = end - start
    length = float(np.linalg.norm(along))
    z = along / max(length, 1e-9)
    # The shortest rotation that takes the z axis onto the line.
    w = 1.0 + z[2]
    quat = np.array([w, -z[1], z[0], 0.0]) if w > 1e-6 else np.array([0.0, 1.0, 0.0, 0.0])
    quat /= np.linalg.norm(quat)
    middle = (start + end) / 2
    return _tuples(middle[None])[0], (float(quat[0]), float(quat[1]), float(quat[2]), float(quat[3])), length


def _product(a: Quat, b: Quat) -> Quat:
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def _tuples(points: Matrix) -> tuple[Vec3, ...]:
    return tuple((float(x), float(y), float(z)) for x, y, z in points)
