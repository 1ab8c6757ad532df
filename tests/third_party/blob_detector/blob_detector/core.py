"""Bright blobs in the image are objects; the scan says how far; the status says how the vehicle moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.geometry import project, transform_points
from perception.plugin import Context, Manifest, Plugin, Prepared
from perception.types import (
    CameraFrame,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Output,
    Reset,
    Sample,
)

MEMORY_NS = 500_000_000  # preroll_s of the manifest: acceleration is the median over this long


class BlobDetector(Plugin):
    """Options: `threshold`, the grey value from which a pixel is bright (default 200)."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._threshold = 200.0
        self._names: tuple[str, ...] = ()
        self._accelerations: deque[tuple[int, float]] = deque()

    def open(self, context: Context) -> None:
        self._threshold = float(context.options.get("threshold", 200.0))
        self._names = context.status
        self._accelerations.clear()

    def prepare(self, sample: Sample) -> Prepared:
        """The grey image, where there is one that decodes."""
        absent: dict[str, str] = {}
        grey = None
        if sample.camera.value is not None:
            grey = decoded_grey(sample.camera.value)
            if grey is None:
                absent["camera"] = "the image does not decode"
        if sample.range.value is not None and not np.isfinite(sample.range.value.points_m).all(axis=1).any():
            absent["range"] = "no finite return"
        return Prepared(sample.with_absent(absent), grey)

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return [self._output(item.sample, item.payload) for item in prepared]

    def reset(self, reason: Reset) -> None:
        self._accelerations.clear()

    def describe(self) -> Mapping[str, str]:
        return {"backend": "opencv", "precision": "uint8", "device": "cpu"}

    def _output(self, sample: Sample, grey: NDArray[np.uint8] | None) -> Output:
        return Output(sample.tick, self._detections(sample, grey), self._control(sample))

    def _detections(self, sample: Sample, grey: NDArray[np.uint8] | None) -> Detections:
        if grey is None:
            return Detections(False, error=sample.camera.reason)
        pixels, distances = _returns(sample)
        items = []
        for item in bright_boxes(grey, self._threshold, "blob"):
            inside = (pixels[:, 0] >= item.xyxy[0]) & (pixels[:, 0] < item.xyxy[2])
            distance_m, std_m = _distance(distances[inside])
            items.append(replace(item, box_std=(1.0,) * 4, distance_m=distance_m, distance_std_m=std_m))
        based_on = ("camera", "range") if len(distances) else ("camera",)
        return Detections(True, based_on, items=tuple(items))

    def _control(self, sample: Sample) -> Control:
        window = sample.status.value
        if window is None or not np.isfinite(window.values[-1]).all():
            return Control(False, error=sample.status.reason or "the newest status is not a number")
        now = dict(zip(window.names, window.values[-1].tolist(), strict=True))
        memory = self._accelerations
        memory.append((sample.tick.stamp_ns, now.get("acceleration", 0.0)))
        while memory[0][0] < sample.tick.stamp_ns - MEMORY_NS:
            memory.popleft()
        curvature = now.get("yaw_rate", 0.0) / max(abs(now.get("speed", 0.0)), 1.0)
        acceleration = float(np.median([value for _, value in memory]))
        channels = (
            ControlChannel("curvature", "1/m", curvature, 0.05),
            ControlChannel("acceleration", "m/s2", acceleration, 0.5),
        )
        return Control(True, ("status",), channels=channels)


def bright_boxes(grey: NDArray[np.uint8], threshold: float, label: str) -> list[Detection]:
    """Return the boxes of bright blobs, highest score first: how full a box is. All else is unknown."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((grey >= threshold).astype(np.uint8))
    items = [
        Detection(label, area / (width * height), tuple(map(float, (x, y, x + width, y + height))))
        for x, y, width, height, area in stats[1:count].tolist()
        if area >= 16
    ]
    return sorted(items, key=lambda item: -item.score)


def decoded_grey(frame: CameraFrame) -> NDArray[np.uint8] | None:
    data = np.frombuffer(frame.data, np.uint8)
    if frame.format in ("jpeg", "png", "webp"):
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if frame.format in ("rgb8", "bgr8") and data.size == frame.height * frame.step:
        pixels = data.reshape(frame.height, frame.step)[:, : frame.width * 3]
        return np.ascontiguousarray(pixels.reshape(frame.height, frame.width, 3)[:, :, 1])
    return None


def _returns(sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels [N, 2] and distances [N] of the returns that the camera could see."""
    scan, rig = sample.range.value, sample.rig
    camera_from_scanner = rig.camera_from(scan.frame_id) if scan is not None else None
    if scan is None or rig.calibration is None or camera_from_scanner is None:
        return np.empty((0, 2)), np.empty(0)
    points = transform_points(camera_from_scanner, scan.points_m)
    points = points[np.isfinite(points).all(axis=1) & (np.abs(points) < 1e6).all(axis=1)]
    pixels = project(points, rig.calibration.intrinsics)
    seen = np.isfinite(pixels).all(axis=1)
    return pixels[seen], np.linalg.norm(points[seen], axis=1)


def _distance(distances: NDArray[np.float64]) -> tuple[float | None, float | None]:
    if not len(distances):
        return None, None  # unknown, which is a value
    return float(np.median(distances)), max(0.1, float(np.std(distances)))
