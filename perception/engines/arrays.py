"""Named arrays as every backend takes and returns them: specifications, checks, parts of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
"""Name -> array. The first dimension of every array is the batch."""


class ArraySpec(NamedTuple):
    """The type and shape of one row of an array, without the batch dimension. None: any size."""

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    @property
    def fixed(self) -> bool:
        """Whether every dimension has one size."""
        return None not in self.shape

    def zeros(self, rows: int) -> NDArray[Any]:
        """Return zeros for so many rows; a dimension of any size is 1."""
        return np.zeros((rows, *(size or 1 for size in self.shape)), self.dtype)


def by_name(inputs: Arrays | tuple[Any, ...]) -> Arrays:
    """Return a mapping or a NamedTuple of arrays as a mapping. Nothing is copied."""
    if isinstance(inputs, Mapping):
        return inputs
    named: Arrays = inputs._asdict()  # type: ignore[attr-defined]
    return named


def count_rows(inputs: Arrays, specs: Mapping[str, ArraySpec], batch: int) -> int:
    """Return the number of rows.

    Raises:
        ValueError: There are none or more than `batch`, a name is missing or unknown, or an array has
            another shape or type than its specification.
    """
    if inputs.keys() != specs.keys():
        raise ValueError(f"inputs: expected {', '.join(specs)}; found {', '.join(inputs) or 'none'}")
    count: int = next((np.shape(inputs[name])[0] for name in specs if np.ndim(inputs[name])), 0)
    if not 1 <= count <= batch:
        raise ValueError(f"expected 1 to {batch} samples, found {count}")
    for name, spec in specs.items():
        array = np.asarray(inputs[name])
        shape = (count, *spec.shape)
        fits = len(array.shape) == len(shape) and all(
            size in (None, found) for size, found in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype != spec.dtype:
            wanted = f"({', '.join('any' if size is None else str(size) for size in shape)})"
            raise ValueError(f"{name}: expected {spec.dtype} {wanted}, found {array.dtype} {array.shape}")
    return count


def parts_of(inputs: Arrays, names: Sequence[str], rows: int) -> Iterator[list[NDArray[Any]]]:
    """Yield the arrays of these names, in this order, in parts of at most so many rows."""
    for start in range(0, len(inputs[names[0]]), rows):
        yield [inputs[name][start : start + rows] for name in names]


def joined(names: Sequence[str], parts: Sequence[Sequence[NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the outputs of consecutive parts as those of one batch."""
    columns = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return dict(zip(names, columns, strict=True))
