"""A small log of a scripted drive down a street: the same seed gives the same bytes.

    python tests/scripted_scene.py OUT [--seed 0] [--seconds 10]

A vehicle follows a winding street past cars, persons and cones. Camera, planar scan and status see the
same world, each with its own latency and jitter of arrival; truth is exact. Everything is numpy and
OpenCV: no GL, about 7 ms a frame. Frames: `world` and `base_link` x forward, y left, z up; `camera` optical;
`laser` as `base_link`. Places on the street are (s, lateral): metres along the path, metres to its left.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from mcap_protobuf.schema import build_file_descriptor_set

from perception.logs.own import SCHEMAS, encode_control, encode_status, encode_truth
from perception.logs.writer import LogWriter
from perception.messages import Channel, Message, Schema, Tick, TruthBox
from perception.outputs import Control, ControlChannel

Array = np.ndarray[Any, np.dtype[Any]]

START_NS = 1_700_000_000_000_000_000
"""Stamp of the first moment of every scene."""
AHEAD_S = 0.5
"""Control truth is what the driver commands this long after its stamp."""
LATENCY_MS = {"camera": (40.0, 8.0), "range": (12.0, 3.0), "status": (4.0, 1.0)}
"""Arrival after stamp: least, and the width of a uniform jitter on top."""

BEAMS, FIELD_OF_VIEW, MAX_RANGE_M, SCAN_HEIGHT_M = 361, np.deg2rad(270.0), 30.0, 0.45
CAMERA_IN_BASE, LASER_IN_BASE = np.array([0.6, 0.0, 1.35]), np.array([1.6, 0.0, SCAN_HEIGHT_M])
_NEAR_M = 0.25
_SUN = np.array([-0.45, 0.55, 0.70])
_HAZE = np.array([214, 205, 196])  # BGR, as all colours here
_OPTICAL = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])  # camera_from_base, rotation


@dataclass(frozen=True)
class Row:
    """One message of a scene before it is written. A `mutate` hook may replace, drop or double it."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    payload: bytes
    schema: Schema
    encoding: str = "protobuf"


Mutate = Callable[[Row], Iterable[Row]]


def write_scene(path: str | Path, **options: Any) -> Path:
    """Write the log of a scene (options: `scene_rows`) in order of arrival. Returns its path."""
    path = Path(path)
    about = {"seed": str(options.get("seed", 0)), "generator": "tests/scripted_scene.py"}
    with LogWriter(path, flush_by="log", metadata={"scene": about}) as log:
        for row in scene_rows(**options):
            log.write(
                row.topic,
                row.payload,
                schema=row.schema,
                encoding=row.encoding,
                log_time_ns=row.log_time_ns,
                publish_time_ns=row.stamp_ns,
            )
    return path


def scene_messages(**options: Any) -> list[Message]:
    """The scene (options: `scene_rows`) as messages in order of arrival, without a file."""
    channels: dict[str, Channel] = {}
    found = []
    for i, row in enumerate(scene_rows(**options)):
        if row.topic not in channels:
            channels[row.topic] = Channel(len(channels) + 1, row.topic, row.encoding, row.schema)
        found.append(Message(channels[row.topic], row.log_time_ns, row.stamp_ns, i, row.payload))
    return found


