"""The boxes that a model sees in enlarged parts of samples: a second look at what is small.

Detectors miss small objects that they find in an enlarged part of the same picture (Akyon et al. 2022,
Slicing aided hyper inference), and boxes that several scales confirm are better labels than those of one
(Radosavovic et al. 2018, Data distillation). Distances of an enlarged view mean nothing: objects look nearer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from perception.models import FusionModel
from perception.models.tensors import RETURN_CHANNELS
from perception.training.adaptation.views import COUNTED_SCORE, SeenBoxes, TwoViews, boxes_of
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import TrainingSample
from perception.training.validation import predict
from perception.types import Float64

PARTS = 3
"""Parts of half the width and height, side by side with half of each in common."""

MARGIN_PX = 3
"""Boxes closer than this to an edge inside the picture may be cut there, and are left out."""

SAMPLES_AT_ONCE = 2

EVERYWHERE: Float64 = np.array([-np.inf, -np.inf, np.inf, np.inf])
"""The region of a view of the whole picture."""

U, V, IN_IMAGE = (RETURN_CHANNELS.index(name) for name in ("u", "v", "in_image"))


class RegionView(NamedTuple):
    """Boxes in input pixels of the whole picture, and the region in which they are not cut."""

    seen: SeenBoxes
    region: Float64  # [4] xyxy, input pixels


class _PicturePart(NamedTuple):
    """A part of the input picture, in whole pixels."""

    left: int
    top: int
    width: int
    height: int


def seen_enlarged(model: FusionModel, dataset: Dataset, views: Sequence[TwoViews]) -> list[list[RegionView]]:
    """Return what a model sees in enlarged parts of each sample; nothing of those without a picture.

    Args:
        model: On its device, in evaluation mode.
        dataset: The samples.
        views: What it sees in them whole: where boxes are says where to look.
    """
    width, height = model.config.input_width, model.config.input_height
    device = next(model.parameters()).device
    rows = _rows_of_parts(dataset, views, width, height)
    enlarged: list[list[RegionView]] = []
    for start in range(0, len(dataset), SAMPLES_AT_ONCE):
        samples = [dataset[index] for index in range(start, min(start + SAMPLES_AT_ONCE, len(dataset)))]
        parts = [rows[sample.id.log] if sample.inputs.present[0] else [] for sample in samples]
        zoomed = [
            _enlarged(sample, part) for sample, chosen in zip(samples, parts, strict=True) for part in chosen
        ]
        predictions = predict(model, zoomed, device) if zoomed else None
        place = 0
        for chosen in parts:
            of_sample = []
            for part in chosen:
                assert predictions is not None
                of_sample.append(_in_whole(boxes_of(predictions, place), part, width, height))
                place += 1
            enlarged.append(of_sample)
    return enlarged


def _rows_of_parts(
    dataset: Dataset, views: Sequence[TwoViews], width: int, height: int
) -> dict[int, list[_PicturePart]]:
    """Return the parts for each log: a row around the median height of its boxes."""
    part_width, part_height = width // 2, height // 2
    centres: dict[int, list[Float64]] = {sample.log: [] for sample in dataset.ids}
    for sample, view in zip(dataset.ids, views, strict=True):
        boxes = view.plain.boxes[view.plain.scores >= COUNTED_SCORE]
        centres[sample.log].append((boxes[:, 1] + boxes[:, 3]) / 2)
    rows = {}
    for log, found in centres.items():
        heights = np.concatenate(found)
        centre = float(np.median(heights)) if len(heights) else height / 2
        top = int(np.clip(round(centre - part_height / 2), 0, height - part_height))
        lefts = np.linspace(0, width - part_width, PARTS).round().astype(int)
        rows[log] = [_PicturePart(int(left), top, part_width, part_height) for left in lefts]
    return rows


def _enlarged(sample: TrainingSample, part: _PicturePart) -> TrainingSample:
    """Return a sample whose picture is one part, enlarged; returns outside of it are in no picture."""
    inputs = sample.inputs
    height, width = inputs.image.shape[1:]
    rows, columns = slice(part.top, part.top + part.height), slice(part.left, part.left + part.width)
    image = np.stack(
        [cv2.resize(np.ascontiguousarray(p[rows, columns]), (width, height)) for p in inputs.image]
    )
    returns = inputs.returns.copy()
    inside = returns[:, IN_IMAGE] > 0
    returns[inside, U] = (returns[inside, U] - part.left) * (width / part.width)
    returns[inside, V] = (returns[inside, V] - part.top) * (height / part.height)
    u, v = returns[:, U], returns[:, V]
    returns[inside & ((u < 0) | (u >= width) | (v < 0) | (v >= height)), IN_IMAGE] = 0
    returns[returns[:, IN_IMAGE] == 0, :2] = 0
    return sample._replace(inputs=inputs._replace(image=image, returns=returns))


def _in_whole(seen: SeenBoxes, part: _PicturePart, width: int, height: int) -> RegionView:
    """Return boxes of an enlarged part as a view of the whole, without those that an edge may have cut."""
    scale = np.array([part.width / width, part.height / height] * 2)
    boxes = seen.boxes * scale + np.array([part.left, part.top] * 2)
    right, bottom = part.left + part.width, part.top + part.height
    region = np.array(
        [
            part.left + MARGIN_PX if part.left > 0 else -np.inf,
            part.top + MARGIN_PX if part.top > 0 else -np.inf,
            right - MARGIN_PX if right < width else np.inf,
            bottom - MARGIN_PX if bottom < height else np.inf,
        ]
    )
    whole = (boxes[:, :2] >= region[:2]).all(1) & (boxes[:, 2:] <= region[2:]).all(1)
    return RegionView(seen._replace(boxes=boxes, box_std=seen.box_std * scale).take(whole), region)
