"""Calibration files of KITTI as camera info and transforms.

Geiger et al. 2013, "Vision meets Robotics: The KITTI Dataset": a point of the laser scanner lies in
the rectified camera i at `P_rect_i R_rect_0 Tr_velo_to_cam x`; `P_rect_i` is K [I | K^-1 p4], so the camera
sits beside camera 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perception.geometry import Matrix
from perception.logs.formats import encoding
from perception.logs.formats.folder_files import read_file
from perception.types import Float64

BASE, SCANNER = "base_link", "velodyne"
_FILE_BYTES = 1 << 20

Calibration = Mapping[str, Float64]
"""The numbers of each key of a calibration file."""


def read_calibration(path: Path) -> Calibration:
    """Return the numbers of a file of lines `key: numbers`; lines of other content are left out.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too large.
    """
    numbers = {}
    for line in read_file(path, _FILE_BYTES).decode("latin-1").splitlines():
        key, _, text = line.partition(":")
        try:
            numbers[key.strip()] = np.array([float(word) for word in text.split()])
        except ValueError:
            continue  # the date of the calibration
    return numbers


def matrix_of(calibration: Calibration, key: str, rows: int, columns: int) -> Matrix | None:
    """Return a matrix [rows, columns]; None where it is missing or not finite."""
    values = calibration.get(key)
    if values is None or values.size != rows * columns or not np.isfinite(values).all():
        return None
    return values.reshape(rows, columns)


def rigid_of(calibration: Calibration) -> Matrix | None:
    """Return the transform [4, 4] of a file with R and T; None where it has none."""
    rotation, translation = matrix_of(calibration, "R", 3, 3), matrix_of(calibration, "T", 3, 1)
    return None if rotation is None or translation is None else stacked(np.hstack([rotation, translation]))


def stacked(upper: Matrix) -> Matrix:
    """Return [3, 3] or [3, 4] as a matrix [4, 4]."""
    full = np.eye(4)
    full[:3, : upper.shape[1]] = upper
    return full


def camera_from_scanner(projection: Matrix, rectification: Matrix, camera_0_from_scanner: Matrix) -> Matrix:
    """Return the transform [4, 4] into a rectified camera, of P_rect [3, 4], R_rect [3, 3], Tr [4, 4]."""
    beside = np.eye(4)
    beside[:3, 3] = np.linalg.solve(projection[:, :3], projection[:, 3])
    return beside @ stacked(rectification) @ camera_0_from_scanner


def rectified_info(stamp_ns: int, frame_id: str, size: tuple[int, int], projection: Matrix) -> bytes:
    """Return the camera info of a rectified picture: K is the left part of P, and there is no distortion."""
    k = projection[:, :3]
    return encoding.calibration(stamp_ns, frame_id, size, k)


def edges(scanner_from_base: Matrix | None, cameras: Mapping[str, Matrix]) -> list[tuple[str, str, Matrix]]:
    """Return the transforms (parent, child, pose) of the scanner and of cameras by frame.

    Args:
        scanner_from_base: From the IMU, which is the base; None: not known, the scanner is the base.
        cameras: Frame -> `camera_from_scanner`.
    """
    base_from_scanner = np.eye(4) if scanner_from_base is None else _inverse(scanner_from_base)
    rig: list[tuple[str, str, Matrix]] = [(BASE, SCANNER, base_from_scanner)]
    return rig + [(SCANNER, frame, _inverse(pose)) for frame, pose in cameras.items()]


def _inverse(pose: Matrix) -> Matrix:
    inverse: Matrix = np.linalg.inv(pose).astype(np.float64)
    return inverse
