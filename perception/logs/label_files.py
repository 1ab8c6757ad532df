"""Label files beside a log, as truth: COCO (one JSON file) and KITTI (a folder with a text file a picture).

A picture is known by the name of its file, and by its stamp where the file says one (`stamp_ns`, `timestamp`,
...) or the name is one (`1557539924482000000.png`, `1557539924.482.jpg`).

References: the COCO data format (cocodataset.org, "Data format"); the devkit of the KITTI object benchmark
(Geiger, Lenz, Urtasun 2012), readme.txt.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from perception.errors import LogError
from perception.logs.decoding.stamps import UNIT_NS, bare_number
from perception.logs.formats.kitti_labels import parse_label
from perception.types import TruthBox
from perception.types.stamp_rule import TimeUnit

MAX_BYTES = 256 << 20
"""Of a label file."""
MAX_PICTURES = 1 << 20
_UNITS: Mapping[str, TimeUnit] = {
    "stamp_ns": "ns",
    "timestamp_ns": "ns",
    "timestamp_us": "us",
    "timestamp_ms": "ms",
    "timestamp_s": "s",
}
_UNKNOWN_UNITS = ("stamp", "timestamp", "time", "ts")
_IN_NAME = re.compile(r"(?<!\d)(\d{10})(?:[._-](\d{1,9}))?$|(?<!\d)(\d{13}|\d{16}|\d{19})$")


@dataclass(frozen=True, slots=True)
class PictureLabels:
    """The boxes of one picture.

    Attributes:
        name: Of its file, without folders and suffix.
        stamp_ns: When it was taken; None: not said.
        boxes: In pixels of a picture of `size`.
        size: Width and height that the boxes refer to; None: of the picture that was recorded.
    """

    name: str
    stamp_ns: int | None
    boxes: tuple[TruthBox, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Labels:
    """The labels of a file or folder.

    Attributes:
        pictures: In the order of their names.
        format: `COCO` or `KITTI`.
        ignored: How many boxes could not be used.
        ignored_reason: Of the first.
    """

    pictures: tuple[PictureLabels, ...]
    format: str
    ignored: int = 0
    ignored_reason: str = ""

    def of(self, file: str) -> PictureLabels | None:
        """Return the picture of a file; None where it has no labels, or where several have its name."""
        return self._by_name.get(picture_name(file))

    @cached_property
    def _by_name(self) -> dict[str, PictureLabels]:
        names = Counter(picture.name for picture in self.pictures)
        return {picture.name: picture for picture in self.pictures if names[picture.name] == 1}

    @property
    def stamped(self) -> tuple[PictureLabels, ...]:
        """The pictures whose stamp is known."""
        return tuple(picture for picture in self.pictures if picture.stamp_ns is not None)


def read_labels(path: Path) -> Labels:
    """Return the labels of a path, read once while it does not change; see `_read`.

    Raises:
        LogError: It cannot be read, is none of these, or is too large.
    """
    try:
        return _read_once(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise LogError(f"the labels cannot be read: {error.strerror or error}: {path}") from None


@lru_cache(maxsize=4)
def _read_once(path: Path, changed_ns: int) -> Labels:
    return _read(path)


def picture_name(file: str) -> str:
    """Return the name of a picture's file without folders and suffix."""
    return PurePosixPath(file.replace("\\", "/")).stem


def _read(path: Path) -> Labels:
    """Return the labels of a COCO file, or of a folder of KITTI files.

    Raises:
        LogError: It cannot be read, is none of these, or is too large.
    """
    try:
        if path.is_dir():
            return _kitti(path)
        if path.stat().st_size > MAX_BYTES:
            size = path.stat().st_size
            raise LogError(f"a label file of {size} bytes: up to {MAX_BYTES} are taken: {path}")
        return _coco(json.loads(path.read_bytes()))
    except OSError as error:
        raise LogError(f"the labels cannot be read: {error.strerror or error}: {path}") from None
    except (ValueError, RecursionError) as error:
        expected = "expected a COCO file (images, annotations, categories) or a folder of KITTI label files"
        raise LogError(f"{expected}: {str(error)[:200]}: {path}") from None


# --- COCO ----------------------------------------------------------------------------------------


