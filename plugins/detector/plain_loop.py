"""The loop over a detector that one would write without this project: what the plugin is measured against."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.types import CameraFrame
from perception_plugins.detector.decode import candidates_of
from perception_plugins.detector.opening import Detector
from perception_plugins.detector.options import DetectorOptions
from perception_plugins.detector.picture import place
from perception_plugins.detector.suppression import suppress


def plain_answer(detector: Detector, options: DetectorOptions, frame: CameraFrame) -> dict[str, Any] | None:
    """Return the boxes of an encoded picture, ready for JSON: `cv2` decodes all of it and resizes with linear
    interpolation, numpy scales, the engine answers. Decoding of the outputs and suppression are the plugin's
    own, which are faster than what one would write first. None: the picture does not decode."""
    pixels = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        return None
    layout, (width, height) = detector.picture.layout, detector.picture.size
    placement = place(pixels.shape[1], pixels.shape[0], detector.picture.size, layout.fit)
    small = cv2.resize(pixels, (placement.width, placement.height))
    if small.shape[:2] != (height, width):
        canvas = np.full((height, width, 3), layout.pad, np.uint8)
        canvas[placement.top :, placement.left :][: placement.height, : placement.width] = small
        small = canvas
    if layout.channels == "rgb":
        small = small[:, :, ::-1]
    values: NDArray[Any] = (
        small if detector.port.dtype == np.uint8 else small.astype(np.float32) * layout.scale
    )
    if layout.mean != (0, 0, 0) or layout.std != (1, 1, 1):
        values = (values - np.array(layout.mean, np.float32)) / np.array(layout.std, np.float32)
    array = values.transpose(2, 0, 1) if "CHW" in detector.port.form else values
    array = np.ascontiguousarray(array, detector.port.dtype)
    outputs = detector.run(array[None] if detector.port.form.startswith("N") else array)
    found = candidates_of(outputs, detector.layout, detector.picture.size, options.min_score)
    found = suppress(found, detector.overlap, options.max_detections)
    return {
        "labels": [detector.words[label] for label in found.labels.tolist()],
        "scores": found.scores.tolist(),
        "boxes": placement.recorded(found.boxes).tolist(),
    }
