"""Objects of labelled pictures cut out along their outlines, to be pasted into others.

GrabCut (Rother et al. 2004) separates what a box holds from what is around it. Pasted onto other backgrounds,
few labelled objects teach as much as many (Ghiasi et al. 2021, "Simple copy-paste"). Outlines that do not
fill their boxes are not used: the separation went wrong, or another object hides this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.training.data.dataset import Dataset
from perception.training.data.object_pasting import Cutting
from perception.training.data.picture_mixing import is_picture
from perception.training.data.training_sample import TrainingSample

MOST = 900
"""Objects of each class that are kept."""

LEAST_HEIGHT, LEAST_WIDTH = 32.0, 12.0
"""Least size of the box of an object that is cut out, input pixels."""

AROUND = 0.25
"""So much of the size of a box is looked at around it: known background."""

WORK_PX = 112
"""The longer side at which GrabCut works: it takes about 30 ms of CPU."""

CORE = 0.25, 0.8
"""So much of the half width and height around its middle is certainly the object."""

ROUNDS = 4
SHARES = (0.25, 0.85)
"""The share of a box that an outline may fill."""

LEAST_FILLED = 0.7, 0.85
"""The least share of the width and of the height of the box that the outline reaches over."""


def cut_silhouettes(dataset: Dataset, seed: int, most: int = MOST) -> list[list[Cutting]]:
    """Return objects of the labelled pictures of a data set, about `most` of each class that has any.

    The same pictures and seed give the same objects.
    """
    found: dict[int, list[Cutting]] = {}
    seen = set()
    for index in np.random.default_rng([seed, len(dataset)]).permutation(dataset.pictures):
        sample = dataset[int(index)]
        if sample.id in seen or not is_picture(sample):
            continue
        seen.add(sample.id)
        enough = [label for label, same in found.items() if len(same) >= most]
        for cutting in _cuttings(sample, enough):
            found.setdefault(cutting.label, []).append(cutting)
    return list(found.values())


def _cuttings(sample: TrainingSample, enough: Sequence[int]) -> Iterator[Cutting]:
    """Yield the objects of one picture that can be cut out, but for the classes of which there are enough."""
    truth = sample.truth
    image = np.ascontiguousarray(sample.inputs.image.transpose(1, 2, 0))
    height, width = image.shape[:2]
    source_width, source_height = truth.source_size
    square = float(source_width / width / (source_height / height))  # width of an input pixel over its height
    size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    usable = (size >= (LEAST_WIDTH, LEAST_HEIGHT)).all(1) & (truth.labels >= 0) & (truth.visible >= 0.9)
    usable &= ~np.isin(truth.labels, enough)
    for label, box in zip(truth.labels[usable], truth.boxes[usable], strict=True):
        margin = AROUND * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)
        x1, y1, x2, y2 = (box + margin).round().astype(int).clip(0, [width, height] * 2)
        across = max(round((x2 - x1) * square), 1)
        crop = np.asarray(cv2.resize(image[y1:y2, x1:x2], (across, y2 - y1)), np.uint8)
        inner = (box - [x1, y1, x1, y1]) * [square, 1, square, 1]
        opacity = silhouette(crop, inner)
        if opacity is not None:
            yield _trimmed(int(label), crop, opacity)


def silhouette(pixels: NDArray[np.uint8], box: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """Return the opacity [h, w] of the object in a box; None: its outline is not found.

    Args:
        pixels: [h, w, 3], with some of what is around the box.
        box: [4] xyxy in these pixels.
    """
    scale = min(1.0, WORK_PX / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x1, y1, x2, y2 = (box * scale).round().astype(int)
    mask = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    inside = mask[y1:y2, x1:x2]
    if min(inside.shape) < 4 or inside.size == mask.size:
        return None
    y, x = (np.abs(np.linspace(-1, 1, n)) for n in inside.shape)
    inside[:] = np.where(x[None] ** 2.5 + y[:, None] ** 6 > 1.25, cv2.GC_PR_BGD, cv2.GC_PR_FGD)
    inside[(y[:, None] < CORE[1]) & (x[None] < CORE[0])] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(small, mask, (0, 0, 1, 1), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # all of it looks alike
        return None
    solid = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(solid)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    _, _, wide, high, area = stats[largest]
    rows, columns = inside.shape
    filled = wide / columns >= LEAST_FILLED[0] and high / rows >= LEAST_FILLED[1]
    if not (SHARES[0] <= area / inside.size <= SHARES[1] and filled):
        return None
    soft = cv2.GaussianBlur((parts == largest).astype(np.float32), (3, 3), 0)
    return np.asarray(cv2.resize(soft, pixels.shape[1::-1]), np.float32)


def _trimmed(label: int, pixels: NDArray[np.uint8], opacity: NDArray[np.float32]) -> Cutting:
    """Return the object without the empty rows and columns around it: its extent becomes its box."""
    rows, columns = np.flatnonzero((opacity > 0.5).any(1)), np.flatnonzero((opacity > 0.5).any(0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Cutting(label, pixels[part].copy(), opacity[part].copy())
