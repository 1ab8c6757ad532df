"""Drives of KITTI raw: up to four cameras, a laser scanner, and GPS/IMU, each with its list of times.

Geiger et al. 2013, "Vision meets Robotics: The KITTI Dataset". The calibration stands beside the drives of a
day. The frame `base_link` is that of the GPS/IMU unit: x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from perception.errors import LogError
from perception.geometry import Matrix
from perception.logs.formats import encoding
from perception.logs.formats.folder_files import is_folder, read_file, total_size
from perception.logs.formats.kitti_calibration import (
    SCANNER,
    Calibration,
    camera_from_scanner,
    edges,
    matrix_of,
    read_calibration,
    rectified_info,
    rigid_of,
    stacked,
)
from perception.logs.formats.kitti_tracklets import tracklet_stream
from perception.logs.formats.numbered_files import NumberedFiles, timed_files
from perception.logs.formats.streams import (
    PICTURE_BYTES,
    Findings,
    Stream,
    fixed_stream,
    image_files,
    picture_size,
    points_stream,
    streams_log,
)
from perception.logs.message_table import TableLog
from perception.types import Float32

FORMAT = "KITTI raw drive"

POINT_FIELDS = ("x", "y", "z", "intensity")
_CAMERAS = tuple(f"image_0{i}" for i in range(4))
_SENSORS = (*_CAMERAS, "velodyne_points", "oxts")
_OXTS = (
    *("latitude", "longitude", "altitude", "roll", "pitch", "yaw", "velocity.north", "velocity.east"),
    *("speed", "velocity.left", "velocity.up", "body_acceleration.x", "body_acceleration.y"),
    *("body_acceleration.z", "acceleration", "level_acceleration.left", "level_acceleration.up"),
    *("body_rate.x", "body_rate.y", "body_rate.z", "level_rate.forward", "level_rate.left", "yaw_rate"),
    *("position_accuracy", "velocity_accuracy", "navstat", "satellites", "posmode", "velmode", "orimode"),
)
"""The 30 numbers of `dataformat.txt`: speed is vf, acceleration af, yaw_rate wu (m, s, rad)."""


def reads(path: Path) -> bool:
    """Return whether a path is the folder of a drive."""
    return is_folder(path) and any(is_folder(path / name / "data") for name in _SENSORS)


def open(path: Path) -> TableLog:
    """Open a drive. A file that is missing or cannot be read is damage.

    Raises:
        LogError: It has no message.
    """
    findings = Findings(size_bytes=total_size(path))
    streams = [*_motion(path, findings), *_scanner(path, findings)]
    cameras = {name: files for name in _CAMERAS if (files := _files(path, name, findings)).files}
    streams += [
        image_files(f"/{name}/image", files.stamps_ns, name, files.files) for name, files in cameras.items()
    ]
    if not streams:
        raise LogError(
            f"expected the files of a KITTI drive, found none in {path}; give the folder of a drive"
        )
    findings.proof = "the lines of timestamps.txt"
    findings.notes.append(
        "times say no zone and are taken as UTC; arrivals are not recorded: delays are not known"
    )
    streams += _tracklets(path, cameras, findings)
    rig = list(_rig(path, cameras, min(int(stream.stamps_ns.min()) for stream in streams), findings))
    return streams_log(path, [*rig, *streams], findings)


def _files(path: Path, name: str, findings: Findings) -> NumberedFiles:
    suffixes = {"velodyne_points": (".bin", ".txt"), "oxts": (".txt",)}.get(name, (".png", ".jpg", ".jpeg"))
    topic = {"velodyne_points": "/velodyne_points", "oxts": "/oxts"}.get(name, f"/{name}/image")
    folder = path / name
    if not is_folder(folder):
        return NumberedFiles([], np.empty(0, np.int64))
    return timed_files(folder / "data", suffixes, folder / "timestamps.txt", topic, findings)


def _motion(path: Path, findings: Findings) -> Iterator[Stream]:
    files = _files(path, "oxts", findings)

    def content(index: int) -> bytes:
        words = read_file(files.files[index], 1 << 16).split()
        if len(words) != len(_OXTS):
            raise ValueError(f"expected {len(_OXTS)} numbers of GPS/IMU, found {len(words)}")
        return encoding.numbers(int(files.stamps_ns[index]), dict(zip(_OXTS, map(float, words), strict=True)))

    if files.files:
        yield Stream("/oxts", encoding.json_schema("kitti.Oxts"), files.stamps_ns, content)


def _scanner(path: Path, findings: Findings) -> Iterator[Stream]:
    files = _files(path, "velodyne_points", findings)
    if files.files:
        load = lambda index: load_points(files.files[index])  # noqa: E731
        yield points_stream("/velodyne_points", files.stamps_ns, SCANNER, POINT_FIELDS, load)


def load_points(path: Path) -> Float32:
    """Return the returns [N, 4] of a file: x, y, z in m, and reflectance.

    Raises:
        OSError, ValueError: It cannot be read, or holds no whole number of returns.
    """
    data = read_file(path)
    if path.suffix == ".txt":
        values = np.array(data.split(), np.float32)
    elif len(data) % 16:
        raise ValueError(f"files of returns are cut off: {len(data)} bytes are no whole number of 16")
    else:
        values = np.frombuffer(data, "<f4")
    return values.reshape(-1, 4)


def _tracklets(path: Path, cameras: Mapping[str, NumberedFiles], findings: Findings) -> Iterator[Stream]:
    """Yield the cuboids of the frames, at the times of the scanner, else of a camera."""
    scans = _files(path, "velodyne_points", Findings())  # what is lost of them is counted already
    files = scans if scans.files else next(iter(cameras.values()), scans)
    numbers = [int(file.stem) if file.stem.isdecimal() else i for i, file in enumerate(files.files)]
    stream = tracklet_stream(path, numbers, files.stamps_ns, findings)
    if stream is not None:
        yield stream


def _rig(path: Path, cameras: Mapping[str, NumberedFiles], at: int, findings: Findings) -> Iterator[Stream]:
    """Yield the camera infos and the transforms, as far as the calibration is there."""
    to_cameras, to_scanner, to_base = (
        _calibration(path, f"calib_{name}.txt", findings)
        for name in ("cam_to_cam", "velo_to_cam", "imu_to_velo")
    )
    base = rigid_of(to_base)
    if base is None:
        findings.notes.append(
            "the place of the GPS/IMU is not known: the laser scanner stands in for base_link"
        )
    poses: dict[str, Matrix] = {}
    camera_0 = rigid_of(to_scanner)
    rectification = matrix_of(to_cameras, "R_rect_00", 3, 3)
    for name, files in cameras.items():
        number = name[-2:]
        info = _camera_info(name, number, to_cameras, files.files[0], at, findings)
        if info is not None:
            yield fixed_stream(f"/{name}/camera_info", encoding.CALIBRATION, at, info[0])
            if camera_0 is not None and rectification is not None:
                poses[name] = (
                    camera_from_scanner(info[1], rectification, camera_0)
                    if info[2]
                    else (_raw_pose(to_cameras, number) @ camera_0)
                )
    yield fixed_stream("/tf_static", encoding.TRANSFORMS, at, encoding.transforms(at, edges(base, poses)))


def _camera_info(
    name: str, number: str, calibration: Calibration, file: Path, at: int, findings: Findings
) -> tuple[bytes, Matrix, bool] | None:
    """Return the camera info, P_rect, and whether pictures are rectified; None where it is not known."""
    projection = matrix_of(calibration, f"P_rect_{number}", 3, 4)
    try:
        size = picture_size(read_file(file, PICTURE_BYTES))
    except (OSError, ValueError):
        size = None
    if projection is None or size is None:
        findings.notes.append(f"{name}: its intrinsics are not known (calib_cam_to_cam.txt, first picture)")
        return None
    raw = calibration.get(f"S_{number}", np.zeros(0)).astype(int).tolist()
    k, d = matrix_of(calibration, f"K_{number}", 3, 3), calibration.get(f"D_{number}", np.zeros(0))
    rectified = calibration.get(f"S_rect_{number}", np.zeros(0)).astype(int).tolist()
    if list(size) != raw or raw == rectified or k is None:
        return rectified_info(at, name, size, projection), projection, True
    r = matrix_of(calibration, f"R_rect_{number}", 3, 3)
    return encoding.calibration(at, name, size, k, d.tolist(), r, projection), projection, False


def _raw_pose(calibration: Calibration, number: str) -> Matrix:
    """Return the transform into a camera that is not rectified, from camera 0."""
    r, t = matrix_of(calibration, f"R_{number}", 3, 3), matrix_of(calibration, f"T_{number}", 3, 1)
    return np.eye(4) if r is None or t is None else stacked(np.hstack([r, t]))


def _calibration(path: Path, name: str, findings: Findings) -> Calibration:
    for folder in (path, path.parent):
        try:
            return read_calibration(folder / name)
        except (OSError, ValueError):
            continue
    findings.notes.append(f"{name} is not there: what it places is not placed")
    return {}
