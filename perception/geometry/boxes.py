"""Axis-aligned boxes `xyxy` in an image: areas and overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def areas(boxes: Float64) -> Float64:
    """Return the areas [...] of boxes [..., 4]."""
    area: Float64 = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return area


def overlap(boxes: Float64, others: Float64, regions: NDArray[np.bool_] | None = None) -> Float64:
    """Return the intersection over union of boxes [A, 4] with others [B, 4], [A, B].

    Args:
        regions: [B] others that are regions: against those, intersection over the box's own area.

    Boxes that are not numbers, or that have no area, overlap nothing.
    """
    return pair_overlap(boxes[:, None], others[None], None if regions is None else regions[None])


def pair_overlap(boxes: Float64, others: Float64, regions: NDArray[np.bool_] | None = None) -> Float64:
    """Return the overlap of each box [..., 4] with the other [..., 4] in its place, as `overlap` does."""
    shared = np.maximum(
        np.minimum(boxes[..., 2], others[..., 2]) - np.maximum(boxes[..., 0], others[..., 0]), 0.0
    )
    shared *= np.maximum(
        np.minimum(boxes[..., 3], others[..., 3]) - np.maximum(boxes[..., 1], others[..., 1]), 0.0
    )
    own = areas(boxes)
    whole = own + areas(others) - shared
    if regions is not None:
        whole = np.where(regions, own, whole)
    iou: Float64 = np.divide(shared, whole, out=np.zeros_like(shared), where=(shared > 0) & (whole > 0))
    return iou
