"""Labelled pictures as a log: one image and the truth of its boxes after the other, no other sensor.

So pictures from a data set are read, scored and learned from as any log is. They come a second apart: none
counts as a neighbour of another. A box that cannot be right is an error here: a training would learn it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite, isnan
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from perception.errors import LogError, OutputError
from perception.files import replaced_whole, same_file
from perception.logs import LogWriter
from perception.logs.decoding.checks import DecodeError
from perception.logs.decoding.image_header import ImageHeader, read_extent, read_header
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.simulation.generation.messages import CAMERA_FRAME, IMAGE_SCHEMA, image_message
from perception.types import TruthBox

IMAGE, TRUTH_BOXES = "/camera/image", "/truth/detections"
START_NS = INTERVAL_NS = 1_000_000_000
_BEYOND_PX = 0.5
"""Accept boxes that end up to this many pixels outside of the picture: rounded sizes add up so."""


class LabelledPicture(NamedTuple):
    """A JPEG, PNG or WebP file and the boxes in it, in its pixels.

    A box that is less visible than a training's `min_visible` is neither learned nor punished; distances that
    are not known are NaN.
    """

    path: Path | str
    boxes: Sequence[TruthBox]


def write_picture_log(path: Path | str, pictures: Iterable[LabelledPicture]) -> int:
    """Write pictures and their boxes as an MCAP log; return their number.

    Args:
        path: The log to write; an existing one is replaced once the new one is complete.
        pictures: In the order they get in the log.

    Raises:
        LogError: A picture cannot be read, or a box cannot be one of its picture: it is not inside it, it is
            smaller than nothing, or its visible fraction or distance is none. Names both.
        OutputError: The log cannot be written, or is one of the pictures.
    """
    path = Path(path)
    stamp_ns = START_NS
    with replaced_whole(path) as part, LogWriter(part) as log:
        for picture in pictures:
            file = Path(picture.path)
            if same_file(path, file):
                raise OutputError(
                    f"the log would replace a picture, which is read; name another file: {path}"
                )
            data, header = _read(file)
            _check_boxes(file, picture.boxes, header)
            image = image_message(stamp_ns, data, header.format)
            truth = encode_truth(stamp_ns, CAMERA_FRAME, picture.boxes)
            for topic, schema, message in (
                (IMAGE, IMAGE_SCHEMA, image),
                (TRUTH_BOXES, SCHEMAS["perception.Detections"], truth),
            ):
                log.write(topic, message, schema=schema, encoding="protobuf", log_time_ns=stamp_ns)
            stamp_ns += INTERVAL_NS
    return (stamp_ns - START_NS) // INTERVAL_NS


def _read(path: Path) -> tuple[bytes, ImageHeader]:
    """Return the bytes of a picture and its header.

    Raises:
        LogError: It cannot be read, is no picture of a format that is read, or ends early.
    """
    try:
        data = path.read_bytes()
        header = read_header(data)
    except OSError as error:
        raise LogError(f"{path}: cannot be read: {error.strerror or error}") from None
    except DecodeError as error:
        raise LogError(f"{path}: {error}; convert it first") from None
    if not read_extent(data).complete:
        raise LogError(f"{path}: the picture ends early, after {len(data)} bytes; copy it again")
    return data, header


def _check_boxes(path: Path, boxes: Sequence[TruthBox], picture: ImageHeader) -> None:
    for index, box in enumerate(boxes):
        if not isinstance(box, TruthBox):
            raise LogError(f"{path}: box {index}: expected a TruthBox, found {type(box).__name__}")
        if problem := _box_problem(box, picture.width, picture.height):
            raise LogError(f"{path}: box {index} ({box.label or 'without a label'}): {problem}")


def _box_problem(box: TruthBox, width: int, height: int) -> str:
    """Return why a box cannot be one of a picture of that size; empty where it can."""
    if not isinstance(box.label, str) or not (box.label or box.ignore):
        return f"label: expected the name of a class, found {box.label!r}"
    if len(box.xyxy) != 4 or not all(_is_within(value, -inf, inf) for value in box.xyxy):
        return f"xyxy: expected four numbers, found {box.xyxy!r}"
    x1, y1, x2, y2 = map(float, box.xyxy)
    found = f"found {x1:g}, {y1:g}, {x2:g}, {y2:g}"
    if not (x1 < x2 and y1 < y2):
        return f"xyxy: expected x1 < x2 and y1 < y2, {found}; a width and a height are no x2 and y2"
    if x2 <= 1 and y2 <= 1:
        return f"xyxy: expected pixels, {found}; multiply shares of the picture by {width} and {height}"
    if min(x1, y1) < -_BEYOND_PX or x2 > width + _BEYOND_PX or y2 > height + _BEYOND_PX:
        return f"xyxy: expected a box inside the picture of {width} x {height} pixels, {found}; clip it"
    if not _is_within(box.visible, 0, 1):
        return f"visible: expected a fraction from 0 to 1, found {box.visible!r}"
    unknown = isinstance(box.distance_m, Real) and isnan(box.distance_m)
    if not (unknown or _is_within(box.distance_m, 0, inf)):
        return f"distance_m: expected metres, or NaN where it is not known; found {box.distance_m!r}"
    return ""


def _is_within(value: object, least: float, most: float) -> bool:
    """Return whether a value is a finite number within limits."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and isfinite(value) and least <= value <= most  # type: ignore[arg-type,operator]