def scene_rows(
    *,
    seed: int = 0,
    duration_s: float = 6.0,
    camera_hz: float = 10.0,
    scan_hz: float = 20.0,
    status_hz: float = 100.0,
    image_size: tuple[int, int] = (512, 256),
    camera: bool = True,
    scan: bool = True,
    status: bool = True,
    truth: bool = True,
    silent: Mapping[str, tuple[float, float]] | None = None,
    mutate: Mutate | None = None,
) -> list[Row]:
    """All messages in order of arrival.

    Args:
        seed: Of the street, the traffic and the noise.
        duration_s: Stamps run from 0 to this, exclusive, after `START_NS`.
        camera_hz, scan_hz, status_hz: Rates; truth comes at the camera's.
        image_size: Width, height, pixels.
        camera, scan, status, truth: Whether these are in the log (calibration with the camera).
        silent: Sensor (`camera`, `range`, `status`) -> seconds from, to: stamps in there are left out.
        mutate: Called with every row; what it returns takes the row's place.
    """
    scene = Scene(seed, duration_s, image_size)
    rows: list[Row] = []
    rows += _each(scene, duration_s, 10.0, "/tf", None, _transforms)
    if camera:
        rows += _each(scene, duration_s, 1.0, "/camera/calibration", None, _calibration)
        rows += _each(scene, duration_s, camera_hz, "/camera/image", "camera", _image)
    if scan:
        rows += _each(scene, duration_s, scan_hz, "/scan", "range", _scan)
    if status:
        rows += _each(scene, duration_s, status_hz, "/vehicle/state", "status", _status)
    if truth:
        rows += _each(scene, duration_s, camera_hz, "/truth/detections", None, _truth)
        rows += _each(scene, duration_s, camera_hz, "/truth/control", None, _control)
    for name, (begin, end) in (silent or {}).items():
        topic = {"camera": "/camera/image", "range": "/scan", "status": "/vehicle/state"}[name]
        quiet = range(START_NS + round(begin * 1e9), START_NS + round(end * 1e9))
        rows = [row for row in rows if row.topic != topic or row.stamp_ns not in quiet]
    if mutate is not None:
        rows = [new for row in rows for new in mutate(row)]
    return sorted(rows, key=lambda row: row.log_time_ns)


def _each(
    scene: Scene,
    duration_s: float,
    rate_hz: float,
    topic: str,
    sensor: str | None,
    make: Callable[[Scene, float, int], tuple[bytes, Schema]],
) -> list[Row]:
    """A message at every period. Arrival keeps the order of stamps, as a transport does."""
    rng = scene.rng(topic)
    least_ms, jitter_ms = LATENCY_MS[sensor] if sensor else (0.5, 0.0)
    rows: list[Row] = []
    for i in range(int(np.ceil(duration_s * rate_hz - 1e-9))):
        t = i / rate_hz
        stamp_ns = START_NS + round(t * 1e9)
        log_time_ns = stamp_ns + round(1e6 * (least_ms + jitter_ms * rng.random()))
        if rows:
            log_time_ns = max(log_time_ns, rows[-1].log_time_ns + 1)
        payload, schema = make(scene, t, stamp_ns)
        rows.append(Row(topic, stamp_ns, log_time_ns, payload, schema))
    return rows


# --- the world -----------------------------------------------------------------------------------


@dataclass
class Thing:
    """A rigid body on the street, and the quads that it shows. Without a label it is scenery."""

    label: str
    place: tuple[float, float, float]  # s, lateral, heading against the street
    pace: tuple[float, float]  # m/s along s and lateral
    size: tuple[float, float, float] = (0.0, 0.0, 0.0)  # footprint and height, centred on the place
    quads: list[tuple[Array, Array, int]] = field(default_factory=list)  # [4, 3], BGR, layer

    def box(
        self, centre: tuple[float, float, float], size: tuple[float, float, float], bgr: Any, layer: int = 0
    ) -> Thing:
        """Add the six faces of a cuboid; `centre` z is that of its lower face."""
        signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
        corners = np.array(centre) + signs * np.array(size)
        for face in ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)):
            self.quads.append((corners[list(face)], np.array(bgr, float), layer))
        return self

    def panel(
        self, centre: tuple[float, float, float], across: Any, up: float, bgr: Any, layer: int
    ) -> Thing:
        """Add one upright face; `across` (x, y) runs along its lower edge, its front to the right of that."""
        lower = np.array(centre) + np.outer((-0.5, 0.5), (*across, 0.0))
        quad = np.concatenate([lower, lower[::-1] + np.array((0, 0, up))])
        self.quads.append((quad, np.array(bgr, float), layer))
        return self


