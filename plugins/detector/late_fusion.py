"""How far each box is: from the returns inside it, else from the ground below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.geometry.lens import is_fisheye
from perception.models.placed_returns import PlacedReturns
from perception.models.returns_distance import Distances, distances_from_returns, usual_depth_m
from perception.types import Float64, Rig
from perception_plugins.detector.ground_distance import distances_on_ground, ground_from
from perception_plugins.detector.options import DistanceOptions

TALLEST_M = {
    "person": 2.2, "pedestrian": 2.2, "rider": 2.4, "cyclist": 2.4, "bicycle": 2.4, "motorcycle": 2.4,
    "car": 2.3, "van": 3.2, "vehicle": 4.5, "truck": 4.5, "bus": 4.6, "cone": 1.3, "barrel": 1.5,
    "traffic cone": 1.3,
}  # fmt: skip
"""The height in metres of the tallest of usual objects."""

TOO_TALL = 1.5
"""Returns that make an object so many times as tall are of what is behind it."""


def distances(
    returns: PlacedReturns | None, rig: Rig, boxes: Float64, labels: Sequence[str], options: DistanceOptions
) -> Distances:
    """Return the distances of boxes [K, 4] `xyxy` in recorded pixels; NaN where nothing says them.

    Args:
        returns: Those in the picture; None: no range sensor is there, or the rig places none.
        rig: Of the picture.
        labels: [K], the words of the boxes.
        options: The section `distance`.
    """
    metres, std = np.full((2, len(boxes)), np.nan)
    ground = ground_from(rig, options.camera_height_m) if len(boxes) else None
    if not len(boxes) or (returns is None and ground is None):
        return Distances(metres, std)
    depth_m = usual_depth_m(labels)
    if returns is not None:
        metres, std = distances_from_returns(returns, boxes, depth_m, options.least_returns)
        behind = _height_m(rig, boxes, metres - depth_m) > TOO_TALL * np.array(
            [TALLEST_M.get(label.lower(), np.inf) for label in labels]
        )
        metres[behind] = std[behind] = np.nan
    (open_,) = np.isnan(metres).nonzero()
    if ground is not None and open_.size:
        metres[open_], std[open_] = distances_on_ground(rig, *ground, boxes[open_], depth_m[open_])
    return Distances(metres, std)


def _height_m(rig: Rig, boxes: Float64, metres: Float64) -> Float64:
    """Return the heights that boxes [K, 4] have at these distances [K]; 0 where the lens has no one scale."""
    camera = rig.calibration
    if camera is None or is_fisheye(camera.distortion_model):
        return np.zeros(len(boxes))
    return np.asarray((boxes[:, 3] - boxes[:, 1]) / camera.intrinsics[1, 1] * metres)
