"""What the model sees and says: bundles of arrays, all NamedTuples without None.

They collate, compile and export as they are. The same bundle holds numpy arrays when `prepare`
makes it and torch tensors inside the model. An absent sensor is zeros and `present = 0`.

Dimension letters: B batch, C classes, K detections, M returns, T status steps, S status channels,
A control channels, H x W input pixels, h x w cells of the output map.
"""

from __future__ import annotations

from typing import Any, NamedTuple

RETURN_CHANNELS = ("u", "v", "bearing", "elevation", "range_m", "radial_speed", "intensity", "in_image")
"""Columns of `returns`. u, v: input pixels; bearing (left positive), elevation (up positive): radians, seen
from the camera where the rig is known, else from the sensor; radial_speed: m/s; in_image: 0 or 1."""


class Inputs(NamedTuple):
    """One batch (or, from `prepare`, one sample without the batch dimension)."""

    image: Any  # uint8 [B, 3, H, W], RGB
    returns: Any  # float32 [B, M, 8], columns RETURN_CHANNELS
    returns_valid: Any  # float32 [B, M], 0 or 1
    status: Any  # float32 [B, T, S]; NaN where unknown
    present: Any  # float32 [B, 3], in the order of messages.SENSORS
    age_s: Any  # float32 [B, 3]


class Predictions(NamedTuple):
    """What the graph returns after decoding. Boxes are `xyxy` in input pixels."""

    scores: Any  # float32 [B, K], descending, calibrated
    labels: Any  # int64 [B, K]
    boxes: Any  # float32 [B, K, 4]
    box_std: Any  # float32 [B, K, 4]
    distance_m: Any  # float32 [B, K]
    distance_std_m: Any  # float32 [B, K]
    control: Any  # float32 [B, A], physical units
    control_std: Any  # float32 [B, A]