def car(rng: np.random.Generator, place: tuple[float, float, float], pace: float) -> Thing:
    """About 4.4 m long, facing along its place's heading."""
    length, width, height = rng.uniform(4.0, 4.8), rng.uniform(1.75, 1.9), rng.uniform(1.42, 1.6)
    paint = np.array(
        [(52, 46, 172), (150, 92, 40), (214, 214, 218), (66, 60, 58), (70, 130, 62), (38, 150, 214)]
    )
    bgr = paint[rng.integers(len(paint))]
    thing = Thing("vehicle", place, (pace, 0.0), (length, width, height))
    thing.box((0, 0, 0.12), (0.9 * length, 0.9 * width, 0.2), (28, 28, 28))
    thing.box((0, 0, 0.26), (length, width, 0.56 * height - 0.26), bgr)
    thing.box(
        (-0.04 * length, 0, 0.56 * height), (0.56 * length, 0.86 * width, 0.38 * height), (92, 76, 62), 1
    )
    thing.box((-0.04 * length, 0, 0.94 * height), (0.50 * length, 0.84 * width, 0.06 * height), bgr, 2)
    for side in (-1, 1):
        for x in (-0.31 * length, 0.31 * length):
            thing.panel((x, side * (width / 2 + 0.02), 0.0), (-0.66 * side, 0), 0.62, (30, 30, 30), 1)
        thing.panel((-length / 2 - 0.02, side * 0.36 * width, 0.56), (0, -0.3), 0.15, (40, 36, 226), 1)
        thing.panel((length / 2 + 0.02, side * 0.34 * width, 0.52), (0, 0.36), 0.17, (214, 240, 248), 1)
    return thing


