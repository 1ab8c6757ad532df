"""The pictures of the worst moments as small JPEGs, read from the logs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from perception.errors import LogError
from perception.evaluation.report.drawing_schema import MomentReport
from perception.logs import Log, open_log
from perception.logs.joined_path import named_log, recorded_path
from perception.logs.video.preroll import decoded_camera
from perception.models.preprocess import InputSpec
from perception.models.preprocess.pixels import UnusableImage, image_pixels
from perception.types import CameraFrame

MOST = 12
"""The maximum number of moments with a picture; the others are listed with their commands."""
WIDTH, QUALITY = 640, 72
"""The maximum width and the JPEG quality of a picture (about 30 kB); wider ones are scaled down."""
BYTES = 2_500_000
"""The maximum size of all pictures together; further ones are left out."""
NEAR_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG, and the size of its source image; boxes are in pixels of the source.

    `older_ns`: by how many nanoseconds it was taken before the moment; negative: after it.
    """

    jpeg: bytes
    width: int
    height: int
    older_ns: int = 0

    @property
    def uri(self) -> str:
        """Return the picture as a data URI."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode('ascii')}"


Pictures = Mapping[int, Picture]
"""Pictures by the index of their moment in the report."""


def moment_pictures(
    moments: Sequence[MomentReport], most: int = MOST, logs: Iterable[Path] = ()
) -> dict[int, Picture]:
    """Return the camera pictures of moments by their index.

    Args:
        moments: Of a report, which names logs without the secrets of their URLs.
        most: The largest number of pictures.
        logs: The logs with them, so that those can be read again.

    Where the camera was silent it is the nearest one within a second, with its age. A moment
    without one is left out: a log that has gone since, an image that does not decode.
    """
    pictures: dict[int, Picture] = {}
    size = 0
    wanted = [
        (place, moment)
        for place, moment in enumerate(moments)
        if moment.scene is not None and moment.scene.camera
    ]
    wanted = list(islice(wanted, most))
    paths = {named_log(path): path for path in logs}
    for name in dict.fromkeys(moment.log for _, moment in wanted):
        of_log = [(place, moment) for place, moment in wanted if moment.log == name]
        for place, picture in _of_log(paths.get(name) or recorded_path(name), of_log):
            size += len(picture.jpeg)
            if size <= BYTES:
                pictures[place] = picture
    return pictures


def _of_log(path: Path, moments: Sequence[tuple[int, MomentReport]]) -> Iterator[tuple[int, Picture]]:
    try:
        with open_log(path) as log:
            for place, moment in moments:
                frame = _frame(log, moment)
                picture = _small(frame, moment.stamp_ns) if frame is not None else None
                if picture is not None:
                    yield place, picture
    except (LogError, OSError):
        return


def _frame(log: Log, moment: MomentReport) -> CameraFrame | None:
    """Return the frame with the stamp nearest to the moment's, among those that had arrived by then."""
    topic = moment.scene.camera if moment.scene is not None else ""
    start, end = moment.log_time_ns - NEAR_NS, moment.log_time_ns + 1
    best: CameraFrame | None = None
    for frame in decoded_camera(log, topic, start, end):
        if isinstance(frame, CameraFrame) and (best is None or _off(frame, moment) <= _off(best, moment)):
            best = frame
    return best


def _off(frame: CameraFrame, moment: MomentReport) -> int:
    return abs(frame.stamp_ns - moment.stamp_ns)


def _small(frame: CameraFrame, stamp_ns: int) -> Picture | None:
    if frame.width < 1 or frame.height < 1:
        return None
    width = min(frame.width, WIDTH)
    height = max(round(frame.height * width / frame.width), 1)
    try:
        pixels = image_pixels(frame, InputSpec(width=width, height=height))
    except UnusableImage:
        return None
    image = np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0))
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    older_ns = stamp_ns - frame.stamp_ns
    return Picture(jpeg.tobytes(), frame.width, frame.height, older_ns) if done else None
