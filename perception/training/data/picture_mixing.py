"""Mosaics and zoom of labelled pictures: samples that have an image and neither another sensor nor control,
or of which those are left out.

A picture alone may be cut, enlarged and put beside others: no range return and no command contradicts it. A
mosaic (Bochkovskiy et al. 2020, YOLOv4) is cut into two or three rows and columns here, so that objects of
close pictures become as small as those on a street. Distances are unknown afterwards.

Every picture is drawn as if by a camera of another aspect ratio, since the model stretches the images of all
cameras to one shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.training.data.augmentation import without
from perception.training.data.training_sample import SampleTruth, TrainingSample
from perception.training.train_config import PictureConfig

CAMERA_ASPECTS = (4 / 3, 2.0)
"""Width over height of the cameras that a picture is drawn as if taken by."""

JITTER = 0.15
"""The cuts of a mosaic move by up to this fraction of a cell."""

Cell = tuple[int, int, int, int]
"""x1, y1, x2, y2 in input pixels."""


def is_picture(sample: TrainingSample) -> bool:
    """Return whether a sample has a labelled image, no other sensor and no true control."""
    present = sample.inputs.present
    alone = bool(present[0] and not present[1:].any())
    return alone and bool(sample.truth.boxes_known) and not np.isfinite(sample.truth.control).any()


def as_picture(sample: TrainingSample) -> TrainingSample:
    """Return the image of a sample and its boxes alone. One without them stays as it is."""
    inputs, truth = sample.inputs, sample.truth
    if not (inputs.present[0] and truth.boxes_known):
        return sample
    for sensor in range(1, len(inputs.present)):
        inputs = without(inputs, sensor)
    unknown = {name: np.full_like(getattr(truth, name), np.nan) for name in ("control", "measured", "extra")}
    return sample._replace(inputs=inputs, truth=truth._replace(**unknown))


def mixed_picture(
    sample: TrainingSample,
    config: PictureConfig,
    rng: np.random.Generator,
    another: Callable[[np.random.Generator], TrainingSample],
) -> TrainingSample:
    """Return a mosaic of a picture and others, or the picture zoomed, or as it is.

    Args:
        sample: A picture (`is_picture`).
        config: The probability of each.
        rng: The source of all random numbers.
        another: Draws a further picture.
    """
    height, width = sample.inputs.image.shape[1:]
    draw = rng.random()
    if draw < config.mosaic:
        cells = _cells(width, height, int(rng.integers(2, 4)), rng)
    elif draw < config.mosaic + config.zoomed:
        cells = [(0, 0, width, height)]
    else:
        return sample
    canvas = np.zeros_like(sample.inputs.image)
    parts = []
    for index, cell in enumerate(cells):
        picture = another(rng) if index else sample
        parts.append(_drawn(picture, cell, config.zoom, rng, canvas))
    truth = sample.truth._replace(
        labels=np.concatenate([part.labels for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        distance_m=np.concatenate([part.distance_m for part in parts]),
        visible=np.concatenate([part.visible for part in parts]),
        extra=np.full_like(sample.truth.extra, np.nan),
        complete=np.minimum.reduce([part.complete for part in parts]),
    )
    return sample._replace(inputs=sample.inputs._replace(image=canvas), truth=truth)


def _cells(width: int, height: int, count: int, rng: np.random.Generator) -> list[Cell]:
    """Return `count` x `count` cells that fill the image, in random order."""

    def cuts(size: int) -> list[int]:
        inner = np.arange(1, count) + rng.uniform(-JITTER, JITTER, count - 1)
        return [0, *(int(cut) for cut in (inner * size / count).round()), size]

    columns, rows = cuts(width), cuts(height)
    cells = [(columns[i], rows[j], columns[i + 1], rows[j + 1]) for j in range(count) for i in range(count)]
    return [cells[k] for k in rng.permutation(len(cells))]


def _drawn(
    picture: TrainingSample, cell: Cell, zoom: float, rng: np.random.Generator, canvas: NDArray[np.uint8]
) -> SampleTruth:
    """Draw a part of a picture that fills a cell of the canvas; return the truth of that part."""
    image = picture.inputs.image
    height, width = image.shape[1:]
    x1, y1, x2, y2 = cell
    source_width, source_height = picture.truth.source_size
    pixel_aspect = width / height / rng.uniform(*CAMERA_ASPECTS)
    aspect = pixel_aspect * float(source_width / source_height)
    tall = max(y2 - y1, (x2 - x1) / aspect) * rng.uniform(1, zoom)
    size = max(math.ceil(tall * aspect), x2 - x1), max(math.ceil(tall), y2 - y1)
    left, top = int(rng.integers(size[0] - (x2 - x1) + 1)), int(rng.integers(size[1] - (y2 - y1) + 1))
    method = cv2.INTER_AREA if size[0] < width or size[1] < height else cv2.INTER_LINEAR
    scaled = cv2.resize(np.ascontiguousarray(image.transpose(1, 2, 0)), size, interpolation=method)
    part = scaled[top : top + y2 - y1, left : left + x2 - x1]
    canvas[:, y1:y2, x1:x2] = part.transpose(2, 0, 1)
    factor = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    return _cut(picture.truth, factor, (x1 - left, y1 - top), cell)


def _cut(truth: SampleTruth, factor: NDArray[np.float32], offset: tuple[int, int], cell: Cell) -> SampleTruth:
    """Return the boxes inside a cell; what is cut off is not visible."""
    whole = truth.boxes * factor + np.array(offset * 2, np.float32)
    low, high = np.array(cell[:2], np.float32), np.array(cell[2:], np.float32)
    boxes = np.concatenate([whole[:, :2].clip(low, high), whole[:, 2:].clip(low, high)], 1)
    share = (boxes[:, 2:] - boxes[:, :2]).prod(1) / (whole[:, 2:] - whole[:, :2]).prod(1).clip(1e-6)
    kept = share > 0
    return truth._replace(
        labels=truth.labels[kept],
        boxes=boxes[kept],
        distance_m=np.full(int(kept.sum()), np.nan, np.float32),
        # What is to be ignored, below 0, stays so.
        visible=np.where(truth.visible > 0, truth.visible * share, truth.visible)[kept].astype(np.float32),
    )