def person(rng: np.random.Generator, place: tuple[float, float, float], pace: tuple[float, float]) -> Thing:
    height = rng.uniform(1.55, 1.9)
    coat = rng.integers(30, 210, 3)
    thing = Thing("person", place, pace, (0.44, 0.5, height))
    for side in (-0.11, 0.11):
        thing.box((0, side, 0), (0.2, 0.18, 0.48 * height), coat // 3 + 20)
    thing.box((0, 0, 0.46 * height), (0.28, 0.46, 0.39 * height), coat, 1)
    return thing.box((0, 0, 0.86 * height), (0.2, 0.18, 0.14 * height), (132, 164, 208), 2)


def cone(place: tuple[float, float, float]) -> Thing:
    thing = Thing("cone", place, (0.0, 0.0), (0.4, 0.4, 0.78)).box((0, 0, 0), (0.4, 0.4, 0.05), (40, 40, 44))
    for i, width in enumerate((0.3, 0.25, 0.2, 0.15, 0.1)):
        bgr = (236, 236, 236) if i in (1, 3) else (24, 96, 240)
        thing.box((0, 0, 0.05 + 0.146 * i), (width, width, 0.146), bgr, i + 1)
    return thing


def building(rng: np.random.Generator, s: float, side: int) -> Thing:
    """A house with windows towards the street."""
    length, depth, height = rng.uniform(8, 11), 9.0, rng.uniform(6, 13)
    bgr = np.array([(150, 172, 190), (128, 142, 176), (176, 178, 170), (120, 150, 196)][rng.integers(4)])
    thing = Thing("", (s, side * (11.5 + depth / 2), 0.0), (0.0, 0.0), (length, depth, height))
    thing.box((0, 0, 0), (length, depth, height), bgr)
    y = -side * (depth / 2 + 0.02)
    for z in np.arange(1.0, height - 1.6, 2.7):
        for x in np.arange(-0.5 * length + 1.3, 0.5 * length - 0.8, 2.1):
            thing.panel((x + 0.55, y, z), (1.1 * side, 0), 1.5, (110, 92, 76), 1)
    return thing


def tree(rng: np.random.Generator, s: float, side: int) -> Thing:
    thing = Thing("", (s, side * 7.6, 0.0), (0.0, 0.0), (0.35, 0.35, 2.4))
    thing.box((0, 0, 0), (0.35, 0.35, 2.3), (58, 84, 104))
    green = np.array((62, 128, 84)) + rng.integers(-14, 15, 3)
    thing.box((0, 0, 2.0), (2.6, 2.6, 1.5), green, 1)
    return thing.box((0, 0, 3.5), (1.6, 1.6, 1.1), green + 14, 2)


class Scene:
    """Street, ego motion and traffic of one seed."""

    def __init__(self, seed: int, duration_s: float, image_size: tuple[int, int]) -> None:
        self.seed = seed
        self.width, self.height = image_size
        focal = 0.62 * self.width
        self.intrinsics = np.array([[focal, 0, self.width / 2], [0, focal, 0.44 * self.height], [0, 0, 1.0]])
        rng = self.rng("street")
        # Ego speed, integrated to the millisecond; commands are needed a little beyond the end.
        self._t = np.arange(0.0, duration_s + AHEAD_S + 1.0, 1e-3)
        phase = rng.uniform(0, 2 * np.pi, 5)
        self._acceleration = 0.9 * np.cos(0.9 * self._t + phase[0]) + 0.5 * np.cos(2.1 * self._t + phase[1])
        self._speed = 6.5 + np.cumsum(self._acceleration) * 1e-3
        self._s = np.cumsum(self._speed) * 1e-3
        # The street: curvature over s, integrated to heading and place.
        self._grid = np.arange(-40.0, self._s[-1] + 120.0, 0.05)
        self._curvature = 0.011 * np.sin(0.06 * self._grid + phase[2]) + 0.005 * np.sin(
            0.15 * self._grid + phase[3]
        )
        self._heading = np.cumsum(self._curvature) * 0.05
        self._x, self._y = np.cumsum(np.cos(self._heading)) * 0.05, np.cumsum(np.sin(self._heading)) * 0.05
        self.things = self._traffic(rng, duration_s)
        self._quads = np.concatenate([[q for q, _, _ in thing.quads] for thing in self.things])
        self._colours = np.concatenate([[c for _, c, _ in thing.quads] for thing in self.things])
        self._layers = np.concatenate([[layer for _, _, layer in thing.quads] for thing in self.things])
        self._owner = np.repeat(np.arange(len(self.things)), [len(thing.quads) for thing in self.things])
        self._seen: dict[float, list[TruthBox]] = {}

    def rng(self, purpose: str) -> np.random.Generator:
        """A stream of its own for each purpose: leaving one sensor out changes no other."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def _traffic(self, rng: np.random.Generator, duration_s: float) -> list[Thing]:
        end = float(self._s[-1]) + 70.0
        things = [car(rng, (15.0, 0.0, 0.0), float(self._s[-1] / self._t[-1]))]
        things += [car(rng, (s, 3.5, np.pi), -7.0) for s in np.arange(24.0, end + 7.0 * duration_s, 31.0)]
        for s in np.arange(9.0, end, 12.0):
            side = int(rng.choice([-1, 1]))
            lateral = -2.7 if side < 0 else 6.2
            if rng.random() < 0.5:
                things.append(
                    car(rng, (s + rng.uniform(-2, 2), lateral - 0.4 * (side < 0), np.pi * (side > 0)), 0.0)
                )
            else:
                things += [cone((s + 1.6 * i, -2.0 - 0.05 * i, 0.0)) for i in range(int(rng.integers(2, 5)))]
        for s in np.arange(6.0, end, 8.0):
            side = int(rng.choice([-1, 1]))
            lateral = -4.6 if side < 0 else 8.2
            away = int(rng.choice([-1, 1]))
            walk = (s + rng.uniform(-3, 3), lateral + rng.uniform(-0.5, 0.5), np.pi * (away < 0))
            things.append(person(rng, walk, (away * rng.uniform(0.8, 1.5), 0.0)))
        for s in np.arange(26.0, end, 38.0):  # somebody crosses before us, and is across when we come
            things.append(person(rng, (s, 3.2 - 0.2 * s, np.pi / 2), (0.0, 1.3)))
        for side in (-1, 1):
            things += [building(rng, s, side) for s in np.arange(-20.0, end + 20.0, 12.5)]
            things += [tree(rng, s + rng.uniform(-2, 2), side) for s in np.arange(-8.0, end, 14.0)]
        return things

    def place(self, s: Any, lateral: Any) -> tuple[Any, Any, Any]:
        """World x, y and street heading of a place on the street."""
        heading = np.interp(s, self._grid, self._heading)
        x = np.interp(s, self._grid, self._x) - np.sin(heading) * lateral
        return x, np.interp(s, self._grid, self._y) + np.cos(heading) * lateral, heading

    def ego(self, t: float) -> tuple[float, float, float, float]:
        """s, speed (m/s), acceleration (m/s2) and curvature (1/m) of the vehicle."""
        s, speed, acceleration = (
            float(np.interp(t, self._t, a)) for a in (self._s, self._speed, self._acceleration)
        )
        return s, speed, acceleration, float(np.interp(s, self._grid, self._curvature))

    def base_from_world(self, t: float) -> tuple[Array, Array]:
        """Rotation and translation."""
        x, y, heading = self.place(self.ego(t)[0], 0.0)
        rotation = _yaw(-heading)
        return rotation, -rotation @ np.array([x, y, 0.0])

    def bodies(self, t: float) -> tuple[Array, Array]:
        """Rotations [T, 3, 3] and translations [T, 3] `base_from_thing` of all things."""
        s, lateral, turn = np.array([thing.place for thing in self.things]).T
        pace = np.array([thing.pace for thing in self.things])
        x, y, heading = self.place(s + pace[:, 0] * t, lateral + pace[:, 1] * t)
        rotation, translation = self.base_from_world(t)
        yaw = _yaw(heading + turn)
        return rotation @ yaw, np.stack([x, y, np.zeros(len(x))], axis=1) @ rotation.T + translation

    def image(self, t: float) -> Array:
        """What the camera sees, BGR, without noise."""
        image, self._seen[t] = _render(self, t)
        return image

    def boxes(self, t: float) -> list[TruthBox]:
        """What is to be seen in the image, nearest first."""
        if t not in self._seen:
            self.image(t)
        return self._seen[t]


def _yaw(angle: Any) -> Array:
    """Rotations about z, [..., 3, 3]."""
    c, s = np.cos(angle), np.sin(angle)
    o, i = np.zeros_like(c), np.ones_like(c)
    return np.stack([np.stack([c, -s, o], -1), np.stack([s, c, o], -1), np.stack([o, o, i], -1)], -2)


# --- the camera ----------------------------------------------------------------------------------


def _render(scene: Scene, t: float) -> tuple[Array, list[TruthBox]]:
    image = _background(scene, t)
    rotation, translation = scene.bodies(t)
    own = scene._owner
    quads = np.einsum("nij,nkj->nki", rotation[own], scene._quads) + translation[own, None]  # base frame
    normals = np.cross(quads[:, 1] - quads[:, 0], quads[:, 2] - quads[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centres = quads.mean(1) - CAMERA_IN_BASE
    depth = np.linalg.norm(centres, axis=1)
    light = 0.62 + 0.38 * np.clip(normals @ (scene.base_from_world(t)[0] @ _SUN), -0.6, 1.0)
    haze = 1.0 - np.exp(-depth / 90.0)[:, None]
    colours = np.clip(scene._colours * light[:, None], 0, 255) * (1 - haze) + _HAZE * haze
    corners = (quads - CAMERA_IN_BASE) @ _OPTICAL.T
    facing = (
        (np.einsum("ni,ni->n", normals, centres) < 0) & (corners[:, :, 2].max(1) > _NEAR_M) & (depth < 75)
    )
    distance = np.linalg.norm(translation - CAMERA_IN_BASE, axis=1)
    order = np.lexsort((-depth, scene._layers, -distance[own]))
    drawn: dict[int, list[Array]] = {}
    ids = np.zeros((scene.height, scene.width), np.uint16)
    shown = order[facing[order]]
    for i, polygon in zip(shown, _pixels(scene, corners[shown]), strict=True):
        if polygon is None:
            continue
        cv2.fillConvexPoly(image, polygon, colours[i].tolist(), cv2.LINE_AA, 4)
        cv2.fillConvexPoly(ids, polygon, int(own[i]) + 1, cv2.LINE_8, 4)
        drawn.setdefault(int(own[i]), []).append(polygon)
    counts = np.bincount(ids.ravel(), minlength=len(scene.things) + 1)[1:]
    boxes = []
    for i, polygons in drawn.items():
        thing = scene.things[i]
        if thing.label and distance[i] < 60 and counts[i] > 0:
            centre = translation[i] + (0, 0, thing.size[2] / 2) - CAMERA_IN_BASE
            box = _truth_box(scene, i, polygons, int(counts[i]), float(np.linalg.norm(centre)))
            boxes += [box] if box else []
    return image, sorted(boxes, key=lambda box: box.distance_m)


def _truth_box(
    scene: Scene, i: int, polygons: list[Array], visible: int, distance_m: float
) -> TruthBox | None:
    """The projection clipped to the image, and the share of the own silhouette that nothing hides."""
    points = np.concatenate(polygons) / 16 + 0.5
    x1, y1 = np.clip(points.min(0), 0, (scene.width, scene.height))
    x2, y2 = np.clip(points.max(0), 0, (scene.width, scene.height))
    alone = np.zeros((scene.height, scene.width), np.uint8)
    for polygon in polygons:
        cv2.fillConvexPoly(alone, polygon, 1, cv2.LINE_8, 4)
    silhouette = cv2.countNonZero(alone)
    share = visible / silhouette if silhouette else 0.0
    if silhouette < 12 or share < 0.1 or x2 - x1 < 2 or y2 - y1 < 3:
        return None
    return TruthBox(
        scene.things[i].label, (float(x1), float(y1), float(x2), float(y2)), distance_m, share, str(i)
    )


def _pixels(scene: Scene, corners: Array) -> list[Array | None]:
    """Polygons [N, 4, 3] of the camera frame in OpenCV's fixed-point pixels; None: out of sight."""
    whole = corners[:, :, 2].min(1) >= _NEAR_M
    z = np.maximum(corners[:, :, 2:], _NEAR_M)
    fixed = _fixed_point(scene, corners[:, :, :2] / z)
    low, high = fixed.min(1), fixed.max(1)
    outside = (high < 0).any(1) | (low[:, 0] > 16 * scene.width) | (low[:, 1] > 16 * scene.height)
    return [
        (None if outside[i] else fixed[i]) if whole[i] else _cut(scene, corners[i])
        for i in range(len(corners))
    ]


def _cut(scene: Scene, corners: Array) -> Array | None:
    """One polygon without what lies before the near plane."""
    kept = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if a[2] >= _NEAR_M:
            kept.append(a)
        if (a[2] >= _NEAR_M) != (b[2] >= _NEAR_M):
            kept.append(a + (b - a) * (_NEAR_M - a[2]) / (b[2] - a[2]))
    if len(kept) < 3:
        return None
    found = np.array(kept)
    return _fixed_point(scene, found[:, :2] / found[:, 2:])


def _fixed_point(scene: Scene, rays: Array) -> Array:
    k = scene.intrinsics  # OpenCV counts from the centre of the first pixel
    uv = rays * (k[0, 0], k[1, 1]) + (k[0, 2] - 0.5, k[1, 2] - 0.5)
    return np.clip(np.rint(uv * 16), -(1 << 20), 1 << 20).astype(np.int32)


def _background(scene: Scene, t: float) -> Array:
    """Sky, ground, street, markings and shadows."""
    horizon = scene.intrinsics[1, 2]
    rows = np.arange(scene.height)[:, None]
    up = np.clip((horizon - rows) / horizon, 0, 1)
    sky = _HAZE * (1 - up) + np.array((206, 148, 96)) * up
    below = np.clip((rows - horizon) / (scene.height - horizon), 0, 1) ** 0.6
    ground = _HAZE * (1 - below) + np.array((86, 122, 112)) * below
    column = np.where(rows < horizon, sky, ground)
    image = np.ascontiguousarray(
        np.broadcast_to(column[:, None], (scene.height, scene.width, 3)).astype(np.uint8)
    )
    s0 = scene.ego(t)[0]
    steps = s0 + np.concatenate([np.arange(-1.0, 12.0, 1.0), np.arange(12.0, 78.0, 3.0)])
    for left, right, bgr in (
        (11.5, 7.2, (138, 142, 146)),
        (7.2, -3.7, (84, 82, 82)),
        (-3.7, -6.9, (138, 142, 146)),
    ):
        _strip(scene, t, image, steps, left, right, bgr, cv2.LINE_8)
    first = np.floor(s0 / 6.0) * 6.0
    dashes = np.arange(first, s0 + 60.0, 3.0)
    _strip(scene, t, image, dashes, 1.82, 1.68, (222, 226, 228), cv2.LINE_AA, every=2)
    for lateral in (7.1, -3.6):
        _strip(scene, t, image, steps, lateral + 0.08, lateral - 0.08, (196, 200, 204), cv2.LINE_AA)
    rotation, translation = scene.bodies(t)
    near = [i for i, thing in enumerate(scene.things) if thing.label and np.hypot(*translation[i, :2]) < 50]
    half = np.array([(*scene.things[i].size[:2], 0.0) for i in near]) / 2 + (0.08, 0.08, 0.0)
    feet = half[:, None] * np.array([(1, 1, 0), (-1, 1, 0), (-1, -1, 0), (1, -1, 0)])
    corners = np.einsum("nij,nkj->nki", rotation[near], feet) + translation[near][:, None]
    for polygon in _pixels(scene, (corners - CAMERA_IN_BASE) @ _OPTICAL.T):
        if polygon is not None:
            cv2.fillConvexPoly(image, polygon, (58, 56, 56), cv2.LINE_AA, 4)
    return image


def _strip(
    scene: Scene,
    t: float,
    image: Array,
    s: Array,
    left: float,
    right: float,
    bgr: Any,
    line: int,
    every: int = 1,
) -> None:
    """A band of the ground between two laterals; `every` 2: a broken line."""
    rotation, translation = scene.base_from_world(t)
    edges = []
    for lateral in (left, right):
        x, y, _ = scene.place(s, lateral)
        base = np.stack([x, y, np.zeros(len(x))], axis=1) @ rotation.T + translation
        edges.append((base - CAMERA_IN_BASE) @ _OPTICAL.T)
    a, b = edges
    haze = 1 - np.exp(-np.abs(a[:, 2:]) / 90.0)
    colours = (np.array(bgr) * (1 - haze) + _HAZE * haze).tolist()
    quads = np.stack([a[:-1], a[1:], b[1:], b[:-1]], axis=1)[::every]
    for polygon, colour in zip(_pixels(scene, quads), colours[:-1:every], strict=True):
        if polygon is not None:
            cv2.fillConvexPoly(image, polygon, colour, line, 4)


# --- the messages --------------------------------------------------------------------------------


def _schema(message: Any) -> Schema:
    data = build_file_descriptor_set(message).SerializeToString(deterministic=True)
    return Schema(message.DESCRIPTOR.full_name, "protobuf", data)


IMAGE, CALIBRATION, SCAN, TRANSFORMS = (
    _schema(message) for message in (CompressedImage, CameraCalibration, LaserScan, FrameTransforms)
)


def _stamped(message: Any, stamp_ns: int) -> Any:
    message.timestamp.seconds, message.timestamp.nanos = divmod(stamp_ns, 1_000_000_000)
    return message


def _image(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    clean = scene.image(t)
    noise = np.empty(clean.shape, np.int16)
    cv2.setRNGSeed(scene.seed * 7919 + round(t * 1000))
    cv2.randn(noise, 0, 2)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])
    message = CompressedImage(frame_id="camera", format="jpeg", data=jpeg.tobytes())
    return _stamped(message, stamp_ns).SerializeToString(), IMAGE


