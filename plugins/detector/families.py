"""Families of detectors by name: how their usual exports take a picture and return boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_YOLO_ROWS = {"kind": "rows", "boxes": "cxcywh"}
FINAL_COLUMNS = ["x1", "y1", "x2", "y2", "score", "label"]
_DETR_BOXES = {"kind": "separate", "boxes": "cxcywh", "unit": "fraction"}


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        input, output: Values of the sections `input` and `output`.
        labels: The names that its public weights have: `coco80`, `coco91` or `voc`... as `labels` reads them.
        nms: The least overlap (IoU) of two boxes of one class that are one object; None: the file has made
            them different already.
        size: Width and height where the file leaves them open.
    """

    input: Mapping[str, Any]
    output: Mapping[str, Any]
    labels: str = "coco80"
    nms: float | None = 0.5
    size: tuple[int, int] = (640, 640)
    also: tuple[str, ...] = field(default=())


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "yolov5": Family({}, {**_YOLO_ROWS, "objectness": True}, also=("yolov7",)),
        "yolov6": Family({}, {**_YOLO_ROWS, "objectness": True}),
        "yolov8": Family(
            {}, {**_YOLO_ROWS, "transposed": True}, also=("yolov9", "yolo11", "yolov11", "yolov12")
        ),
        "yolov10": Family({}, {"kind": "list", "columns": FINAL_COLUMNS}, nms=None, also=("yolo26",)),
        "yolox": Family(
            {"fit": "corner", "channels": "bgr", "scale": 1.0},
            {**_YOLO_ROWS, "objectness": True, "strides": [8, 16, 32]},
        ),
        "nanodet": Family(
            {
                "fit": "stretch",
                "channels": "bgr",
                "scale": 1.0,
                "mean": [103.53, 116.28, 123.675],
                "std": [57.375, 57.12, 58.395],
            },
            {"kind": "distribution", "strides": [8, 16, 32]},
            size=(416, 416),
        ),
        "picodet": Family(
            {
                "fit": "stretch",
                "scale": 1.0,
                "mean": [123.675, 116.28, 103.53],
                "std": [58.395, 57.12, 57.375],
            },
            {"kind": "distribution", "strides": [8, 16, 32, 64]},
            size=(416, 416),
        ),
        "fastestdet": Family({"fit": "stretch", "channels": "bgr"}, {"kind": "grid"}, size=(352, 352)),
        "torchvision": Family(
            {},
            {"kind": "separate", "first_label": 0},
            "coco91",
            None,
            also=("ssd", "ssdlite", "retinanet", "fasterrcnn", "fcos", "maskrcnn"),
        ),
        "efficientdet": Family(
            {"fit": "stretch", "scale": 1.0},
            {"kind": "separate", "boxes": "yxyx", "unit": "fraction", "first_label": 1},
            "coco90",
            None,
            (512, 512),
            also=("tensorflow", "ssd_mobilenet"),
        ),
        "detr": Family(
            {"fit": "stretch", **IMAGENET},
            {**_DETR_BOXES, "activation": "softmax", "background": "last"},
            "coco91",
            None,
            (800, 800),
        ),
        "rtdetr": Family(
            {"fit": "stretch"},
            {**_DETR_BOXES, "activation": "sigmoid"},
            nms=None,
            also=("deformable_detr", "dfine", "deim"),
        ),
        "rfdetr": Family(
            {"fit": "stretch", **IMAGENET},
            {**_DETR_BOXES, "activation": "sigmoid"},
            "coco91",
            None,
            (560, 560),
        ),
        "rtdetr_final": Family({"fit": "stretch"}, {"kind": "separate"}, nms=None),
    }
)
"""Every family by name."""

NAMES: Mapping[str, str] = MappingProxyType(
    {name: key for key, family in FAMILIES.items() for name in (key, *family.also)}
)
"""Every name that `family` may have, with the family that it means."""
