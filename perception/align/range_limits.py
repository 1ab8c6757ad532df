"""The range limits of several range sensors, whose returns are merged under the greatest of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from perception.types import RangeScan


def own_limits(max_range_m: Mapping[str, float]) -> dict[str, float | None]:
    """Return the limit of each range sensor that has a lower one than another; None: the greatest holds."""
    greatest = max(max_range_m.values(), default=0.0)
    return {name: limit if limit < greatest else None for name, limit in max_range_m.items()}


def within(scan: RangeScan, max_range_m: float) -> RangeScan:
    """Return a scan whose returns beyond a range are not finite, as those that the sensor did not get."""
    with np.errstate(invalid="ignore", over="ignore"):
        far = np.linalg.norm(scan.points_m, axis=1) > max_range_m
    if not far.any():
        return scan
    return replace(scan, points_m=np.where(far[:, None], np.float32(np.nan), scan.points_m))
