"""Outputs that hold no boxes yet: the head of a network that was exported without its decoding."""

from __future__ import annotations

from typing import Any

from perception_plugins.detector.output_shapes import boxes_of, core, is_offsets
from perception_plugins.detector.trial import Trial

_STRIDES = (4, 8, 16, 32, 64)


def raw_head(trial: Trial) -> str | None:
    """Return what the outputs are and how to export the model with its decoding; None: no known head."""
    shapes = {name: core(array, 3).shape for name, array in trial.outputs.items()}
    if any(core(array).ndim == 2 for array in trial.outputs.values()):
        shapes = {}  # a table: maps beside it are masks, or what it was made of
    for name, shape in shapes.items():
        shown = f"{name} {list(shape)}"
        if len(shape) == 4 and shape[3] > 5 and _is_map(shape[1:3], trial):
            return _anchors(shown, shape[0], shape[3] - 5)
    maps = {
        n: s for n, s in shapes.items() if len(s) == 3 and (_is_map(s[1:], trial) or _is_map(s[:2], trial))
    }
    listing = "; ".join(f"{name} {list(shape)}" for name, shape in maps.items())
    depths = {shape[0] if _is_map(shape[1:], trial) else shape[2] for shape in maps.values()}
    if len(maps) > 1 and len(depths) == 1 and (depth := depths.pop()) % 3 == 0 and depth > 15:
        return _anchors(listing, 3, depth // 3 - 5)
    if len(maps) > 1:
        return (
            f"maps of a head without its decoding (YOLOv6 to YOLO11, CenterNet), {listing}; export the whole "
            "model (`yolo export format=onnx`), so that the file gives boxes"
        )
    for name in boxes_of(trial.outputs):
        if is_offsets(core(trial.outputs[name])):
            return (
                f"{name} {list(trial.outputs[name].shape)} are offsets from prior boxes or anchors (SSD, "
                "RetinaNet, EfficientDet), which are not in the file; export the model with its box decoding"
            )
    return None


def _anchors(shown: str, anchors: int, classes: int) -> str:
    return (
        f"{shown} is a head of YOLOv3, v4, v5 or v7 with {anchors} anchors and {classes} classes; the file "
        "does not hold the anchors: export it decoded (YOLOv5: `export.py --include onnx`; YOLOv7: "
        "`export.py --grid`)"
    )


def _is_map(sides: Any, trial: Trial) -> bool:
    return any(tuple(s * n for n in sides) == (trial.height, trial.width) for s in _STRIDES)
