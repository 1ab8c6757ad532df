"""One camera in Rerun: its picture, and over it boxes, truth and returns, in pixels of the recorded image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import rerun as rr

from perception.models.preprocess import InputSpec, image_pixels
from perception.models.preprocess.pixels import UnusableImage
from perception.sinks.annotations import caption, image_size, metres, placed, worth_drawing
from perception.sinks.palette import RGB, class_colour
from perception.sinks.picture_returns import packed_range_colours, picture_returns
from perception.types import CameraFrame, Detection, TruthFrame
from perception.types.views import CameraRow
from perception_plugins.viewers.rerun_rows import RecordingRows, When

DETECTION = "perception.Detection"
"""The components of a box that Rerun has no archetype for: class, score, distance."""
JPEG_QUALITY = 90
"""Of pictures that a log has in another form (raw, Bayer, video)."""
MOST_RETURNS = 20_000
"""Returns of a sample that are projected into a picture; of more, every n-th."""
_AS_THEY_ARE = {"jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png"}


class CameraRows:
    """Writes what is known of one camera.

    Args:
        rows: The recording.
        entity: The path of the camera; picture, boxes, truth and returns are below it.
        classes: The labels of the plugin, which choose the colours.
        min_score: Detections below it are not shown.
    """

    def __init__(self, rows: RecordingRows, entity: str, classes: Sequence[str], min_score: float) -> None:
        self._rows, self._entity = rows, entity
        self._classes, self._min_score = classes, min_score
        rows.constant(f"{entity}/returns", rr.Points2D.from_fields(radii=rr.Radius.ui_points(2.0)))
        rows.constant(f"{entity}/boxes", rr.Boxes2D.from_fields(radii=rr.Radius.ui_points(1.5)))
        rows.constant(
            f"{entity}/truth", rr.Boxes2D.from_fields(radii=rr.Radius.ui_points(0.75), show_labels=False)
        )

    def add(self, when: When, row: CameraRow) -> str:
        """Add a sample as this camera sees it; return why its picture cannot be shown, else an empty text."""
        problem = self._picture(when, row.sample.camera.value)
        self._boxes(when, worth_drawing(row.output, self._min_score))
        self._truth(when, row.truth)
        returns = picture_returns(row.sample, image_size(row.sample) or (0, 0), MOST_RETURNS)
        pixels, range_m = returns if returns is not None else (np.zeros((0, 2)), np.zeros(0))
        pixels, range_m = pixels.astype(np.float32), range_m.astype(np.float32)
        colours = packed_range_colours(range_m)
        self._rows.add(
            f"{self._entity}/returns", rr.Points2D, when, len(pixels), positions=pixels, colors=colours
        )
        return problem

    def _picture(self, when: When, frame: CameraFrame | None) -> str:
        entity = f"{self._entity}/picture"
        try:
            data, kind = (None, "") if frame is None else encoded_picture(frame)
        except UnusableImage as error:
            self._rows.add(entity, rr.EncodedImage, when, 0, blob=[], media_type=[])
            return str(error)
        blob, kinds = ([], []) if data is None else ([data], [kind])
        self._rows.add(entity, rr.EncodedImage, when, len(blob), blob=blob, media_type=kinds)
        return ""

    def _boxes(self, when: When, items: Sequence[Detection]) -> None:
        entity, xyxy = f"{self._entity}/boxes", [item.xyxy for item in items]
        colours = [class_colour(item.label, self._classes) for item in items]
        self._put_boxes(entity, when, xyxy, [caption(item) for item in items], colours)
        self._rows.add(
            entity,
            DETECTION,
            when,
            len(items),
            label=[item.label for item in items],
            track_id=[item.track_id for item in items],
            score=np.array([item.score for item in items], np.float64),
            distance_m=_known([item.distance_m for item in items]),
            distance_std_m=_known([item.distance_std_m for item in items]),
        )

    def _truth(self, when: When, truth: TruthFrame | None) -> None:
        if truth is None:
            return
        boxes = [box for box in truth.boxes or () if placed(box.xyxy)]
        labels = [f"{box.label} {metres(box.distance_m, None)}".strip() for box in boxes]
        white: list[RGB] = [(255, 255, 255)] * len(boxes)
        self._put_boxes(f"{self._entity}/truth", when, [box.xyxy for box in boxes], labels, white)

    def _put_boxes(
        self, entity: str, when: When, xyxy: Sequence[Any], labels: list[str], colours: Sequence[RGB]
    ) -> None:
        corners = np.array(xyxy, np.float32).reshape(-1, 2, 2)
        self._rows.add(
            entity,
            rr.Boxes2D,
            when,
            len(labels),
            centers=corners.mean(axis=1),
            half_sizes=(corners[:, 1] - corners[:, 0]) / 2,
            labels=labels,
            colors=packed_colours(colours),
        )


def encoded_picture(frame: CameraFrame) -> tuple[bytes, str]:
    """Return a picture as bytes that a viewer decodes, and their media type.

    JPEG and PNG stay as they were recorded; all else becomes a JPEG of `JPEG_QUALITY`, of the same size.

    Raises:
        UnusableImage: The picture does not decode.
    """
    media_type = _AS_THEY_ARE.get(frame.format.lower(), "")
    if media_type and not frame.mosaic:
        return bytes(frame.data), media_type
    pixels = image_pixels(frame, InputSpec(width=frame.width, height=frame.height))
    if pixels.dtype != np.uint8 or frame.format.lower() == "mono16":  # stretched to the brightness it spans
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255.0 / max(1.0, high - low))).astype(np.uint8)
    done, data = cv2.imencode(
        ".jpg", pixels.transpose(1, 2, 0)[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
    )
    if not done:
        raise UnusableImage(f"a picture of {frame.width} x {frame.height} px is no JPEG")
    return data.tobytes(), "image/jpeg"


def packed_colours(colours: Sequence[RGB], alpha: int = 255) -> Any:
    """Return [N] colours as uint32 0xRRGGBBAA."""
    values = [red << 24 | green << 16 | blue << 8 | alpha for red, green, blue in colours]
    return np.array(values, np.uint32)


def _known(values: Sequence[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], np.float64)
