"""Readings of one table with a row for each detection or query, of which there are few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_plugins.detector.families import FINAL_COLUMNS
from perception_plugins.detector.output_shapes import unit_of
from perception_plugins.detector.trial import Match, Trial

FINAL_AT_MOST = 1000
"""Rows of an output of final detections, at most."""

_PADDLE = ["label", "score", "x1", "y1", "x2", "y2"]
_QUERIES = {"kind": "rows", "boxes": "cxcywh", "unit": "fraction", "activation": "none"}
_OF_SEVEN = (  # with the labels that public weights have: those of EfficientDet and SSD are COCO's ids
    ("skip x1 y1 x2 y2 label score", "pixels", ""),
    ("skip x1 y1 x2 y2 score label", "pixels", ""),
    ("skip y1 x1 y2 x2 score label", "pixels", "coco91"),
    ("skip label score x1 y1 x2 y2", "fraction", "coco91"),
)


def final_rows(trial: Trial, array: NDArray[Any], shape: str, ultralytics: bool) -> Iterator[Match]:
    """Yield the readings of a table [N, columns]. A file that suppresses may have no row for noise.

    Args:
        trial: Of the file.
        array: The table.
        shape: Its name and shape, for people.
        ultralytics: The file has the metadata of Ultralytics' exports.
    """
    count, width = array.shape
    more = width > 6 and ultralytics and trial.metadata.get("task") in ("segment", "pose")
    paddle = bool({"scale_factor", "im_shape"} & set(trial.inputs))
    if count > FINAL_AT_MOST or (count == 0 and width not in (6, 7)) or (more and trial.levels(width)):
        return
    if width == 6 and paddle:
        reason = f"{shape} with an input scale_factor or im_shape is PaddleDetection's label, score, box"
        yield Match("yolov10", reason, {"columns": _PADDLE})
    elif count == 1:
        return  # the answer about a whole picture
    elif more:
        reason = f"{shape}: box, score, label, and what its metadata call {trial.metadata['task']}"
        yield Match("yolov10", reason, {"columns": [*FINAL_COLUMNS, *["skip"] * (width - 6)]})
    elif width == 5 and not unit_of(array[:, :4]):
        yield Match("yolov10", f"{shape}: box, score of one class", {"columns": FINAL_COLUMNS[:5]}, 1)
    elif width not in (6, 7) or _are_queries(array):
        reason = f"{shape} is {count} queries of a box and {width - 4} classes"
        yield Match("rtdetr", reason, _QUERIES, width - 4)
    elif ultralytics and width == 6:
        reason = f"{shape}: and its metadata are those of Ultralytics"
        fractions = {"kind": "list", "columns": ["cx", "cy", "w", "h", "score", "label"]}  # of RT-DETR
        yield Match("rtdetr", reason, fractions) if unit_of(array[:, :4]) else Match("yolov10", reason)
    elif width == 6:
        yield Match("yolov10", f"{shape}: box, score, label")
        yield Match("yolov10", f"{shape}: label, score, box", {"columns": _PADDLE})
    else:
        for names, unit, labels in _OF_SEVEN:
            columns = {"columns": names.split(), "unit": unit}
            yield Match("yolov10", f"{shape}: {names} in {unit}", columns, labels=labels)


def _are_queries(array: NDArray[Any]) -> bool:
    """Return whether rows of 6 or 7 are a box in fractions and a score for each class; labels and numbers
    of pictures are whole."""
    whole = (array == np.rint(array)).all(0).any()
    return bool(unit_of(array[:, :4]) and not whole and array.min() >= 0 and array.max() <= 1)
