"""A detector's outputs to candidates: boxes in pixels of its input, scores and labels.

Dimension letters: N candidates in the file, K those that are kept, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_plugins.detector.dense_decode import decode_distribution, decode_grid, place_cells, sigmoid
from perception_plugins.detector.layouts import BoxFormat, OutputLayout
from perception_plugins.detector.output_shapes import core

Array = NDArray[Any]


class Candidates(NamedTuple):
    """Boxes `xyxy` float64 [K, 4] in pixels of the input, scores [K] and labels [K]."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]

    def take(self, places: NDArray[np.intp] | slice) -> Candidates:
        """Return the candidates at these places, in their order."""
        return Candidates(self.boxes[places], self.scores[places], self.labels[places])


class WrongOutput(Exception):
    """Outputs that are not as the layout says. The text becomes the error of the detections."""


def candidates_of(
    outputs: Mapping[str, Array], layout: OutputLayout, size: tuple[int, int], min_score: float
) -> Candidates:
    """Return the candidates of one picture whose score is at least `min_score`.

    Args:
        outputs: Those of one call, by name.
        layout: Their layout, every part named in `layout.outputs`.
        size: Width and height of the input.

    Raises:
        WrongOutput: A score or a box is not finite, scores are none, or arrays have other shapes than in the
            trial.
    """
    # Numbers of 16 bits are exact to half a pixel only: boxes are computed in 32.
    outputs = {name: _wide(array) for name, array in outputs.items()}
    try:
        boxes, scores, labels = _DECODERS[layout.kind](outputs, layout, size, min_score)
    except (IndexError, ValueError) as error:
        shapes = ", ".join(f"{name} {list(np.shape(array))}" for name, array in outputs.items())
        raise WrongOutput(f"outputs do not have the layout {layout.kind}: {error}; found {shapes}") from None
    boxes = boxes.astype(np.float64)
    if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
        raise WrongOutput("the model gave scores or boxes that are not finite")
    _check_range(scores, layout)
    _check_boxes(boxes, scores, layout, size)
    return Candidates(boxes, np.clip(scores.astype(np.float64), 0.0, 1.0), labels.astype(np.int64))


def _wide(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _check_range(scores: Array, layout: OutputLayout) -> None:
    """Raise if scores are outside 0 to 1: they are logits. Final detections may be padded with -1."""
    padded = layout.kind == "list" or "labels" in layout.outputs
    low, high = (float(scores.min()), float(scores.max())) if scores.size else (0.0, 0.0)
    if high > 1.01 or (low < -0.01 and not padded):
        raise WrongOutput(
            f"expected scores from 0 to 1, found {low:.3g} to {high:.3g}: logits? give output.activation: "
            "sigmoid or softmax"
        )


def _check_boxes(boxes: Array, scores: Array, layout: OutputLayout, size: tuple[int, int]) -> None:
    """Raise if boxes are those of another unit or order than the layout says."""
    if not len(boxes):
        return
    if layout.unit == "pixels" and not layout.strides:
        farthest = max(float(boxes.max()), -float(boxes.min()))
        if 0.01 < farthest <= 1.5:
            raise WrongOutput(
                f"every box lies within {farthest:.3g} pixels of the corner: are they fractions? give "
                "output.unit: fraction"
            )
    if layout.unit == "fraction":
        farthest = float(np.abs(boxes[int(scores.argmax())]).max())
        if farthest > 8 * max(size):
            raise WrongOutput(
                f"the best box reaches {farthest / max(size):.3g} times the picture: pixels? give "
                "output.unit: pixels"
            )
    if layout.kind in ("list", "separate"):
        turned = ((boxes[:, 2:] - boxes[:, :2]) < -1.0).any(1).mean()
        if turned > MOST_TURNED:
            raise WrongOutput(
                f"{turned:.0%} of the boxes end before they begin: centres and sizes? give output.boxes: "
                "cxcywh or xywh (of a list: columns)"
            )


MOST_TURNED = 0.1
"""Boxes whose right or lower edge lies before the other, of all, at most."""


def corners(boxes: Array, form: BoxFormat) -> Array:
    """Return boxes [K, 4] of any format as `xyxy`."""
    a, b, c, d = boxes.T
    if form == "cxcywh":
        return np.stack([a - c / 2, b - d / 2, a + c / 2, b + d / 2], 1)
    if form == "xywh":
        return np.stack([a, b, a + c, b + d], 1)
    return boxes[:, [1, 0, 3, 2]] if form == "yxyx" else boxes


def activated(values: Array, how: str) -> Array:
    """Return numbers [N, C] as scores: as they are, sigmoid, or softmax over the classes."""
    if how == "none":
        return values
    if how == "sigmoid":
        return sigmoid(values)
    values = values.astype(np.float64)
    with np.errstate(over="ignore"):
        powers = np.exp(values - values.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))


