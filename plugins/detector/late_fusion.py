"""How far each box is: from the returns inside it, else from the ground below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception.types import Rig
from perception_plugins.detector.ground_distance import distances_on_ground, ground_from
from perception_plugins.detector.options import DistanceOptions
from perception_plugins.detector.placed_returns import PlacedReturns
from perception_plugins.detector.returns_distance import Distances, Float64, distances_from_returns

DEPTH_M = {
    "person": 0.3, "pedestrian": 0.3, "rider": 0.6, "cyclist": 0.9, "bicycle": 0.9, "motorcycle": 1.0,
    "car": 2.2, "vehicle": 2.2, "van": 2.5, "truck": 3.2, "bus": 5.0, "train": 8.0,
    "cone": 0.15, "barrel": 0.3, "traffic cone": 0.15,
}  # fmt: skip
"""Half the depth of usual objects: returns are on the near side, and a distance is that of the centre."""


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
    depth_m = np.array([DEPTH_M.get(label.lower(), 0.0) for label in labels])
    metres, std = np.full((2, len(boxes)), np.nan)
    if returns is not None and len(boxes):
        metres, std = distances_from_returns(returns, boxes, depth_m, options.least_returns)
    (open_,) = np.isnan(metres).nonzero()
    ground = ground_from(rig, options.camera_height_m) if open_.size else None
    if ground is not None:
        metres[open_], std[open_] = distances_on_ground(rig, *ground, boxes[open_], depth_m[open_])
    return Distances(metres, std)
