"""Objects pasted into labelled pictures (Dwibedi et al. 2017, "Cut, Paste and Learn").

They come from other samples, by their boxes (whose corners, mostly background, fade away) or along their
outlines, or are rendered for it. So classes that only the simulation has stand before real backgrounds, few
labelled objects stand before many, and close objects become small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.training.data.training_sample import SampleTruth, TrainingSample

MOST = 4
"""Objects that are pasted into one picture."""

LEAST_HEIGHT, MOST_HEIGHT = 6.0, 96.0
"""Height of an object of another sample when it is pasted, input pixels."""

MOST_CLOSE_HEIGHT = 220.0
CLOSE = 0.4
"""The share of objects with an outline that are as high as close ones: a third of the most or more."""

SQUARE_WIDTHS = (0.9, 1.5)
"""A picture of 4:3 is 1.5 times as wide for the model; one of 2:1 has square pixels."""

LEAST_SOURCE = 12.0
"""Height of an object that is cut out, input pixels."""

MOST_HIDDEN = 0.4
"""The largest share of an object that a pasted one may hide; otherwise it is not pasted."""

MOST_OUTSIDE = 0.35
"""The largest share of the width, and of the height, of an object with an outline that the edge cuts off."""

BAND = (0.35, 0.9)
"""The centres of pasted objects, fractions of the image's height: where things stand on the ground."""


class Cutting(NamedTuple):
    """An object with its outline: class index (-1: none), pixels [h, w, 3] RGB, opacity [h, w] from 0 to 1.

    Its pixels are square.
    """

    label: int
    pixels: NDArray[np.uint8]
    opacity: NDArray[np.float32]


class Look(NamedTuple):
    """How the light and the colours of an object change when it is pasted."""

    gains: tuple[float, float]  # of all channels
    tints: tuple[float, float]  # of each channel
    hues: float  # hues turn by up to this share of the circle


RENDERED = Look((0.8, 1.8), (0.6, 1.4), 0.1)
"""Lights and colours that the simulation does not have; orange cones become yellow or red."""

PHOTOGRAPHED = Look((0.75, 1.3), (0.92, 1.08), 0.0)


class Piece(NamedTuple):
    """An object to paste: class index (-1: none), pixels [h, w, 3], opacity [h, w] from 0 to 1."""

    label: int
    pixels: NDArray[np.float32]
    opacity: NDArray[np.float32]
    outside: float = 0.0  # share of its width and height that may be cut off


def with_objects(sample: TrainingSample, pieces: Sequence[Piece], rng: np.random.Generator) -> TrainingSample:
    """Return a picture with objects in it.

    Args:
        sample: A picture; its distances must be unknown or hold for it.
        pieces: The objects, from `cut_out` or `varied`.
        rng: The source of all random numbers.
    """
    image = sample.inputs.image.transpose(1, 2, 0).copy()
    truth = sample.truth
    for piece in pieces:
        whole = _place(piece, image.shape[:2], rng)
        x1, y1, x2, y2 = (int(v) for v in whole.clip(0, [image.shape[1], image.shape[0]] * 2))
        box = np.array([x1, y1, x2, y2], np.float32)
        hidden = _hidden(truth.boxes, box)
        if (hidden[truth.visible > 0] > MOST_HIDDEN).any():
            continue
        seen = slice(y1 - whole[1], y2 - whole[1]), slice(x1 - whole[0], x2 - whole[0])
        part = image[y1:y2, x1:x2].astype(np.float32)
        mixed = part + (piece.pixels[seen] - part) * piece.opacity[seen][..., None]
        image[y1:y2, x1:x2] = (mixed + 0.5).astype(np.uint8)
        truth = _added(truth, piece.label, box, hidden, piece.opacity[seen].size / piece.opacity.size)
    inputs = sample.inputs._replace(image=np.ascontiguousarray(image.transpose(2, 0, 1)))
    return sample._replace(inputs=inputs, truth=truth)


