"""Sequences of KITTI's odometry benchmark: up to four rectified cameras, a laser scanner, one list of times.

Geiger, Lenz, Urtasun 2012, "Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite"; the
layout is in the readme of its devkit: `sequences/NN` with `image_0` to `image_3`, `velodyne`, `calib.txt`,
`times.txt`. Times are seconds from 0; a stamp of 0 means that there is none, so they are moved by one second.
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
    stacked,
)
from perception.logs.formats.kitti_raw import POINT_FIELDS, load_points
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
    time_of_text,
)
from perception.logs.message_table import TableLog

FORMAT = "KITTI odometry sequence"

TIMES = "times.txt"
_CAMERAS = tuple(f"image_{i}" for i in range(4))
_FIRST_NS = 1_000_000_000


def reads(path: Path) -> bool:
    """Return whether a path is the folder of a sequence."""
    return (
        is_folder(path)
        and (path / TIMES).is_file()
        and any(is_folder(path / name) for name in (*_CAMERAS, "velodyne"))
    )


def open(path: Path) -> TableLog:
    """Open a sequence. A file that is missing or cannot be read is damage.

    Raises:
        LogError: It has no message.
    """
    findings = Findings(size_bytes=total_size(path))
    files = {name: held for name in (*_CAMERAS, "velodyne") if (held := _files(path, name, findings)).files}
    if not files:
        raise LogError(
            f"expected pictures or returns of a KITTI sequence, found none in {path}; give the folder of a "
            "sequence, such as sequences/00"
        )
    findings.proof = f"the lines of {TIMES}"
    findings.notes.append(
        "times begin with 0 and are moved by 1 s; arrivals are not recorded: delays are not known"
    )
    calibration = _calibration(path, findings)
    at = min(int(held.stamps_ns.min()) for held in files.values())
    streams = [*_rig(calibration, files, at, findings), *_sensors(files)]
    return streams_log(path, streams, findings)


def _files(path: Path, name: str, findings: Findings) -> NumberedFiles:
    if not is_folder(path / name):
        return NumberedFiles([], np.empty(0, np.int64))
    suffixes = (".bin",) if name == "velodyne" else (".png", ".jpg", ".jpeg")
    topic = f"/{name}" if name == "velodyne" else f"/{name}/image"
    return timed_files(path / name, suffixes, path / TIMES, topic, findings, _stamp_ns)


def _stamp_ns(text: str) -> int | None:
    time_ns = time_of_text(text.strip())
    return None if time_ns is None else time_ns + _FIRST_NS


def _calibration(path: Path, findings: Findings) -> Calibration:
    try:
        return read_calibration(path / "calib.txt")
    except (OSError, ValueError):
        findings.notes.append("calib.txt cannot be read: what it places is not placed")
        return {}


def _sensors(files: Mapping[str, NumberedFiles]) -> Iterator[Stream]:
    for name, held in files.items():
        if name == "velodyne":
            load = lambda index, paths=held.files: load_points(paths[index])  # noqa: E731
            yield points_stream("/velodyne", held.stamps_ns, SCANNER, POINT_FIELDS, load)
        else:
            yield image_files(f"/{name}/image", held.stamps_ns, name, held.files)


def _rig(
    calibration: Calibration, files: Mapping[str, NumberedFiles], at: int, findings: Findings
) -> Iterator[Stream]:
    """Yield the camera infos, and the transforms, as far as the calibration has them."""
    camera_0 = matrix_of(calibration, "Tr", 3, 4)
    if camera_0 is None:
        findings.notes.append("calib.txt has no Tr: the laser scanner is not placed in the cameras")
    poses: dict[str, Matrix] = {}
    for name in [name for name in files if name in _CAMERAS]:
        projection = matrix_of(calibration, f"P{name[-1]}", 3, 4)
        try:
            size = picture_size(read_file(files[name].files[0], PICTURE_BYTES))
        except (OSError, ValueError):
            size = None
        if projection is None or size is None:
            findings.notes.append(f"{name}: its intrinsics are not known (calib.txt, first picture)")
            continue
        info = rectified_info(at, name, size, projection)
        yield fixed_stream(f"/{name}/camera_info", encoding.CALIBRATION, at, info)
        if camera_0 is not None:
            poses[name] = camera_from_scanner(projection, np.eye(3), stacked(camera_0))
    findings.notes.append("the laser scanner stands in for base_link")
    yield fixed_stream("/tf_static", encoding.TRANSFORMS, at, encoding.transforms(at, edges(None, poses)))
