"""Small frames, scans and rigs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perception.geometry import TransformTree
from perception.types import CameraFrame, CameraInfo, RangeScan, Rig

# The camera sits 0.5 m above the scanner and looks along its x axis.
CAMERA_FROM_SCANNER = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0.5], [1, 0, 0, 0], [0, 0, 0, 1]])


def frame_of(
    data: bytes | memoryview, format: str = "jpeg", size: tuple[int, int] = (0, 0), step: int = 0
) -> CameraFrame:
    return CameraFrame("/image", 0, 0, "camera", data, format, size[0], size[1], step)


def encoded(image: np.ndarray, extension: str = ".jpg", options: Sequence[int] = ()) -> bytes:
    """An RGB image [h, w, 3] as bytes."""
    done, data = cv2.imencode(extension, np.ascontiguousarray(image[:, :, ::-1]), list(options))
    assert done
    return data.tobytes()


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A smooth colourful image with edges, [h, w, 3] RGB: each side of it looks different."""
    rng = np.random.default_rng(seed)
    small = rng.integers(30, 226, (5, 7, 3), dtype=np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.rectangle(image, (width // 5, height // 4), (width // 2, height // 2), (240, 20, 90), -1)
    return np.asarray(image)


def rig(
    width: int = 640, height: int = 480, distortion: Sequence[float] = (), model: str = "plumb_bob"
) -> Rig:
    intrinsics = np.array([[400.0, 0, width / 2], [0, 410.0, height / 2], [0, 0, 1]])
    calibration = CameraInfo(
        "/calibration",
        0,
        0,
        "camera",
        width,
        height,
        intrinsics,
        np.array(distortion, dtype=np.float64),
        model,
    )
    return Rig(calibration, TransformTree({"scanner": ("camera", CAMERA_FROM_SCANNER)}))


def scan_of(
    points: object, intensity: object = None, speed: object = None, frame_id: str = "scanner"
) -> RangeScan:
    as_floats = [
        None if given is None else np.asarray(given, dtype=np.float32) for given in (intensity, speed)
    ]
    return RangeScan("/scan", 0, 0, frame_id, np.asarray(points, dtype=np.float32), *as_floats)
