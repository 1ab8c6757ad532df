"""Folders of KITTI's object benchmark: pictures, returns, a calibration and labels for each frame.

Frames are of many drives and have no times: stamps are made at 10 Hz in the order of names, and nothing moves
from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from perception.logs.formats import encoding
from perception.logs.formats.folder_files import files_in, is_folder, read_file, total_size
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
from perception.logs.formats.kitti_labels import LabelledObject, parse_labels
from perception.logs.formats.kitti_raw import POINT_FIELDS, load_points
from perception.logs.formats.numbered_files import MADE_HZ
from perception.logs.formats.streams import (
    PICTURE_BYTES,
    Findings,
    Stream,
    Times,
    image_files,
    made_stamps,
    picture_size,
    points_stream,
    streams_log,
)
from perception.logs.message_table import TableLog
from perception.logs.perception_proto import SCHEMAS, encode_truth

FORMAT = "KITTI object folder"

_CAMERA_0 = "image_0"
_FILE_BYTES = 64 << 20
_SUFFIXES = {"velodyne": (".bin",), "calib": (".txt",), "label_2": (".txt",)}


def reads(path: Path) -> bool:
    """Return whether a path is a folder of frames with a calibration or labels."""
    return (
        is_folder(path)
        and any(is_folder(path / name) for name in ("image_2", "image_3", "velodyne"))
        and any(is_folder(path / name) for name in ("calib", "label_2"))
    )


def open(path: Path) -> TableLog:
    """Open a folder of frames. A file that is missing or cannot be read is damage.

    Raises:
        LogError: It has no frame.
    """
    findings = Findings(size_bytes=total_size(path))
    folders = [
        name for name in ("image_2", "image_3", "velodyne", "calib", "label_2") if is_folder(path / name)
    ]
    files = {name: _by_stem(path / name, _SUFFIXES.get(name, (".png", ".jpg", ".jpeg"))) for name in folders}
    stems = list(dict.fromkeys(stem for held in files.values() for stem in held))
    stems.sort(key=lambda stem: (len(stem), stem))
    stamps = made_stamps(len(stems), MADE_HZ)
    findings.notes.append(
        f"stamps are made at {MADE_HZ:g} Hz in the order of names: frames have none, and do not follow on"
    )
    streams: list[Stream] = []
    for name, held in files.items():
        kept = [i for i, stem in enumerate(stems) if stem in held]
        findings.lose(f"/{name}", len(stems) - len(kept), "frames that other folders have")
        paths = [held[stems[i]] for i in kept]
        streams += _streams(name, path, paths, stamps[kept], findings)
    return streams_log(path, streams, findings)


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> Mapping[str, Path]:
    return {file.stem: file for file in files_in(folder, *suffixes)}


def _streams(name: str, path: Path, files: list[Path], stamps: Times, findings: Findings) -> Iterator[Stream]:
    if name == "velodyne":
        yield points_stream("/velodyne", stamps, SCANNER, POINT_FIELDS, lambda i: load_points(files[i]))
    elif name == "label_2":
        findings.notes.append("/label_2: the visible fraction is made from KITTI's levels of occlusion")
        yield from _label_streams(files, stamps)
    elif name == "calib":
        yield from _calibration_streams(path, files, stamps)
    else:
        yield image_files(f"/{name}", stamps, name, files)


def _label_streams(files: list[Path], stamps: Times) -> Iterator[Stream]:
    @lru_cache(maxsize=4)
    def labels(index: int) -> list[LabelledObject]:
        lines = read_file(files[index], _FILE_BYTES).decode("latin-1").splitlines()
        parsed, problem = parse_labels(lines, _CAMERA_0)
        if problem:
            raise ValueError(f"label files with errors: {problem}")
        return parsed

    def boxes(index: int) -> bytes:
        return encode_truth(int(stamps[index]), "image_2", [label.box for label in labels(index)])

    def cuboids(index: int) -> bytes:
        held = [label.cuboid for label in labels(index) if label.cuboid is not None]
        return encoding.scene(int(stamps[index]), held)

    yield Stream("/label_2/boxes", SCHEMAS["perception.Detections"], stamps, boxes)
    yield Stream("/label_2/cuboids", encoding.SCENE, stamps, cuboids)


def _calibration_streams(path: Path, files: list[Path], stamps: Times) -> Iterator[Stream]:
    calibration = lru_cache(maxsize=4)(lambda index: read_calibration(files[index]))
    for name in ("image_2", "image_3"):
        if is_folder(path / name):
            yield Stream(
                f"/{name}/camera_info",
                encoding.CALIBRATION,
                stamps,
                _info(path / name, name, calibration, files, stamps),
            )

    def transforms(index: int) -> bytes:
        return encoding.transforms(int(stamps[index]), _edges(calibration(index)))

    yield Stream("/tf", encoding.TRANSFORMS, stamps, transforms)


def _info(
    folder: Path, name: str, calibration: Callable[[int], Calibration], files: list[Path], stamps: Times
) -> Callable[[int], bytes]:
    pictures = _by_stem(folder, (".png", ".jpg", ".jpeg"))

    def content(index: int) -> bytes:
        projection = matrix_of(calibration(index), f"P{name[-1]}", 3, 4)
        if projection is None:
            raise ValueError(f"calibrations without P{name[-1]}")
        picture = pictures.get(files[index].stem)
        if picture is None:
            raise ValueError("calibrations of frames without a picture")
        size = picture_size(read_file(picture, PICTURE_BYTES))
        return rectified_info(int(stamps[index]), name, size, projection)

    return content


def _edges(calibration: Calibration) -> list[tuple[str, str, np.ndarray]]:
    """Return the transforms of a frame. Raises ValueError where the scanner cannot be placed."""
    rectification = matrix_of(calibration, "R0_rect", 3, 3)
    scanner = matrix_of(calibration, "Tr_velo_to_cam", 3, 4)
    base = matrix_of(calibration, "Tr_imu_to_velo", 3, 4)
    if rectification is None or scanner is None:
        raise ValueError("calibrations without R0_rect and Tr_velo_to_cam")
    cameras = {_CAMERA_0: stacked(rectification) @ stacked(scanner)}
    for number in (2, 3):
        projection = matrix_of(calibration, f"P{number}", 3, 4)
        if projection is not None:
            cameras[f"image_{number}"] = camera_from_scanner(projection, rectification, stacked(scanner))
    return edges(None if base is None else stacked(base), cameras)
