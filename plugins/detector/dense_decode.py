"""Decoding of raw maps: values or distributions for each cell, as FastestDet, NanoDet and YOLOX have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def decode_grid(grid: Array, size: tuple[int, int], min_score: float) -> tuple[Array, Array, Array]:
    """Return boxes [K, 4] in pixels of the input, scores and labels of a grid [5 + C, h, w].

    A cell has objectness, x and y (tanh, in cells from the cell), w and h (sigmoid, fractions of the picture)
    and the classes; its score is objectness^0.6 * class^0.4 (dog-qiuqiu/FastestDet).
    """
    _, rows, columns = grid.shape
    flat = grid.reshape(len(grid), -1)
    classes = flat[5:]
    best = np.maximum(flat[0], 0) ** 0.6 * np.maximum(classes.max(0), 0) ** 0.4
    kept = np.flatnonzero(~(best < min_score))
    cells, (y, x) = flat[:, kept], np.divmod(kept, columns)
    shape = np.array([[columns], [rows]])
    centre = (np.tanh(cells[1:3]) + np.stack([x, y])) / shape * np.array(size)[:, None]
    half = sigmoid(cells[3:5]) * (np.array(size)[:, None] / 2)
    return np.concatenate([centre - half, centre + half]).T, best[kept], cells[5:].argmax(0)


def decode_distribution(
    tables: Sequence[Array], strides: Sequence[int], classes: int, size: tuple[int, int], min_score: float
) -> tuple[Array, Array, Array]:
    """Return boxes, scores and labels of distributions of the four distances from a cell to the sides.

    Args:
        tables: [n, C] and [n, 4 B] for each level, in any order; or one [N, C + 4 B] for all levels.
        strides: Pixels of the input for each cell of the levels.
        classes: C.

    A distance is the expected bin times the stride (Li et al., Generalized Focal Loss, 2020). In files of
    pairs (NanoDet) a cell's place is its middle; in those of one table (NanoDet-Plus) its upper left corner.
    """
    boxes, scores, labels = [], [], []
    for stride, cells, sides in _levels(tables, strides, classes, size):
        best = cells.max(1)
        kept = np.flatnonzero(~(best < min_score))
        columns = -(-size[0] // stride)
        shift = 0.0 if len(tables) == 1 else 0.5
        x, y = (kept % columns + shift) * stride, (kept // columns + shift) * stride
        left, top, right, bottom = (_expected(sides[kept]) * stride).T
        boxes.append(np.stack([x - left, y - top, x + right, y + bottom], 1))
        scores.append(best[kept])
        labels.append(cells[kept].argmax(1))
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels)


def place_cells(
    boxes: Array, indices: NDArray[np.intp], strides: Sequence[int], size: tuple[int, int]
) -> Array:
    """Return centres and sizes in pixels, of offsets from cells and logarithms of sizes (YOLOX).

    Args:
        boxes: [K, 4], in cells.
        indices: [K], the row that each has among the cells of all levels.
    """
    starts = np.cumsum([0, *(-(-size[0] // s) * -(-size[1] // s) for s in strides)])
    level = np.searchsorted(starts, indices, side="right") - 1
    if len(indices) and (level.max() >= len(strides)):
        raise ValueError(f"more rows than cells of the strides {list(strides)}")
    stride = np.asarray(strides)[level]
    columns, within = -(-size[0] // stride), indices - starts[level]
    place = np.stack([within % columns, within // columns], 1)
    with np.errstate(over="ignore"):
        sizes = np.exp(boxes[:, 2:].astype(np.float64))
    return np.concatenate([(boxes[:, :2] + place) * stride[:, None], sizes * stride[:, None]], 1)


def sigmoid(values: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))))


def _levels(
    tables: Sequence[Array], strides: Sequence[int], classes: int, size: tuple[int, int]
) -> list[tuple[int, Array, Array]]:
    """Return the stride, the classes and the distributions of each level."""
    cells = [(-(-size[0] // s)) * (-(-size[1] // s)) for s in strides]
    if len(tables) == 1:
        parts = np.split(tables[0], np.cumsum(cells)[:-1])
        return [(s, part[:, :classes], part[:, classes:]) for s, part in zip(strides, parts, strict=True)]
    levels = []
    for stride, count in zip(strides, cells, strict=True):
        pair = [table for table in tables if len(table) == count]
        if len(pair) != 2:
            raise ValueError(f"expected two tables of {count} rows for the stride {stride}")
        pair = pair if pair[0].shape[1] == classes else pair[::-1]
        levels.append((stride, pair[0], pair[1]))
    return levels


def _expected(sides: Array) -> Array:
    """Return the expected bin of each side: [K, 4 B] -> [K, 4]."""
    logits = sides.reshape(len(sides), 4, sides.shape[1] // 4).astype(np.float64)  # K may be 0
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.exp(logits - logits.max(2, keepdims=True))
        weights = powers / powers.sum(2, keepdims=True)
    return np.asarray(weights @ np.arange(logits.shape[2]))
