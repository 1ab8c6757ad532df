"""Axis-aligned boxes `xyxy` in an image: areas and overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def areas(boxes: Float64) -> Float64:
    """Return the areas [N] of boxes [N, 4]."""
    area: Float64 = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def overlap(boxes: Float64, others: Float64, regions: NDArray[np.bool_] | None = None) -> Float64:
    """Return the intersection over union of boxes [A, 4] with others [B, 4], [A, B].

    Args:
        regions: [B] others that are regions: against those, intersection over the box's own area.

    Boxes that are not numbers, or that have no area, overlap nothing.
    """
    left_top = np.maximum(boxes[:, None, :2], others[None, :, :2])
    right_bottom = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    side = np.maximum(right_bottom - left_top, 0.0)
    shared = side[..., 0] * side[..., 1]
    own = areas(boxes)[:, None]
    whole = own + areas(others) - shared
    if regions is not None:
        whole = np.where(regions, own, whole)
    iou: Float64 = np.divide(shared, whole, out=np.zeros_like(shared), where=(shared > 0) & (whole > 0))
    return iou
