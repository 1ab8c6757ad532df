"""Intrinsics of cameras in YAML files beside their pictures.

Two layouts: that of ROS's `camera_calibration` (`camera_matrix`, `distortion_coefficients`, ...), and EuRoC's
`sensor.yaml` (Burri et al. 2016, "The EuRoC micro aerial vehicle datasets"), which also places the camera
in the body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perception.config.safe_yaml import parse_yaml
from perception.geometry import Matrix
from perception.logs.formats import encoding
from perception.logs.formats.folder_files import read_file
from perception.logs.formats.streams import Findings, Stream, fixed_stream

_FILE_BYTES = 1 << 20
_IN_FOLDER = ("sensor.yaml", "camera_info.yaml", "calibration.yaml", "intrinsics.yaml", "ost.yaml")
BODY = "body"


class _Lens(NamedTuple):
    size: tuple[int, int]
    k: Matrix  # [3, 3]
    model: str
    distortion: list[float]
    r: Matrix | None = None  # [3, 3]
    p: Matrix | None = None  # [3, 4]
    body_from_camera: Matrix | None = None  # [4, 4]


def calibration_files(folder: Path, path: Path, name: str, is_alone: bool) -> list[Path]:
    """Return the files that may hold the intrinsics of a camera, the nearest first.

    Args:
        folder: Of its pictures.
        path: Of the log: files that lie there belong to the only camera, or are called after theirs.
    """
    folders = [folder, folder.parent] if folder.name == "data" else [folder]
    places = [place / file for place in folders if is_alone or place != path for file in _IN_FOLDER]
    places += [path / f"{name}.yaml", *(path / file for file in _IN_FOLDER if is_alone)]
    return [place for place in dict.fromkeys(places) if place.is_file()]


def calibration_streams(
    cameras: Mapping[str, tuple[str, Sequence[Path]]], at: int, findings: Findings
) -> Iterator[Stream]:
    """Yield the camera infos, and the transforms of those that say where they sit.

    Args:
        cameras: Name (its frame) -> topic of its pictures, `calibration_files`.
        at: The stamp of these messages.
    """
    edges = []
    for name, (topic, files) in cameras.items():
        for file in files[:1]:
            try:
                lens = _lens(parse_yaml(read_file(file, _FILE_BYTES)))
            except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
                findings.notes.append(
                    f"{topic}: {file.name} beside it is no camera info that is read ({error})"
                )
                continue
            info = encoding.calibration(
                at, name, lens.size, lens.k, lens.distortion, lens.r, lens.p, lens.model
            )
            yield fixed_stream(f"{topic.removesuffix('/image')}/camera_info", encoding.CALIBRATION, at, info)
            if lens.body_from_camera is not None:
                edges.append((BODY, name, lens.body_from_camera))
    if edges:
        yield fixed_stream("/tf_static", encoding.TRANSFORMS, at, encoding.transforms(at, edges))


def _lens(tree: Any) -> _Lens:
    """Return the contents of a file. Raises ValueError, TypeError, KeyError where it is of neither layout."""
    if not isinstance(tree, dict):
        raise ValueError("expected keys and values")
    if "camera_matrix" in tree:
        return _Lens(
            (int(tree["image_width"]), int(tree["image_height"])),
            _matrix(tree["camera_matrix"], 3, 3),
            str(tree.get("distortion_model", "plumb_bob")),
            _numbers(tree.get("distortion_coefficients", [])),
            _matrix(tree["rectification_matrix"], 3, 3) if "rectification_matrix" in tree else None,
            _matrix(tree["projection_matrix"], 3, 4) if "projection_matrix" in tree else None,
        )
    if tree.get("camera_model") != "pinhole":
        raise ValueError("expected camera_matrix, or intrinsics of the camera_model pinhole")
    width, height = map(int, tree["resolution"])
    fu, fv, cu, cv = _numbers(tree["intrinsics"])
    k = np.array([[fu, 0, cu], [0, fv, cv], [0, 0, 1]])
    pose = _matrix(tree["T_BS"], 4, 4) if "T_BS" in tree else None
    distortion = _numbers(tree.get("distortion_coefficients", []))
    return _Lens((width, height), k, str(tree.get("distortion_model", "")), distortion, body_from_camera=pose)


def _matrix(section: Any, rows: int, columns: int) -> Matrix:
    return np.array(_numbers(section), np.float64).reshape(rows, columns)


def _numbers(section: Any) -> list[float]:
    """Return a list of numbers, alone or under `data`. Raises TypeError, ValueError."""
    values = [float(value) for value in (section["data"] if isinstance(section, dict) else section)]
    if not np.isfinite(values).all():
        raise ValueError("a number is not finite")
    return values
