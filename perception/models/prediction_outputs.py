"""Predictions of the graph to outputs: source pixels, names, validity, and the inputs each head rests on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perception.models.config import ModelConfig
from perception.models.placed_returns import PlacedReturns
from perception.models.preprocess import InputSpec, PictureArea
from perception.models.returns_distance import sure_distances
from perception.models.tensors import Predictions, extra_of
from perception.plugin import position_issue, positioned
from perception.types import (
    Control,
    ControlChannel,
    Detection,
    Detections,
    Float64,
    Output,
    Quantity,
    Sample,
    head_spec,
)

NO_SENSOR = "no sensor present"
MIN_SCORE = 0.05
"""The least score of a detection by default: precision-recall curves need all detections above it."""

_LEAST_STD = 1e-6  # a standard deviation that rounded to zero would claim certainty


def row_of(predictions: Predictions, index: int) -> Predictions:
    """Return the predictions of one sample of a batch."""
    return type(predictions)(*(np.asarray(array)[index] for array in predictions))


def output_of(
    sample: Sample,
    predictions: Predictions,
    config: ModelConfig,
    spec: InputSpec,
    min_score: float = MIN_SCORE,
    warnings: Mapping[str, str] | None = None,
    base_frame: str | None = None,
    returns: PlacedReturns | None = None,
) -> Output:
    """Return the output of one sample.

    Class and box are valid with a camera image, or with returns that the rig places in the image; control
    with any sensor; a further head as its specification says.

    Args:
        sample: As `prepare_inputs` left it.
        predictions: Of the sample, without a batch dimension.
        config: Of the model.
        spec: Of its inputs.
        min_score: Detections of lower scores are left out.
        warnings: Of the output.
        base_frame: The frame of positions; None: none are stated.
        returns: Those in the picture, whose distances replace the model's where they are sure; None: the
            model's stay.
    """
    based_on = tuple(source.name for source in sample.sensors if source.present)
    kinds = {source.kind for source in sample.sensors if source.present}
    head = _measured(_detections(sample, based_on, predictions, config, spec, min_score), returns)
    return Output(
        sample.tick,
        positioned(head, sample.rig, base_frame),
        values_of("control", based_on, predictions.control, predictions.control_std, config.control, kinds),
        {**(warnings or {}), **_position_warning(head, sample, base_frame)},
        extra_heads_of(predictions, config, based_on, kinds),
    )


def _position_warning(head: Detections, sample: Sample, base_frame: str | None) -> dict[str, str]:
    """Return a warning where valid detections have no positions although a base frame is configured."""
    issue = position_issue(sample.rig, base_frame) if base_frame and head.valid else None
    if issue is None:
        return {}
    text = issue.of_camera(sample.camera.name).text
    return {f"position_{issue.code}": f"positions are not known: {text}"}


def extra_heads_of(
    predictions: Predictions,
    config: ModelConfig,
    based_on: tuple[str, ...],
    kinds: Collection[str] | None = None,
) -> dict[str, Control]:
    """Return the further heads of one sample by name."""
    return {
        head: values_of(head, based_on, *arrays, head_spec(head).channels, kinds)
        for head, arrays in extra_of(predictions, config.extra_heads).items()
    }


def values_of(
    head: str,
    based_on: tuple[str, ...],
    value: Any,
    std: Any,
    channels: Sequence[Quantity],
    kinds: Collection[str] | None = None,
) -> Control:
    """Return the values of one head, valid where one of the sensors that it rests on is present.

    Args:
        head: Its name.
        based_on: The sensors that are present.
        value, std: [A].
        channels: Their names and units.
        kinds: The kinds of those sensors; None: their names are those of kinds.
    """
    if not based_on:
        return Control(False, error=NO_SENSOR)
    if not set(head_spec(head).rests_on) & set(based_on if kinds is None else kinds):
        return Control(False, based_on, error=f"{', '.join(based_on)} cannot tell {head}")
    values, stds = np.asarray(value, dtype=np.float64), np.asarray(std, dtype=np.float64)
    if not (np.isfinite(values).all() and np.isfinite(stds).all()):
        return Control(False, based_on, error=f"the model gave {head} that is not finite")
    rows = zip(channels, values.tolist(), np.maximum(stds, _LEAST_STD).tolist(), strict=True)
    return Control(True, based_on, channels=tuple(ControlChannel(q.name, q.unit, v, s) for q, v, s in rows))


def _detections(
    sample: Sample,
    based_on: tuple[str, ...],
    predictions: Predictions,
    config: ModelConfig,
    spec: InputSpec,
    min_score: float,
) -> Detections:
    if not based_on:
        return Detections(False, error=NO_SENSOR)
    if not (sample.camera.present or _range_is_placed(sample)):
        return Detections(False, based_on, error=f"{', '.join(based_on)} cannot place objects in the image")
    kept = ~(predictions.scores < min_score)  # a score that is not a number stays, to be reported
    columns = [
        np.asarray(column, dtype=np.float64)[kept]
        for column in (
            predictions.scores,
            predictions.boxes,
            predictions.box_std,
            predictions.distance_m,
            predictions.distance_std_m,
        )
    ]
    if not all(np.isfinite(column).all() for column in columns):
        return Detections(False, based_on, error="the model gave boxes that are not finite")
    labels = [config.classes[label] for label in np.asarray(predictions.labels)[kept].tolist()]
    size = source_size(sample, spec)
    return Detections(True, based_on, items=source_items(labels, columns, spec.area(*size), size))


def _measured(head: Detections, returns: PlacedReturns | None) -> Detections:
    """Return a head with the distances of returns where those are sure."""
    if returns is None or not head.items:
        return head
    boxes = np.array([item.xyxy for item in head.items])
    columns = sure_distances(returns, boxes, [item.label for item in head.items])
    metres, std = (column.tolist() for column in columns)
    items = (
        item if np.isnan(m) else replace(item, distance_m=m, distance_std_m=s)
        for item, m, s in zip(head.items, metres, std, strict=True)
    )
    return replace(head, items=tuple(items))


def source_items(
    labels: Sequence[str], columns: Sequence[Float64], area: PictureArea, size: tuple[float, float]
) -> tuple[Detection, ...]:
    """Return detections in source pixels, clipped to the image; boxes outside it are left out.

    Args:
        labels: [K].
        columns: Scores [K], boxes `xyxy` and their standard deviations [K, 4] in input pixels, distances and
            theirs [K] in metres.
        area: Where the source image lies in the input.
        size: Width and height of the source image.
    """
    scores, boxes, box_std, distance, distance_std = columns
    corners = np.clip(area.to_source(boxes.reshape(-1, 2, 2)), 0.0, size).reshape(-1, 4)
    rows = zip(
        labels,
        scores.tolist(),
        corners.tolist(),
        np.maximum(box_std * (area.scale * 2), _LEAST_STD).tolist(),
        np.maximum(distance, 0.0).tolist(),
        np.maximum(distance_std, _LEAST_STD).tolist(),
        strict=True,
    )
    return tuple(
        Detection(label, score, (x1, y1, x2, y2), (s1, s2, s3, s4), metres, std)
        for label, score, (x1, y1, x2, y2), (s1, s2, s3, s4), metres, std in rows
        if x1 < x2 and y1 < y2
    )


def source_size(sample: Sample, spec: InputSpec) -> tuple[int, int]:
    """Return the width and height that boxes refer to: of the image, its camera info, or else the input."""
    frame, calibration = sample.camera.value, sample.rig.calibration
    if frame is not None:
        return frame.width, frame.height
    if calibration is not None and calibration.width > 0 and calibration.height > 0:
        return calibration.width, calibration.height
    return spec.width, spec.height


def _range_is_placed(sample: Sample) -> bool:
    calibration = sample.rig.calibration
    if calibration is None or not calibration.can_project:
        return False
    scans = (source.value for source in sample.ranges.values() if source.value is not None)
    return any(sample.rig.camera_from(scan.frame_id, scan.stamp_ns) is not None for scan in scans)
