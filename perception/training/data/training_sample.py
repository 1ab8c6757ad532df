"""Training samples and batches of them: the model's inputs and the truth, as numpy arrays.

Dimension letters: B batch, N boxes of a sample, A control channels, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.models.tensors import Inputs
from perception.types import Float32


class SampleTruth(NamedTuple):
    """The truth of one sample (without B), or of a batch, padded to the largest number of boxes."""

    labels: NDArray[np.int64]  # [B, N] index of the model's class; -1: padding
    boxes: Float32  # [B, N, 4] xyxy, input pixels
    distance_m: Float32  # [B, N] NaN where unknown
    visible: Float32  # [B, N] visible fraction of the object; `IGNORED`, `IGNORED_FOR_CLASS`: a region
    boxes_known: Float32  # [B] 0: nothing is known about objects at this sample
    control: Float32  # [B, A] physical units, NaN where unknown
    measured: Float32  # [B, A] the command in force now, NaN where unknown
    source_size: Float32  # [B, 2] width, height of the input in pixels of the image that truth refers to
    extra: Float32 = np.zeros(0, np.float32)  # [B, E] of further heads (`truth_columns`), NaN where unknown
    complete: Float32 = np.ones(1, np.float32)  # [B, C] 1: every object of the class has a box; 0: maybe not


class SampleId(NamedTuple):
    """Where a sample comes from: the index of its log in the data set, and its row in that log's cache."""

    log: int
    row: int


class TrainingSample(NamedTuple):
    """One sample."""

    inputs: Inputs
    truth: SampleTruth
    id: SampleId


class Batch(NamedTuple):
    """Several samples, stacked."""

    inputs: Inputs
    truth: SampleTruth
    ids: tuple[SampleId, ...]


class FeatureBatch(NamedTuple):
    """The stored features of several samples, and the control that is true of them."""

    features: Float32  # [B, F] of `FusionModel.control_reading`
    control: Float32  # [B, A] physical units, NaN where unknown
    ids: tuple[SampleId, ...]


IGNORED = -1.0
"""The visible fraction of a region to ignore, below every `min_visible`: neither learned nor punished,
whatever the class of the prediction."""

IGNORED_FOR_CLASS = -2.0
"""The visible fraction of a region to ignore for the class of its label alone: predictions of other classes
count as false there."""

PADDING = {"labels": -1, "boxes": 0, "distance_m": 1, "visible": 0}


def collate(samples: Sequence[TrainingSample]) -> Batch:
    """Stack samples; boxes are padded with `PADDING`."""
    boxes = max((len(sample.truth.labels) for sample in samples), default=0)
    truth = {}
    for name in SampleTruth._fields:
        arrays = [getattr(sample.truth, name) for sample in samples]
        if name in PADDING:
            arrays = [_padded(array, boxes, PADDING[name]) for array in arrays]
        truth[name] = np.stack(arrays)
    inputs = Inputs(*(np.stack(arrays) for arrays in zip(*(s.inputs for s in samples), strict=True)))
    return Batch(inputs, SampleTruth(**truth), tuple(sample.id for sample in samples))


def batch_rows(batch: Batch | FeatureBatch, rows: slice) -> Batch | FeatureBatch:
    """Return some samples of a batch."""
    if isinstance(batch, FeatureBatch):
        return FeatureBatch(batch.features[rows], batch.control[rows], batch.ids[rows])
    return Batch(
        Inputs(*(array[rows] for array in batch.inputs)),
        SampleTruth._make(array[rows] for array in batch.truth),
        batch.ids[rows],
    )


def _padded(array: NDArray[Any], length: int, fill: float) -> NDArray[Any]:
    padding = np.full((length - len(array), *array.shape[1:]), fill, array.dtype)
    return np.concatenate([array, padding])
