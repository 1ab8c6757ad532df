"""Labelled pictures as a log: one image and the truth of its boxes after the other, no other sensor.

So pictures from a data set are read, scored and learned from as any log is. They come a second apart: none
counts as a neighbour of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from perception.errors import LogError
from perception.logs import LogWriter
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.simulation.generation.messages import CAMERA_FRAME, IMAGE_SCHEMA, image_message
from perception.types import TruthBox

IMAGE, TRUTH_BOXES = "/camera/image", "/truth/detections"
START_NS = INTERVAL_NS = 1_000_000_000


class LabelledPicture(NamedTuple):
    """A JPEG, PNG or WebP file and the boxes in it.

    A box that is less visible than a training's `min_visible` is neither learned nor punished; distances that
    are not known are NaN.
    """

    path: Path
    boxes: Sequence[TruthBox]


def write_picture_log(path: Path, pictures: Iterable[LabelledPicture]) -> int:
    """Write pictures and their boxes as an MCAP log; return their number.

    Args:
        path: The log to write; an existing one is replaced.
        pictures: In the order they get in the log.

    Raises:
        LogError: A picture cannot be read.
        OutputError: The log cannot be written.
    """
    stamp_ns = START_NS
    with LogWriter(path) as log:
        for picture in pictures:
            try:
                data = picture.path.read_bytes()
            except OSError as error:
                raise LogError(f"{picture.path}: cannot be read: {error.strerror or error}") from None
            image = image_message(stamp_ns, data, picture.path.suffix[1:].lower().replace("jpg", "jpeg"))
            truth = encode_truth(stamp_ns, CAMERA_FRAME, picture.boxes)
            for topic, schema, message in (
                (IMAGE, IMAGE_SCHEMA, image),
                (TRUTH_BOXES, SCHEMAS["perception.Detections"], truth),
            ):
                log.write(topic, message, schema=schema, encoding="protobuf", log_time_ns=stamp_ns)
            stamp_ns += INTERVAL_NS
    return (stamp_ns - START_NS) // INTERVAL_NS
