"""Predictions of the graph to outputs: source pixels, names, validity, and what each head rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from perception.models.preprocess import InputSpec
from perception.models.tensors import Predictions
from perception.types import Control, ControlChannel, Detection, Detections, Quantity, Sample

NO_SENSOR = "no sensor present"
_LEAST_STD = 1e-6  # a standard deviation that rounded to zero would claim certainty


class Names(NamedTuple):
    """What the numbers of the predictions are called."""

    classes: Sequence[str]
    control: Sequence[Quantity]


def row_of(predictions: Predictions, index: int) -> Predictions:
    """The predictions of one sample of a batch."""
    return Predictions(*(np.asarray(array)[index] for array in predictions))


def detections_of(
    sample: Sample, found: Predictions, names: Names, spec: InputSpec, min_score: float
) -> Detections:
    """The class and box heads of one sample.

    They are valid with a camera image, or with returns that the rig places in the image. Boxes and their
    standard deviations are scaled to source pixels and clipped to the image.
    """
    based_on = tuple(given.name for given in sample.inputs if given.present)
    if not based_on:
        return Detections(False, error=NO_SENSOR)
    if not (sample.camera.present or _range_is_placed(sample)):
        return Detections(False, based_on, error=f"{', '.join(based_on)} cannot place objects in the image")
    kept = ~(found.scores < min_score)  # a score that is not a number stays, to be found out
    columns = (found.scores, found.boxes, found.box_std, found.distance_m, found.distance_std_m)
    scores, boxes, box_std, distance, distance_std = (np.asarray(c, dtype=np.float64)[kept] for c in columns)
    if not all(np.isfinite(c).all() for c in (scores, boxes, box_std, distance, distance_std)):
        return Detections(False, based_on, error="the model gave boxes that are not finite")
    width, height = source_size(sample, spec)
    scale = np.array(spec.source_from_input(width, height) * 2)
    boxes = np.clip(boxes * scale, 0.0, [width, height, width, height])
    rows = zip(
        np.asarray(found.labels)[kept].tolist(),
        scores.tolist(),
        boxes.tolist(),
        np.maximum(box_std * scale, _LEAST_STD).tolist(),
        np.maximum(distance, 0.0).tolist(),
        np.maximum(distance_std, _LEAST_STD).tolist(),
        strict=True,
    )
    items = [
        Detection(names.classes[label], score, (x1, y1, x2, y2), (s1, s2, s3, s4), metres, std)
        for label, score, (x1, y1, x2, y2), (s1, s2, s3, s4), metres, std in rows
        if x1 < x2 and y1 < y2
    ]
    return Detections(True, based_on, items=tuple(items))


def control_of(sample: Sample, found: Predictions, names: Names) -> Control:
    """The control head of one sample: valid with any sensor."""
    based_on = tuple(given.name for given in sample.inputs if given.present)
    if not based_on:
        return Control(False, error=NO_SENSOR)
    value, std = np.asarray(found.control, dtype=np.float64), np.asarray(found.control_std, dtype=np.float64)
    if not (np.isfinite(value).all() and np.isfinite(std).all()):
        return Control(False, based_on, error="the model gave control that is not finite")
    rows = zip(names.control, value.tolist(), np.maximum(std, _LEAST_STD).tolist(), strict=True)
    return Control(True, based_on, channels=tuple(ControlChannel(q.name, q.unit, v, s) for q, v, s in rows))


def source_size(sample: Sample, spec: InputSpec) -> tuple[int, int]:
    """Width and height in which boxes are given: of the image, else of the calibration, else of the input."""
    frame, calibration = sample.camera.value, sample.rig.calibration
    if frame is not None:
        return frame.width, frame.height
    if calibration is not None and calibration.width > 0 and calibration.height > 0:
        return calibration.width, calibration.height
    return spec.width, spec.height


def _range_is_placed(sample: Sample) -> bool:
    scan, calibration = sample.range.value, sample.rig.calibration
    if scan is None or calibration is None or not calibration.can_project:
        return False
    return sample.rig.camera_from(scan.frame_id) is not None
