"""Objects of other samples pasted into labelled pictures (Dwibedi et al. 2017, "Cut, Paste and Learn").

Objects are cut out by their boxes, for there are no masks: the corners of a box, mostly background, fade
away. So classes that only the simulation has stand before real backgrounds, and close objects become small.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.training.data.training_sample import SampleTruth, TrainingSample

MOST = 4
"""Objects that are pasted into one picture."""

LEAST_HEIGHT, MOST_HEIGHT = 6.0, 96.0
"""Height of a pasted object, input pixels."""

LEAST_SOURCE = 12.0
"""Height of an object that is cut out, input pixels."""

MOST_HIDDEN = 0.4
"""The largest share of an object that a pasted one may hide; otherwise it is not pasted."""

BAND = (0.35, 0.9)
"""The centres of pasted objects, fractions of the image's height: where things stand on the ground."""


def with_objects(
    sample: TrainingSample, donors: list[TrainingSample], rng: np.random.Generator
) -> TrainingSample:
    """Return a picture with one object of each donor that has a suitable one.

    Args:
        sample: A picture; its distances must be unknown or hold for it.
        donors: Samples with images; up to `MOST` are used.
        rng: The source of all random numbers.
    """
    image = sample.inputs.image.transpose(1, 2, 0).copy()
    truth = sample.truth
    for donor in donors[:MOST]:
        index = _suitable(donor, rng)
        if index is None:
            continue
        box, cut, alpha = _resized(donor, index, rng, image.shape[:2])
        hidden = _hidden(truth.boxes, box)
        if (hidden[truth.visible > 0] > MOST_HIDDEN).any():
            continue
        x1, y1, x2, y2 = (int(value) for value in box)
        part = image[y1:y2, x1:x2].astype(np.float32)
        image[y1:y2, x1:x2] = (part + (cut - part) * alpha[..., None] + 0.5).astype(np.uint8)
        truth = _added(truth, int(donor.truth.labels[index]), box, hidden)
    inputs = sample.inputs._replace(image=np.ascontiguousarray(image.transpose(2, 0, 1)))
    return sample._replace(inputs=inputs, truth=truth)


def _suitable(donor: TrainingSample, rng: np.random.Generator) -> int | None:
    """Return the index of an object that is whole, large enough and less than half of the image."""
    truth = donor.truth
    if not (donor.inputs.present[0] and truth.boxes_known and len(truth.labels)):
        return None
    size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    small = (size < np.array(donor.inputs.image.shape[:0:-1]) / 2).all(1)
    large = (size[:, 1] >= LEAST_SOURCE) & (size[:, 0] >= 4)
    which = np.flatnonzero(small & large & (truth.labels >= 0) & (truth.visible >= 0.9))
    return int(rng.choice(which)) if len(which) else None


def _resized(
    donor: TrainingSample, index: int, rng: np.random.Generator, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return where an object goes (xyxy, whole pixels), its pixels [h, w, 3] and their opacity [h, w]."""
    low = donor.truth.boxes[index, :2].round().astype(int).clip(0)
    high = donor.truth.boxes[index, 2:].round().astype(int)
    cut = donor.inputs.image[:, low[1] : high[1], low[0] : high[0]].transpose(1, 2, 0)
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    most = min(MOST_HEIGHT, 1.2 * cut.shape[0])
    height = round(float(np.exp(rng.uniform(np.log(LEAST_HEIGHT), np.log(most)))))
    width = min(max(round(cut.shape[1] * height / cut.shape[0] * rng.uniform(0.85, 1.18)), 3), shape[1] // 2)
    method = cv2.INTER_AREA if height < cut.shape[0] else cv2.INTER_LINEAR
    pixels = cv2.resize(np.ascontiguousarray(cut), (width, height), interpolation=method)
    y = rng.uniform(*BAND) * shape[0] - height / 2
    x1 = int(rng.integers(0, shape[1] - width + 1))
    y1 = int(np.clip(y, 0, shape[0] - height))
    across, along = (np.abs((np.arange(n) + 0.5) * 2 / n - 1) ** 4 for n in (width, height))
    alpha = np.clip((1.3 - across[None] - along[:, None]) / 0.5, 0, 1)
    box = np.array([x1, y1, x1 + width, y1 + height], np.float32)
    return box, pixels.astype(np.float32), alpha.astype(np.float32)


def _hidden(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the fraction of each box [N, 4] that another one covers."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1).clip(1e-6)
    fraction: NDArray[np.float32] = (high - low).clip(0).prod(1) / area
    return fraction


def _added(
    truth: SampleTruth, label: int, box: NDArray[np.float32], hidden: NDArray[np.float32]
) -> SampleTruth:
    return truth._replace(
        labels=np.append(truth.labels, label),
        boxes=np.concatenate([truth.boxes, box[None]]),
        distance_m=np.append(truth.distance_m, np.float32(np.nan)),
        visible=np.append(truth.visible * (1 - hidden), np.float32(1)),
    )
