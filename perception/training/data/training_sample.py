"""What one training sample is: the model's inputs and what is true, as numpy arrays.

Dimension letters: B batch, N boxes of a sample, A control channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.models.tensors import Inputs
from perception.types import Float32


class SampleTruth(NamedTuple):
    """What is true at one sample (without B), or at a batch of them, padded to the most boxes of any."""

    labels: NDArray[np.int64]  # [B, N] place in the model's classes; -1: padding
    boxes: Float32  # [B, N, 4] xyxy, input pixels
    distance_m: Float32  # [B, N] NaN where unknown
    visible: Float32  # [B, N] fraction of the object that is seen
    boxes_known: Float32  # [B] 0: nothing is known about objects at this sample
    control: Float32  # [B, A] physical units, NaN where unknown
    measured: Float32  # [B, A] the command in force now, NaN where unknown
    source_size: Float32  # [B, 2] width, height of the image that truth refers to, source pixels


class TrainingSample(NamedTuple):
    """One sample. `place` says where it came from: log and sample of it."""

    inputs: Inputs
    truth: SampleTruth
    place: tuple[int, int]


class Batch(NamedTuple):
    """Several samples, stacked."""

    inputs: Inputs
    truth: SampleTruth
    places: tuple[tuple[int, int], ...]


class FeatureBatch(NamedTuple):
    """Several samples as the control head reads them, and what it should say."""

    readings: Float32  # [B, F] of `FusionModel.control_reading`
    control: Float32  # [B, A] physical units, NaN where unknown
    places: tuple[tuple[int, int], ...]


def collate(examples: Sequence[TrainingSample]) -> Batch:
    """Stack samples; boxes are padded with label -1."""
    most = max((len(e.truth.labels) for e in examples), default=0)
    truth = SampleTruth(
        labels=np.stack([_padded(e.truth.labels, most, -1) for e in examples]),
        boxes=np.stack([_padded(e.truth.boxes, most, 0) for e in examples]),
        distance_m=np.stack([_padded(e.truth.distance_m, most, 1) for e in examples]),
        visible=np.stack([_padded(e.truth.visible, most, 0) for e in examples]),
        boxes_known=np.stack([e.truth.boxes_known for e in examples]),
        control=np.stack([e.truth.control for e in examples]),
        measured=np.stack([e.truth.measured for e in examples]),
        source_size=np.stack([e.truth.source_size for e in examples]),
    )
    inputs = Inputs(*(np.stack(arrays) for arrays in zip(*(e.inputs for e in examples), strict=True)))
    return Batch(inputs, truth, tuple(e.place for e in examples))


def rows(batch: Batch | FeatureBatch, kept: slice) -> Batch | FeatureBatch:
    """Some samples of a batch."""
    if isinstance(batch, FeatureBatch):
        return FeatureBatch(batch.readings[kept], batch.control[kept], batch.places[kept])
    return Batch(
        Inputs(*(array[kept] for array in batch.inputs)),
        SampleTruth._make(array[kept] for array in batch.truth),
        batch.places[kept],
    )


def _padded(array: NDArray[Any], length: int, fill: float) -> NDArray[Any]:
    padding = np.full((length - len(array), *array.shape[1:]), fill, array.dtype)
    return np.concatenate([array, padding])
