"""Batches of arrays as every backend takes them: their shapes, their checks, their parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from perception.models.config import ModelConfig
from perception.models.tensors import RETURN_CHANNELS, Inputs, Predictions


def zero_inputs(config: ModelConfig, rows: int) -> Inputs:
    """As many absent samples."""
    shapes = Inputs(
        image=(3, config.input_height, config.input_width),
        returns=(config.returns, len(RETURN_CHANNELS)),
        returns_valid=(config.returns,),
        status=(config.steps, len(config.status)),
        present=(3,),
        age_s=(3,),
    )
    return Inputs(
        *(
            np.zeros((rows, *shape), np.uint8 if name == "image" else np.float32)
            for name, shape in zip(Inputs._fields, shapes, strict=True)
        )
    )


def count_of(inputs: Inputs, like: Inputs, batch: int) -> int:
    """How many samples there are.

    Args:
        like: Arrays whose shapes, but for the first dimension, and types are the model's.

    Raises:
        ValueError: There are more than the run's batch, or none, or an array has another shape or type.
    """
    count = len(np.asarray(inputs.present))
    if not 1 <= count <= batch:
        raise ValueError(f"expected 1 to {batch} samples, found {count}")
    for name, array, model in zip(Inputs._fields, inputs, like, strict=True):
        given, want = np.asarray(array), (count, *model.shape[1:])
        if given.shape != want or given.dtype != model.dtype:
            raise ValueError(f"{name}: expected {model.dtype} {want}, found {given.dtype} {given.shape}")
    return count


def parts_of(inputs: Inputs, rows: int) -> Iterator[Inputs]:
    """The batch in parts of at most so many samples."""
    for start in range(0, len(inputs.present), rows):
        yield Inputs(*(array[start : start + rows] for array in inputs))


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The answers of the parts as those of one batch."""
    return parts[0] if len(parts) == 1 else Predictions(*map(np.concatenate, zip(*parts, strict=True)))


def only(inputs: Inputs, subset: NDArray[np.bool_]) -> Inputs:
    """The batch with the sensors outside the subset absent."""
    return inputs._replace(present=np.where(subset, inputs.present, np.float32(0)))
