"""Predictions of the graph to outputs: source pixels, names, validity, and what each head rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from perception.messages import Sample
from perception.models.config import Quantity
from perception.outputs import Control, ControlChannel, Detection, Detections
from perception.preprocess import InputSpec, projects
from perception.tensors import Predictions

NO_SENSOR = "no sensor present"
_LEAST_STD = 1e-6  # a standard deviation that rounded to zero would claim certainty
_LEAST = np.array([-np.inf, *[0.0] * 4, *[_LEAST_STD] * 4, 0.0, _LEAST_STD])
"""Of what `detections_of` puts in a row: score, box, its stds, distance, its std."""


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
    kept = ~(np.asarray(found.scores) < min_score)  # a score that is not a number stays, to be found out
    table = np.empty((np.count_nonzero(kept), 11))  # one, so that numbers are handled together, not by name
    table[:, 0] = found.scores[kept]
    table[:, 1:5], table[:, 5:9] = found.boxes[kept], found.box_std[kept]
    table[:, 9], table[:, 10] = found.distance_m[kept], found.distance_std_m[kept]
    if not np.isfinite(table).all():
        return Detections(False, based_on, error="the model gave boxes that are not finite")
    width, height = source_size(sample, spec)
    table[:, 1:9] *= spec.source_from_input(width, height) * 4
    np.maximum(table, _LEAST, out=table)
    np.minimum(table[:, 1:5], (width, height, width, height), out=table[:, 1:5])
    items = [
        Detection(names.classes[label], score, (x1, y1, x2, y2), (s1, s2, s3, s4), metres, std)
        for label, (score, x1, y1, x2, y2, s1, s2, s3, s4, metres, std) in zip(
            np.asarray(found.labels)[kept].tolist(), table.tolist(), strict=True
        )
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
    if scan is None or calibration is None or not projects(calibration):
        return False
    return sample.rig.camera_from(scan.frame_id) is not None