def _above(scores: Array, min_score: float) -> NDArray[np.intp]:
    """Return the places of scores that are not below; what is not a number stays, to be reported."""
    return np.flatnonzero(~(scores < min_score))


def _best(scores: Array, objectness: Array | None, min_score: float, axis: int) -> tuple[Array, Array, Array]:
    """Return the places of the kept candidates, their scores and their best classes."""
    best = scores.max(axis)
    if objectness is not None:
        best = best * objectness
    kept = _above(best, min_score)
    return kept, best[kept], scores.take(kept, 1 - axis).argmax(axis)


def _rows(
    outputs: Mapping[str, Array], layout: OutputLayout, size: tuple[int, int], min_score: float
) -> tuple[Array, Array, Array]:
    table = core(outputs[layout.outputs["rows"]])
    table = table if layout.transposed else table.T  # [4 + C, N]
    first = 5 if layout.objectness else 4
    end = first + layout.classes if layout.classes else len(table)
    objectness = table[4] if layout.objectness else None
    scores = table[first:end]
    if layout.activation != "none":
        scores = activated(scores.T, layout.activation).T
        objectness = None if objectness is None else activated(objectness[:, None], layout.activation)[:, 0]
    kept, best, labels = _best(scores, objectness, min_score, 0)
    boxes = table[:4, kept].T
    if layout.strides:
        boxes = place_cells(boxes, kept, layout.strides, size)
    return _pixels(corners(boxes, layout.boxes), layout, size), best, labels


def _list(
    outputs: Mapping[str, Array], layout: OutputLayout, size: tuple[int, int], min_score: float
) -> tuple[Array, Array, Array]:
    table = core(outputs[layout.outputs["rows"]])
    at: dict[str, int] = {name: place for place, name in enumerate(layout.columns)}
    kept = _above(table[:, at["score"]], min_score)
    table = table[kept]
    form: BoxFormat = "cxcywh" if "cx" in at else "xyxy"
    names = ("cx", "cy", "w", "h") if "cx" in at else ("x1", "y1", "x2", "y2")
    boxes = corners(table[:, [at[name] for name in names]], form)
    labels = table[:, at["label"]] if "label" in at else np.zeros(len(table)) + layout.first_label
    return _pixels(boxes, layout, size), table[:, at["score"]], _whole(labels) - layout.first_label


def _separate(
    outputs: Mapping[str, Array], layout: OutputLayout, size: tuple[int, int], min_score: float
) -> tuple[Array, Array, Array]:
    names = layout.outputs
    table = outputs[names["boxes"]]
    boxes = table.reshape(-1, table.shape[-1])  # [N, 5]: the score follows the box (MMDetection)
    boxes, scores = boxes[:, :4], boxes[:, 4] if boxes.shape[1] == 5 else outputs[names["scores"]]
    if "labels" in names:
        scores, labels = scores.reshape(-1), outputs[names["labels"]].reshape(-1)
        if "count" in names:
            count = int(_whole(outputs[names["count"]].reshape(-1)[:1])[0])
            boxes, scores, labels = boxes[:count], scores[:count], labels[:count]
        if not len(boxes) == len(scores) == len(labels):
            raise ValueError(f"{len(boxes)} boxes, {len(scores)} scores and {len(labels)} labels")
        kept = _above(scores, min_score)
        best, labels = scores[kept], _whole(labels[kept]) - layout.first_label
    else:
        by_class = -1 if len(boxes) else scores.shape[-1]  # -1 of nothing is ambiguous
        scores = activated(scores.reshape(len(boxes), by_class), layout.activation)
        first = 1 if layout.background == "first" else 0
        end = scores.shape[1] - (1 if layout.background == "last" else 0)
        kept, best, labels = _best(scores[:, first:end], None, min_score, 1)
    return _pixels(corners(boxes[kept], layout.boxes), layout, size), best, labels


def _grid(
    outputs: Mapping[str, Array], layout: OutputLayout, size: tuple[int, int], min_score: float
) -> tuple[Array, Array, Array]:
    return decode_grid(core(outputs[layout.outputs["rows"]], 3), size, min_score)


def _distribution(
    outputs: Mapping[str, Array], layout: OutputLayout, size: tuple[int, int], min_score: float
) -> tuple[Array, Array, Array]:
    tables = [core(array) for array in outputs.values() if core(array).ndim == 2]
    return decode_distribution(tables, layout.strides, layout.classes, size, min_score)


_DECODERS = {
    "rows": _rows,
    "list": _list,
    "separate": _separate,
    "grid": _grid,
    "distribution": _distribution,
}


def _whole(labels: Array) -> Array:
    if not np.isfinite(labels).all():
        raise ValueError("labels that are not finite")
    return np.rint(labels).astype(np.int64)


def _pixels(boxes: Array, layout: OutputLayout, size: tuple[int, int]) -> Array:
    """Return boxes `xyxy` in pixels of the input."""
    return boxes * np.array([*size, *size], boxes.dtype) if layout.unit == "fraction" else boxes
