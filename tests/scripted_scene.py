"""A small log of a scripted drive down a street: the same seed gives the same bytes.

    python tests/scripted_scene.py OUT [--seed 0] [--seconds 10]

A vehicle follows a winding street past cars, persons and cones. Camera, planar scan and status see the
same world, each with its own latency and jitter of arrival; truth is exact. Everything is numpy and
OpenCV: no GL, about 7 ms a frame. Frames: `world` and `base_link` x forward, y left, z up; `camera` optical;
`laser` as `base_link`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from mcap_protobuf.schema import build_file_descriptor_set

from perception.logs.mcap.writer import LogWriter
from perception.logs.perception_proto import SCHEMAS, encode_control, encode_status, encode_truth
from perception.types import Channel, Control, ControlChannel, Message, Schema, Tick

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.scripted_camera import CAMERA_IN_BASE, Camera
from tests.scripted_street import AHEAD_S, Array, Street

START_NS = 1_700_000_000_000_000_000
"""Stamp of the first moment of every scene."""
LATENCY_MS = {"camera": (40.0, 8.0), "range": (12.0, 3.0), "status": (4.0, 1.0)}
"""Arrival after stamp: least, and the width of a uniform jitter on top."""

BEAMS, FIELD_OF_VIEW, MAX_RANGE_M, SCAN_HEIGHT_M = 361, np.deg2rad(270.0), 30.0, 0.45
LASER_IN_BASE = np.array([1.6, 0.0, SCAN_HEIGHT_M])


@dataclass(frozen=True, eq=False)
class Scene:
    """The world and who looks at it; compared by identity."""

    street: Street
    camera: Camera


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
    scene = _scene(seed, duration_s, image_size)
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


def forget_scenes() -> None:
    """Compute the next scenes anew: what was computed is kept for scenes of the same seed and length."""
    _scene.cache_clear()
    _each.cache_clear()


@lru_cache(maxsize=40)
def _scene(seed: int, duration_s: float, image_size: tuple[int, int]) -> Scene:
    street = Street(seed, duration_s)
    return Scene(street, Camera(street, image_size))


@lru_cache(maxsize=300)
def _each(
    scene: Scene,
    duration_s: float,
    rate_hz: float,
    topic: str,
    sensor: str | None,
    make: Callable[[Scene, float, int], tuple[bytes, Schema]],
) -> tuple[Row, ...]:
    """A message at every period. Arrival keeps the order of stamps, as a transport does."""
    rng = scene.street.rng(topic)
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
    return tuple(rows)


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
    clean = scene.camera.image(t)
    noise = np.empty(clean.shape, np.int16)
    cv2.setRNGSeed(scene.street.seed * 7919 + round(t * 1000))
    cv2.randn(noise, 0, 2)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])
    message = CompressedImage(frame_id="camera", format="jpeg", data=jpeg.tobytes())
    return _stamped(message, stamp_ns).SerializeToString(), IMAGE


def _calibration(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    k = scene.camera.intrinsics
    message = CameraCalibration(
        frame_id="camera",
        width=scene.camera.width,
        height=scene.camera.height,
        distortion_model="plumb_bob",
        D=[0.0] * 5,
        K=k.ravel(),
        R=np.eye(3).ravel(),
        P=np.hstack([k, np.zeros((3, 1))]).ravel(),
    )
    return _stamped(message, stamp_ns).SerializeToString(), CALIBRATION


def _transforms(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    message = FrameTransforms()
    x, y, heading = scene.street.place(scene.street.ego(t)[0], 0.0)
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
    noise = scene.street.rng(f"noise {stamp_ns}").normal(0.0, 0.015, BEAMS)
    intensity = np.array(
        [
            {"vehicle": 180.0, "person": 90.0, "cone": 230.0, "": 60.0}[thing.label]
            for thing in scene.street.things
        ]
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
    rotation, translation = scene.street.bodies(t)
    near = [
        i
        for i, thing in enumerate(scene.street.things)
        if thing.size[2] > SCAN_HEIGHT_M and np.hypot(*translation[i, :2]) < MAX_RANGE_M + 8
    ]
    half = np.array([thing.size[:2] for thing in scene.street.things])[near] / 2
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
    _, speed, acceleration, curvature = scene.street.ego(t)
    noise = scene.street.rng(f"status {stamp_ns}").normal(0.0, (0.02, 0.002, 0.05))
    values = np.array((speed, speed * curvature, acceleration)) + noise
    rows = zip(("speed", "yaw_rate", "acceleration"), ("m/s", "rad/s", "m/s2"), values.tolist(), strict=True)
    return encode_status(stamp_ns, rows), SCHEMAS["perception.Status"]


def _truth(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    return encode_truth(stamp_ns, "camera", scene.camera.boxes(t)), SCHEMAS["perception.Detections"]


def _control(scene: Scene, t: float, stamp_ns: int) -> tuple[bytes, Schema]:
    _, _, acceleration, curvature = scene.street.ego(t + AHEAD_S)
    channels = (
        ControlChannel("curvature", "1/m", curvature),
        ControlChannel("acceleration", "m/s2", acceleration),
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
