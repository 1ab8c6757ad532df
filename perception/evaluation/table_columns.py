"""Columns of tables as arrays: numbers, and texts as codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.frame_columns import ANY_CLASS
from perception.types import Float64

Places = NDArray[np.intp]


def numbers(table: Any, name: str) -> NDArray[Any]:
    """Return a column; null becomes NaN."""
    values: NDArray[Any] = table.column(name).to_numpy()
    return values


def number_table(table: Any, names: Sequence[str]) -> Float64:
    """Return columns of numbers, [N, len(names)]; null becomes NaN."""
    values = np.empty((len(table), len(names)))
    for place, name in enumerate(names):
        values[:, place] = table.column(name).to_numpy()
    return values


def text_codes(table: Any, name: str) -> tuple[Places, list[str]]:
    """Return a column of texts as places among its texts, which are in the order of their occurrence."""
    encoded = table.column(name).combine_chunks().dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy().astype(np.intp), encoded.dictionary.to_pylist()


def numbered_names(*columns: tuple[Places, Sequence[str], Places]) -> dict[str, int]:
    """Return the numbers of texts, which may be in several columns, in the order of the frames they are in.

    Args:
        columns: Codes, texts, and the frames of the rows; of a frame the first column comes first.
    """
    firsts = []
    for place, (codes, texts, frame) in enumerate(columns):
        used, row = np.unique(codes, return_index=True)
        firsts += [(int(frame[r]), place, int(r), texts[code]) for code, r in zip(used, row, strict=True)]
    return {text: number for number, text in enumerate(dict.fromkeys(first[3] for first in sorted(firsts)))}


def renumbered(codes: Places, texts: Sequence[str], names: Mapping[str, int]) -> Places:
    """Return codes of texts as the numbers of their names; `ANY_CLASS` for others."""
    return np.array([names.get(text, ANY_CLASS) for text in (*texts, "")], np.intp)[codes]