def cut_out(donor: TrainingSample, rng: np.random.Generator) -> Piece | None:
    """Return an object of a sample that is whole, large enough and less than half of the image, or None."""
    truth = donor.truth
    if not (donor.inputs.present[0] and truth.boxes_known and len(truth.labels)):
        return None
    size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    small = (size < np.array(donor.inputs.image.shape[:0:-1]) / 2).all(1)
    large = (size[:, 1] >= LEAST_SOURCE) & (size[:, 0] >= 4)
    which = np.flatnonzero(small & large & (truth.labels >= 0) & (truth.visible >= 0.9))
    if not len(which):
        return None
    index = int(rng.choice(which))
    low = truth.boxes[index, :2].round().astype(int).clip(0)
    high = truth.boxes[index, 2:].round().astype(int)
    cut = donor.inputs.image[:, low[1] : high[1], low[0] : high[0]].transpose(1, 2, 0)
    pixels = _resized(cut, (LEAST_HEIGHT, min(MOST_HEIGHT, 1.2 * cut.shape[0])), (0.85, 1.18), rng)
    across, along = (np.abs((np.arange(n) + 0.5) * 2 / n - 1) ** 4 for n in pixels.shape[1::-1])
    opacity = np.clip((1.3 - across[None] - along[:, None]) / 0.5, 0, 1).astype(np.float32)
    return Piece(int(truth.labels[index]), pixels, opacity)


def varied(cutting: Cutting, look: Look, rng: np.random.Generator) -> Piece:
    """Return an object with its outline at a random size, in another light."""
    pixels = _turned(cutting.pixels, round(rng.uniform(-look.hues, look.hues) * 180))
    # What is transparent has no colour.
    both = np.dstack([pixels * cutting.opacity[..., None], cutting.opacity * 255])
    most = min(MOST_CLOSE_HEIGHT, max(1.2 * len(pixels), LEAST_HEIGHT))
    least = most / 3 if rng.random() < CLOSE else most / 16
    scaled = _resized(both, (max(LEAST_HEIGHT, least), most), SQUARE_WIDTHS, rng)
    alpha = scaled[..., 3:] / np.float32(255)
    gains = rng.uniform(*look.gains) * rng.uniform(*look.tints, 3)
    colours = np.clip(scaled[..., :3] / np.maximum(alpha, 1e-3) * gains, 0, 255)
    return Piece(cutting.label, colours.astype(np.float32), alpha[..., 0], MOST_OUTSIDE)


def _turned(pixels: NDArray[np.uint8], steps: int) -> NDArray[np.uint8]:
    """Return RGB pixels with their hues turned, in steps of OpenCV: 180 for the whole circle."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + steps) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def _resized(
    cut: NDArray[np.uint8] | NDArray[np.float32],
    heights: tuple[float, float],
    widths: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return pixels [h, w, C], mirrored or not, at one of a range of heights, wider or narrower."""
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    height = round(float(np.exp(rng.uniform(*np.log(heights)))))
    width = max(round(cut.shape[1] * height / cut.shape[0] * rng.uniform(*widths)), 3)
    method = cv2.INTER_AREA if height < cut.shape[0] else cv2.INTER_LINEAR
    scaled = cv2.resize(np.ascontiguousarray(cut), (width, height), interpolation=method)
    return scaled.astype(np.float32)


def _place(piece: Piece, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return where an object goes: whole pixels x1, y1, x2, y2, beyond the image as far as it may."""
    height, width = piece.opacity.shape
    over_x, over_y = int(piece.outside * width), int(piece.outside * height)
    x = int(rng.integers(-over_x, max(shape[1] - width + over_x, -over_x) + 1))
    middle = rng.uniform(BAND[0], BAND[1] + piece.outside) * shape[0] - height / 2
    y = int(np.clip(middle, -over_y, max(shape[0] - height + over_y, -over_y)))
    return np.array([x, y, x + width, y + height], np.intp)


def _hidden(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the fraction of each box [N, 4] that another one covers."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1).clip(1e-6)
    fraction: NDArray[np.float32] = (high - low).clip(0).prod(1) / area
    return fraction


def _added(
    truth: SampleTruth, label: int, box: NDArray[np.float32], hidden: NDArray[np.float32], visible: float
) -> SampleTruth:
    # What is to be ignored, below 0, stays so.
    truth = truth._replace(visible=np.where(truth.visible > 0, truth.visible * (1 - hidden), truth.visible))
    if label < 0:
        return truth
    return truth._replace(
        labels=np.append(truth.labels, label),
        boxes=np.concatenate([truth.boxes, box[None]]),
        distance_m=np.append(truth.distance_m, np.float32(np.nan)),
        visible=np.append(truth.visible, np.float32(visible)),
    )