def _calibration(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    k = scene.intrinsics
    message = CameraCalibration(
        frame_id="camera",
        width=scene.width,
        height=scene.height,
        distortion_model="plumb_bob",
        D=[0.0] * 5,
        K=k.ravel(),
        R=np.eye(3).ravel(),
        P=np.hstack([k, np.zeros((3, 1))]).ravel(),
    )
    return _stamped(message, stamp_ns).SerializeToString(), CALIBRATION


def _transforms(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    message = FrameTransforms()
    x, y, heading = scene.place(scene.ego(t)[0], 0.0)
    turn = (0.0, 0.0, float(np.sin(heading / 2)), float(np.cos(heading / 2)))
    for parent, child, place, quaternion in (
        ("world", "base_link", (x, y, 0.0), turn),
        ("base_link", "camera", CAMERA_IN_BASE, (-0.5, 0.5, -0.5, 0.5)),
        ("base_link", "laser", LASER_IN_BASE, (0.0, 0.0, 0.0, 1.0)),
    ):
        edge = _stamped(message.transforms.add(parent_frame_id=parent, child_frame_id=child), stamp_ns)
        edge.translation.x, edge.translation.y, edge.translation.z = (float(v) for v in place)
        edge.rotation.x, edge.rotation.y, edge.rotation.z, edge.rotation.w = quaternion
    return message.SerializeToString(), TRANSFORMS


def _scan(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    ranges, hit = _cast(scene, t)
    noise = scene.rng(f"noise {stamp_ns}").normal(0.0, 0.015, BEAMS)
    intensity = np.array(
        [{"vehicle": 180.0, "person": 90.0, "cone": 230.0, "": 60.0}[thing.label] for thing in scene.things]
    )
    message = LaserScan(
        frame_id="laser",
        start_angle=-FIELD_OF_VIEW / 2,
        end_angle=FIELD_OF_VIEW / 2,
        ranges=ranges + noise,
        intensities=np.where(hit >= 0, intensity[hit], 0.0),
    )
    message.pose.orientation.w = 1.0
    return _stamped(message, stamp_ns).SerializeToString(), SCAN


def _cast(scene: Scene, t: float) -> tuple[Array, Array]:
    """Ranges [BEAMS] in metres (inf: no return) and the thing that was hit (-1: none)."""
    rotation, translation = scene.bodies(t)
    near = [
        i
        for i, thing in enumerate(scene.things)
        if thing.size[2] > SCAN_HEIGHT_M and np.hypot(*translation[i, :2]) < MAX_RANGE_M + 8
    ]
    half = np.array([thing.size[:2] for thing in scene.things])[near] / 2
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    corners = np.einsum("nij,nkj->nki", rotation[near][:, :2, :2], half[:, None] * signs)
    corners = corners + translation[near][:, None, :2] - LASER_IN_BASE[:2]
    begin = corners.reshape(-1, 2)
    along = np.roll(corners, -1, axis=1).reshape(-1, 2) - begin
    angles = np.linspace(-FIELD_OF_VIEW / 2, FIELD_OF_VIEW / 2, BEAMS)
    beam = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None]
    # Where beam * r = begin + along * q: two lines in the plane, by Cramer's rule.
    cross = beam[..., 0] * along[:, 1] - beam[..., 1] * along[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (begin[:, 0] * along[:, 1] - begin[:, 1] * along[:, 0]) / cross
        q = (begin[:, 0] * beam[..., 1] - begin[:, 1] * beam[..., 0]) / cross
    r = np.where((q >= 0) & (q <= 1) & (r > 0.1) & (r < MAX_RANGE_M), r, np.inf)
    nearest = r.argmin(axis=1)
    ranges = r[np.arange(BEAMS), nearest]
    return ranges, np.where(np.isfinite(ranges), np.array(near)[nearest // 4], -1)


def _status(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    _, speed, acceleration, curvature = scene.ego(t)
    noise = scene.rng(f"status {stamp_ns}").normal(0.0, (0.02, 0.002, 0.05))
    values = np.array((speed, speed * curvature, acceleration)) + noise
    rows = zip(("speed", "yaw_rate", "acceleration"), ("m/s", "rad/s", "m/s2"), values.tolist(), strict=True)
    return encode_status(stamp_ns, rows), SCHEMAS["perception.Status"]


def _truth(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    return encode_truth(stamp_ns, "camera", scene.boxes(t)), SCHEMAS["perception.Detections"]


def _control(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    _, _, acceleration, curvature = scene.ego(t + AHEAD_S)
    channels = (
        ControlChannel("curvature", "1/m", curvature, 0.0),
        ControlChannel("acceleration", "m/s2", acceleration, 0.0),
    )
    data = encode_control(Tick(0, "reference", stamp_ns, stamp_ns), Control(True, channels=channels))
    return data, SCHEMAS["perception.Control"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the log of a scripted drive.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    path = write_scene(given.out, seed=given.seed, duration_s=given.seconds)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
