"""Synthetic samples for the conformance check of a plugin, and broken ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from perception.geometry import TransformTree
from perception.types import (
    SENSORS,
    CameraFrame,
    CameraInfo,
    Input,
    RangeScan,
    Rig,
    Sample,
    StatusWindow,
    Tick,
)

STATUS = ("speed", "yaw_rate", "acceleration")
RATE_HZ = 10.0
WIDTH, HEIGHT = 320, 240
START_NS = 1_700_000_000_000_000_000

# The camera looks along the scanner's x axis: optical x right, y down, z forward.
_CAMERA_FROM_SCANNER = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


def drawn_samples(
    count: int,
    status: tuple[str, ...] = STATUS,
    steps: int = 16,
    rate_hz: float = 20.0,
    tick_hz: float = RATE_HZ,
) -> list[Sample]:
    """Return samples of a drive past one bright box: JPEG images, scans, status windows, and a known rig."""
    intrinsics = np.array([[200.0, 0, WIDTH / 2], [0, 200.0, HEIGHT / 2], [0, 0, 1]])
    calibration = CameraInfo(
        "/calibration", START_NS, START_NS, "camera", WIDTH, HEIGHT, intrinsics, np.zeros(5)
    )
    rig = Rig(calibration, TransformTree({"scanner": ("camera", _CAMERA_FROM_SCANNER)}))
    return [_sample(i, round(i * 1e9 / tick_hz), rig, status, steps, rate_hz) for i in range(count)]


def _sample(
    index: int, since_ns: int, rig: Rig, status: tuple[str, ...], steps: int, rate_hz: float
) -> Sample:
    stamp = START_NS + since_ns
    distance, left = 12.0 - 0.2 * (index % 40), 2.0 - 0.1 * (index % 40)
    times = since_ns / 1e9 - np.arange(steps)[::-1] / rate_hz
    values = np.stack(
        [np.sin(times + channel) + 2.0 * (channel == 0) for channel in range(len(status))], axis=1
    )
    return Sample(
        Tick(index, "reference", stamp, stamp + 5_000_000),
        Input("camera", "/image", _image(stamp, distance, left), stamp, 0.0),
        Input("range", "/scan", _scan(stamp, distance, left), stamp, 0.0),
        Input("status", "/status", StatusWindow(stamp, status, values), stamp, 0.0),
        rig,
    )


def _image(stamp: int, distance: float, left: float) -> CameraFrame:
    import cv2

    columns = np.linspace(20, 90, WIDTH, dtype=np.uint8)
    pixels = np.repeat(np.tile(columns, (HEIGHT, 1))[:, :, None], 3, axis=2)
    u, v, half = WIDTH / 2 - 200.0 * left / distance, HEIGHT / 2, 200.0 * 0.8 / distance
    box = [round(x) for x in (u - half, v - half, u + half, v + half)]
    cv2.rectangle(pixels, (box[0], box[1]), (box[2], box[3]), (250, 250, 250), -1)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    return CameraFrame("/image", stamp, stamp, "camera", data, "jpeg", WIDTH, HEIGHT)


def _scan(stamp: int, distance: float, left: float) -> RangeScan:
    bearing = np.linspace(-0.7, 0.7, 141)
    hit = np.abs(distance * np.tan(bearing) - left) < 0.8
    ranges = np.where(hit, distance / np.cos(bearing), 25.0)
    ranges[::20] = np.nan  # every scanner misses some
    points = np.stack([ranges * np.cos(bearing), ranges * np.sin(bearing), np.zeros_like(bearing)], axis=1)
    return RangeScan("/scan", stamp, stamp, "scanner", points.astype(np.float32))


def subsets(sample: Sample) -> Iterator[tuple[tuple[str, ...], Sample]]:
    """Yield the sample with every subset of its sensors, from all to none."""
    for size in range(len(SENSORS), -1, -1):
        for kept in combinations(SENSORS, size):
            gone = {name: "left out" for name in SENSORS if name not in kept}
            yield kept, sample.with_absent(gone)


def garbage(sample: Sample) -> Iterator[tuple[str, str, bool, Sample]]:
    """Yield broken inputs, each alone: (description, sensor, whether nothing of it is usable, sample)."""
    frame, scan, window = sample.camera.value, sample.range.value, sample.status.value
    noise = np.random.default_rng(0).bytes(4096)
    if frame is not None:
        for description, unusable, broken in (
            ("an image of random bytes", True, replace(frame, data=noise, format="jpeg")),
            ("an image without bytes", True, replace(frame, data=b"", format="jpeg")),
            ("half an image", False, replace(frame, data=bytes(frame.data[: len(frame.data) // 2]))),
            ("raw pixels that are too few", True, replace(frame, data=noise, format="rgb8", step=960)),
        ):
            yield description, "camera", unusable, _only(sample, "camera", broken)
    if scan is not None:
        points = scan.points_m
        for description, unusable, bad in (
            ("a scan of NaN", True, np.full_like(points, np.nan)),
            ("a scan of infinities", True, np.full_like(points, np.inf)),
            ("an empty scan", True, points[:0]),
            ("ranges beyond belief", False, np.full_like(points, 1e30)),
        ):
            broken_scan = RangeScan(scan.topic, scan.stamp_ns, scan.log_time_ns, scan.frame_id, bad)
            yield description, "range", unusable, _only(sample, "range", broken_scan)
    if window is not None:
        for description, unusable, values in (
            ("a status of NaN", True, np.full_like(window.values, np.nan)),
            ("a status beyond belief", False, np.full_like(window.values, 1e30)),
        ):
            yield description, "status", unusable, _only(sample, "status", replace(window, values=values))


def _only(sample: Sample, name: str, value: object) -> Sample:
    broken = replace(getattr(sample, name), value=value)
    alone = sample.with_absent({other: "left out" for other in SENSORS if other != name})
    return replace(alone, **{name: broken})
