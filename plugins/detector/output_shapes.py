"""What names and shapes of the outputs of a file say: which hold boxes, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Outputs = Mapping[str, NDArray[Any]]


def core(array: NDArray[Any], least: int = 2) -> NDArray[Any]:
    """Return an array without its leading dimensions of 1, down to so many dimensions; of boxes [N, 1, 4] (of
    every class, as YOLOv4 has them) also without the other one."""
    while array.ndim > least and array.shape[0] == 1:
        array = array[0]
    return array[..., 0, :] if array.ndim > least and array.shape[-2:] == (1, 4) else array


def scored_boxes_of(outputs: Outputs) -> list[str]:
    """Return the name of the output of boxes with their scores [N, 5] beside one of whole labels [N] (files
    of MMDetection); empty: the outputs are others."""
    fives = [n for n, a in outputs.items() if a.ndim > 1 and a.shape[-1] == 5 and a.dtype.kind == "f"]
    labels = [name for name, array in outputs.items() if array.dtype.kind in "iu"]
    if len(fives) != 1 or not labels:
        return []
    rows = outputs[fives[0]].size // 5
    return fives if any(outputs[name].size == rows for name in labels) else []


def unit_of(boxes: NDArray[Any]) -> dict[str, str]:
    """Return the unit of boxes (centre, size) where it is not pixels: a cell of pixels is wider than 1.5."""
    low, high = float(boxes.min(initial=0)), float(boxes.max(initial=0))
    return {"unit": "fraction"} if low > -0.5 and 0 < high < 1.5 else {}


_SCORE_WORDS = ("score", "conf", "logit", "prob", "cls", "class", "label")


def is_offsets(table: NDArray[Any]) -> bool:
    """Return whether rows of four numbers are no boxes: neither corners nor sizes are in order."""
    if len(table) < 10:
        return False
    in_order = (table[:, 2:] > table[:, :2]).all(1).mean(), (table[:, 2:] > 0).all(1).mean()
    return bool(max(in_order) < 0.9)


def boxes_of(outputs: Outputs) -> list[str]:
    """Return the names of the outputs that hold four numbers in each row: of several those that are not
    called scores, and have the most dimensions, since four scores may lie in a row as well."""
    able = {
        name: array.ndim
        for name, array in outputs.items()
        if array.ndim >= 2 and array.shape[-1] == 4 and array.dtype.kind == "f"
    }
    if len(able) > 1:
        scores = [name for name in able if any(word in name.lower() for word in _SCORE_WORDS)]
        able = {name: ndim for name, ndim in able.items() if name not in scores} or able
    return [name for name, dimensions in able.items() if dimensions == max(able.values())]
