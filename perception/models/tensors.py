"""Inputs and predictions of the model: bundles of arrays, all NamedTuples without None.

They collate, compile and export as they are. The same bundle holds numpy arrays when `prepare`
makes it and torch tensors inside the model. An absent sensor is zeros and `present = 0`.

Dimension letters: B batch, C classes, K detections, M returns, T status steps, S status channels,
A control channels, H x W input pixels, h x w cells of the output map.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, cast

RETURN_CHANNELS = ("u", "v", "bearing", "elevation", "range_m", "radial_speed", "intensity", "in_image")
"""Columns of `returns`. u, v: input pixels; bearing (left positive), elevation (up positive): radians, seen
from the camera where the rig is known, else from the sensor; radial_speed: m/s; in_image: 0 or 1."""


class Inputs(NamedTuple):
    """One batch (or, from `prepare`, one sample without the batch dimension)."""

    image: Any  # uint8 [B, 3, H, W], RGB
    returns: Any  # float32 [B, M, 8], columns RETURN_CHANNELS
    returns_valid: Any  # float32 [B, M], 0 or 1
    status: Any  # float32 [B, T, S]; NaN where unknown
    present: Any  # float32 [B, 3], in the order of perception.types.SENSORS
    age_s: Any  # float32 [B, 3]


class Predictions(NamedTuple):
    """The results of the graph after decoding. Boxes are `xyxy` in input pixels.

    A model with further heads returns a tuple with more fields: see `predictions_type`.
    """

    scores: Any  # float32 [B, K], descending, calibrated
    labels: Any  # int64 [B, K]
    boxes: Any  # float32 [B, K, 4]
    box_std: Any  # float32 [B, K, 4]
    distance_m: Any  # float32 [B, K]
    distance_std_m: Any  # float32 [B, K]
    control: Any  # float32 [B, A], physical units
    control_std: Any  # float32 [B, A]


@cache
def predictions_type(extra_heads: tuple[str, ...] = ()) -> type[Predictions]:
    """Return the tuple of a model's predictions: `Predictions`, and for each further head two more fields.

    They are named `<head>` and `<head>_std`, float32 [B, A] each: the values of the head's channels and their
    standard deviations. Without further heads it is `Predictions` itself, and so is the exported graph.
    """
    if not extra_heads:
        return Predictions
    names = [*Predictions._fields, *(name + end for name in extra_heads for end in ("", "_std"))]
    return cast("type[Predictions]", namedtuple("Predictions", names))


def extra_of(predictions: Sequence[Any], extra_heads: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Return the values and standard deviations of each further head by its name."""
    first = len(Predictions._fields)
    return {
        name: (predictions[first + 2 * place], predictions[first + 2 * place + 1])
        for place, name in enumerate(extra_heads)
    }