def _coco(data: Any) -> Labels:
    images, annotations, categories = (_rows(data, key) for key in ("images", "annotations", "categories"))
    words = {row.get("id"): str(row.get("name", row.get("id"))) for row in categories}
    boxes: dict[Any, list[TruthBox]] = {row.get("id"): [] for row in images}
    problems: list[str] = []
    for row in annotations:
        try:
            boxes[row["image_id"]].append(_coco_box(row, words))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"annotation {row.get('id')}: {type(error).__name__} {error}"[:200])
    pictures = [_coco_picture(row, tuple(boxes[row.get("id")])) for row in images]
    pictures.sort(key=lambda picture: picture.name)
    return Labels(tuple(pictures), "COCO", len(problems), problems[0] if problems else "")


def _rows(data: Any, key: str) -> list[Mapping[str, Any]]:
    rows = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"found no list of objects called {key}")
    return rows


def _coco_box(row: Mapping[str, Any], words: Mapping[Any, str]) -> TruthBox:
    """Return the box of an annotation; a crowd is an ignore region of its class."""
    x, y, width, height = (float(side) for side in row["bbox"])
    if not (all(map(math.isfinite, (x, y, width, height))) and width >= 0 and height >= 0):
        raise ValueError(f"bbox {row['bbox']} is none")
    track = row.get("track_id", row.get("instance_id", ""))
    box = (x, y, x + width, y + height)
    crowd = bool(row.get("iscrowd", 0)) or bool(row.get("ignore", 0))
    return TruthBox(words[row["category_id"]], box, math.nan, 1.0, str(track), ignore=crowd)


def _coco_picture(row: Mapping[str, Any], boxes: tuple[TruthBox, ...]) -> PictureLabels:
    name = picture_name(str(row.get("file_name", "")))
    width, height = row.get("width"), row.get("height")
    size = None
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        size = width, height
    return PictureLabels(name, _stamp_of(row) or _stamp_in(name), boxes, size)


def _stamp_of(row: Mapping[str, Any]) -> int | None:
    for key, unit in _UNITS.items():
        number = bare_number(row.get(key))
        if number is not None:
            return round(number * UNIT_NS[unit])
    number = next((n for key in _UNKNOWN_UNITS if (n := bare_number(row.get(key))) is not None), None)
    return None if number is None else _dated(number)


def _stamp_in(name: str) -> int | None:
    """Return the date that a name ends with: seconds with a fraction, or ms, us or ns since 1970."""
    match = _IN_NAME.search(name)
    if match is None:
        return None
    seconds, fraction, whole = match.groups()
    if whole is not None:
        return _dated(Decimal(whole))
    return int(seconds) * UNIT_NS["s"] + int((fraction or "0").ljust(9, "0"))


def _dated(number: Decimal) -> int | None:
    """Return nanoseconds of a number that is a date since 1970 in s, ms, us or ns; None for any other."""
    dates = (number * factor for factor in UNIT_NS.values())
    return next((round(date) for date in dates if 10**17 <= date < 4 * 10**18), None)


# --- KITTI ---------------------------------------------------------------------------------------


def _kitti(folder: Path) -> Labels:
    files = sorted(path for path in folder.iterdir() if path.suffix == ".txt")[: MAX_PICTURES + 1]
    if not files or len(files) > MAX_PICTURES:
        raise ValueError(f"found {len(files) or 'no'} .txt files")
    problems: list[str] = []
    pictures = []
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > MAX_BYTES:
            raise ValueError(f"label files of more than {MAX_BYTES} bytes are not taken")
        boxes = tuple(_kitti_boxes(path, problems))
        pictures.append(PictureLabels(path.stem, _stamp_in(path.stem), boxes))
    if problems and not any(picture.boxes for picture in pictures):
        raise ValueError(problems[0])
    return Labels(tuple(pictures), "KITTI", len(problems), problems[0] if problems else "")


def _kitti_boxes(path: Path, problems: list[str]) -> Iterator[TruthBox]:
    """Yield the boxes of a file; what nobody labelled (DontCare) is an ignore region for every class."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            if line.strip():
                yield parse_label(line, number, "").box
        except ValueError as error:
            problems.append(f"{path.name}, line {number}: {error}"[:200])
