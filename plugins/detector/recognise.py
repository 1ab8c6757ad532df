"""Which family wrote a file: decided by names and shapes of its inputs and outputs, with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_plugins.detector.final_rows import final_rows
from perception_plugins.detector.labels import labels_in_metadata
from perception_plugins.detector.output_shapes import boxes_of, core, is_offsets, scored_boxes_of, unit_of
from perception_plugins.detector.trial import Match, Trial


def matches(trial: Trial, fits: Callable[[int], bool], more_columns: bool = False) -> list[Match]:
    """Return every reading of a file whose number of classes fits; `more_columns`: others may follow them.

    A table beside maps or a count alone is read by itself: masks of instances, the maps that the table was
    made of, or how many rows there are.
    """
    counts = [name for name, array in trial.outputs.items() if array.size == 1 and array.dtype.kind in "iu"]
    maps = [name for name, array in trial.outputs.items() if core(array).ndim > 2]
    tables = {
        name: array for name, array in trial.outputs.items() if core(array).ndim == 2 and name not in counts
    }
    others = [*maps, *counts]
    if len(tables) == 1 and others and len(others) + 1 == len(trial.outputs):
        (name,) = tables
        beside = f", beside {', '.join(others)}, which hold no boxes and are not used"
        found = [
            replace(m, reason=m.reason + beside, output={**m.output, "outputs": {"rows": name}})
            for m in _single(replace(trial, outputs=tables), fits, more_columns=more_columns or bool(maps))
        ]
    else:
        found = [*_single(trial, fits, more_columns)] if len(trial.outputs) == 1 else [*_several(trial, fits)]
    return [match for match in found if match.classes is None or (match.classes > 0 and fits(match.classes))]


def _single(trial: Trial, fits: Callable[[int], bool], more_columns: bool = False) -> Iterator[Match]:
    """Yield the readings of one output; `more_columns`: masks or key points may follow the classes."""
    ((name, array),) = trial.outputs.items()
    array = core(array)
    shape = f"{name} {list(array.shape)}"
    if array.ndim == 3:
        yield from _grid(trial, array, shape)
    elif array.ndim == 2:
        yield from _rows(trial, array, shape, fits, more_columns)


def _grid(trial: Trial, array: NDArray[Any], shape: str) -> Iterator[Match]:
    depth, rows, columns = array.shape
    if rows * 16 == trial.height and columns * 16 == trial.width:
        reason = f"{shape} is one cell for each 16 pixels, with 5 values and {depth - 5} classes"
        yield Match("fastestdet", reason, {}, depth - 5)


def _rows(
    trial: Trial, array: NDArray[Any], shape: str, fits: Callable[[int], bool], more_columns: bool
) -> Iterator[Match]:
    count, width = array.shape
    ultralytics = "names" in trial.metadata and "stride" in trial.metadata
    named = len(labels_in_metadata(trial.metadata)) if ultralytics else 0

    def classes_in(columns: int) -> int:
        if 0 < named <= columns:  # masks or key points may follow
            return named
        if not (ultralytics or more_columns):
            return columns
        return next((c for c in range(1, columns + 1) if fits(c)), columns)

    if trial.levels(width):  # candidates are the last dimension
        reason = f"{shape} is a box and classes for each cell of the strides {_text(trial, width)}"
        if ultralytics:
            reason = f"{shape}, and its metadata are those of Ultralytics"
        yield Match("yolov8", reason, unit_of(array[:4]), classes_in(count - 4))
    if count % 3 == 0 and trial.levels(count // 3):
        reason = f"{shape} is three rows for each cell of the strides {_text(trial, count // 3)}"
        reason = f"{reason}, with objectness and classes"
        yield Match("yolov5", reason, unit_of(array[:, :4]), classes_in(width - 5))
    if strides := trial.levels(count):
        yield from _cell_rows(trial, array, shape, strides)
    if not trial.levels(count):
        yield from final_rows(trial, array, shape, ultralytics)


def _cell_rows(trial: Trial, array: NDArray[Any], shape: str, strides: tuple[int, ...]) -> Iterator[Match]:
    width, unit = array.shape[1], unit_of(array[:, :4])
    raw = not unit and float(np.ptp(array[:, 0])) < trial.width / 2
    seen = "lie near 0: cells are not placed yet" if raw else "cover the picture"
    reason = f"{shape} is a row for each cell of {list(strides)}, and centres of a trial {seen}"
    more = {"strides": list(strides)}
    if not raw:
        plain = (
            f"{array.shape[0]} rows of a box and classes, one for each cell of {list(strides)}, no objectness"
        )
        yield Match("yolov8", f"{shape} is {plain}", {"transposed": False, **unit}, width - 4)
    yield Match("yolox" if raw else "yolov6", reason, more if raw else unit, width - 5)
    for bins in (8, 17):
        reason = f"{shape} is a row for each cell of {list(strides)}: classes, then {bins} bins for each side"
        yield Match("nanodet", reason, more, width - 4 * bins)


def _several(trial: Trial, fits: Callable[[int], bool]) -> Iterator[Match]:
    if scored := scored_boxes_of(trial.outputs):
        shape = f"{scored[0]} {list(trial.outputs[scored[0]].shape)}"
        reason = f"{shape} beside whole labels is boxes with scores: a file of MMDetection"
        yield Match("torchvision", reason, {"outputs": {"boxes": scored[0]}}, labels="coco80")
        return
    boxes = boxes_of(trial.outputs)
    cores = {name: core(array, 2 if name in boxes else 1) for name, array in trial.outputs.items()}
    tables = [array for array in cores.values() if array.ndim == 2]
    pairs = _levels_of_pairs(trial, tables, fits)
    if pairs is not None and len(tables) == len(cores):
        strides, classes = pairs
        reason = f"a pair of outputs for each of the strides {list(strides)}: classes, and bins for each side"
        family = "picodet" if len(strides) == 4 else "nanodet"
        yield Match(family, reason, {"strides": list(strides)}, classes)
        return
    if not boxes:
        return
    names = {name.lower() for name in cores}
    whole = [name for name, array in cores.items() if array.ndim == 1 and array.dtype.kind in "iu"]
    plain = [name for name, array in cores.items() if array.ndim == 1 and array.dtype.kind == "f"]
    words = ", ".join(cores)
    if "orig_target_sizes" in trial.inputs and whole and plain:
        yield Match("rtdetr_final", f"outputs {words}, and an input orig_target_sizes", {})
    elif any("detection_boxes" in name for name in names):
        parts = {"outputs": _tensorflow_parts(cores)}
        yield Match("efficientdet", f"outputs {words}: those of TensorFlow's object detection", parts)
    elif {"det_boxes", "det_scores", "det_classes"} <= names:
        reason = f"outputs {words}: those of EfficientNMS, boxes in pixels"
        yield Match("torchvision", reason, labels="coco80")
    elif whole and plain:
        counted = any("num" in name for name in names)  # as TensorRT's plugins have it
        zero = any(
            ((cores[labels] == 0) & (cores[scores] > 0)).any()
            for labels, scores in product(whole, plain)
            if len(cores[labels]) == len(cores[scores])
        )
        reason = f"outputs {words}: final boxes, scores and whole labels"
        yield Match("torchvision", reason, labels="coco80" if counted or zero else "")
    else:
        yield from _box_and_class_tables(cores, boxes[0], fits)


def _tensorflow_parts(names: Iterable[str]) -> dict[str, str]:
    """Return which output holds which part: the others are raw boxes, anchors and scores by class."""
    words = {"boxes": "boxes", "scores": "scores", "labels": "classes"}
    ends = {part: re.compile(rf"(.*/)?detection_{word}(:\d+)?") for part, word in words.items()}
    found = {part: [name for name in names if end.fullmatch(name)] for part, end in ends.items()}
    return {part: of_part[0] for part, of_part in found.items() if len(of_part) == 1}


def _box_and_class_tables(
    cores: Mapping[str, NDArray[Any]], boxes: str, fits: Callable[[int], bool]
) -> Iterator[Match]:
    """Yield the readings of a table of boxes and one of classes, a row for each candidate."""
    rows = len(cores[boxes])
    if is_offsets(cores[boxes]):
        return
    for name, array in cores.items():
        if name == boxes or array.ndim != 2 or len(array) != rows:
            continue
        columns, shape = array.shape[1], f"{boxes} {list(cores[boxes].shape)} and {name} {list(array.shape)}"
        parts = {"outputs": {"boxes": boxes, "scores": name}}
        word = name.lower()
        scores = "score" in word or "conf" in word
        outside = array.min(initial=0) < -0.01 or array.max(initial=0) > 1.01
        if (boxes, name) == ("dets", "labels"):
            reason = f"{shape}: a logit for each class, named as RF-DETR's"
            last = {} if fits(columns) else {"background": "last"}  # no class of a trained model
            yield Match("rfdetr", reason, {**parts, **last}, columns - len(last))
        elif "logit" in word or (outside and not scores and unit_of(cores[boxes])):
            yield Match("detr", f"{shape}: logits, the last one of no object", parts, columns - 1)
            yield Match("rtdetr", f"{shape}: a logit for each class", parts, columns)
        elif scores or not outside:
            fractions = float(np.abs(cores[boxes]).max(initial=0)) <= 2
            unit = "fraction" if fractions else "pixels"
            more = {**parts, "unit": unit, "first_label": 0}
            seen = f"{shape}: scores by class; boxes of a trial are in {'fractions' if fractions else unit}"
            yield Match("torchvision", f"{seen}, the first class is background",
                        {**more, "background": "first"}, columns - 1)  # fmt: skip
            yield Match("torchvision", seen, more, columns)


def _levels_of_pairs(
    trial: Trial, tables: list[NDArray[Any]], fits: Callable[[int], bool]
) -> tuple[tuple[int, ...], int] | None:
    """Return the strides and the classes of a file with a pair of tables for each level."""
    by_rows: dict[int, list[int]] = {}
    for table in tables:
        by_rows.setdefault(len(table), []).append(table.shape[1])
    if len(tables) != 2 * len(by_rows) or len(by_rows) < 2:
        return None
    widths = {tuple(sorted(pair)) for pair in by_rows.values()}
    strides = [s for s in (4, 8, 16, 32, 64, 128) if -(-trial.width // s) * -(-trial.height // s) in by_rows]
    if len(widths) != 1 or len(strides) != len(by_rows):
        return None
    pair = widths.pop()
    for classes, sides in (pair, pair[::-1]):
        if fits(classes) and sides % 4 == 0 and sides >= 8:
            return tuple(strides), classes
    return None


def _text(trial: Trial, count: int) -> str:
    return ", ".join(map(str, trial.levels(count)))
