"""The layout of a detector's input and outputs, as data: the sections `input` and `output` of its options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perception.config.values import Section

Size = Annotated[int, Field(ge=8, le=8192)]
Channels = Annotated[tuple[float, float, float], Field()]
Kind = Literal["rows", "list", "separate", "grid", "distribution"]
BoxFormat = Literal["xyxy", "cxcywh", "xywh", "yxyx"]
Column = Literal["x1", "y1", "x2", "y2", "cx", "cy", "w", "h", "score", "label", "skip"]


class InputLayout(Section):
    """How a picture becomes the model's input: value = (pixel * scale - mean) / std."""

    name: str | None = None
    """The input that takes the picture; null: the one that has the shape of a picture."""
    size: tuple[Size, Size] | None = None
    """Width and height; null: as the file declares them, else the family's."""
    fit: Literal["letterbox", "corner", "stretch"] = "letterbox"
    """Scaled as a whole and padded on both sides, padded on the right and below, or each axis by itself."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """The order of the colours, and of `mean` and `std`."""
    scale: float = 1 / 255
    """1/255 gives 0 to 1; 1 keeps 0 to 255."""
    mean: Channels = (0.0, 0.0, 0.0)
    """Subtracted after scaling."""
    std: Channels = (1.0, 1.0, 1.0)
    """The divisor after that."""
    pad: Annotated[int, Field(ge=0, le=255)] = 114
    """The pixel value of the padding."""

    @model_validator(mode="after")
    def _divisible(self) -> InputLayout:
        if 0.0 in self.std:
            raise ValueError(f"std: expected numbers other than 0, found {list(self.std)}")
        return self


class OutputLayout(Section):
    """Where boxes, scores and labels are in the outputs.

    `rows`: one array with a row for each candidate, box first, then scores of the classes (YOLO).
    `list`: one array with a row for each final detection, as `columns` says.
    `separate`: arrays of their own for boxes, scores and perhaps labels (SSD, DETR, torchvision).
    `grid`: one cell of FastestDet for each place. `distribution`: distributions of the sides (NanoDet).
    """

    kind: Kind
    boxes: BoxFormat = "xyxy"
    """The meaning of the four numbers of a box."""
    unit: Literal["pixels", "fraction"] = "pixels"
    """Pixels of the input, or fractions of it."""
    outputs: dict[Literal["rows", "boxes", "scores", "labels", "count"], str] = Field(default_factory=dict)
    """The name of the output that holds each part; left out: by shape and name."""
    classes: Annotated[int, Field(ge=0, le=100_000)] = 0
    """rows, distribution: the number of classes; 0: as many as there are labels."""
    transposed: bool = False
    """rows: candidates are the last dimension."""
    objectness: bool = False
    """rows: a score of its own stands before those of the classes, and is multiplied with them."""
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """The function that makes scores of the numbers in the file."""
    background: Literal["none", "first", "last"] = "none"
    """separate: the column of the scores that is no class."""
    first_label: Annotated[int, Field(ge=0, le=1)] = 0
    """list, separate: the label of the first class."""
    columns: tuple[Column, ...] = ()
    """list: what each column is."""
    strides: tuple[Annotated[int, Field(ge=1, le=512)], ...] = ()
    """distribution; rows of a raw grid (YOLOX): pixels of the input for each cell, level by level."""

    @model_validator(mode="after")
    def _complete(self) -> OutputLayout:
        if self.kind == "list":
            corners = {"x1", "y1", "x2", "y2"} <= set(self.columns)
            centre = {"cx", "cy", "w", "h"} <= set(self.columns)
            if not (corners or centre) or "score" not in self.columns:
                raise ValueError(
                    "columns: expected x1, y1, x2, y2 (or cx, cy, w, h) and score, and label, found "
                    f"{', '.join(self.columns) or 'none'}"
                )
        if self.kind == "distribution" and not self.strides:
            raise ValueError("strides: expected the stride of each level, as [8, 16, 32]; found none")
        return self
