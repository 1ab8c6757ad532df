"""How far boxes are by the returns inside them. Dimension letters: N returns, K boxes, M returns in boxes
(one that lies in three boxes counts three times), G groups of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.models.placed_returns import PlacedReturns
from perception.types import Float64

Places = NDArray[np.intp]

SIDE, TOP, BOTTOM = 0.2, 0.1, 0.3
"""Left out at the edges of a box, as fractions of it: there the background and the ground show. A scan in one
plane sees no ground, and may cross an object at its feet alone: it counts over the whole height."""

DENSE = 0.7
"""The nearest group of returns with this share of the largest group's is the object. Rays are spread evenly
over the picture, so a group's count is the area that it covers: a smaller one in front is a branch, rain, or
the rim of another object. 0.1 gave 12 % median error on a street, 0.7 gave 3.3 %."""

DENSE_IN_PLANE = 0.1
"""The same where all returns are of scans in one plane: such a line crosses the legs of a person and sees the
wall between them."""

RIVAL = 0.3
"""A group with this share of the largest may be the object too; the deviation says so."""

GAP_M, GAP_SHARE = 0.8, 0.04
"""Returns whose ranges differ by more (metres, or this share of the range) are of different things."""

FEWEST_RETURNS = 3
"""The fewest returns that are an object."""

WORST_STD = 0.15
"""Distances with a larger deviation, as a fraction of them, are not sure."""

MOST_AT_ONCE = 1 << 15
"""Returns in the columns of the boxes that are looked at together: their arrays fit into a cache."""


DEPTH_M = {
    "person": 0.3, "pedestrian": 0.3, "rider": 0.6, "cyclist": 0.6, "bicycle": 0.6, "motorcycle": 0.7,
    "car": 2.2, "vehicle": 2.2, "van": 2.5, "truck": 3.2, "bus": 5.0, "train": 8.0,
    "cone": 0.15, "barrel": 0.3, "traffic cone": 0.15,
}  # fmt: skip
"""Half the depth of usual objects, between that seen from the side and from behind: returns are on the near
side, and a distance is that of the centre."""


class Distances(NamedTuple):
    """Metres from the camera to the centres of K objects, and standard deviations; NaN: not known."""

    metres: Float64
    std: Float64


class _Groups(NamedTuple):
    """Groups of returns, box by box, nearest first: the box of each [G], the number of its returns, the range
    in their middle and the deviation of their ranges."""

    box: Places
    size: Places
    middle: Float64
    spread: Float64


def usual_depth_m(labels: Sequence[str]) -> Float64:
    """Return half the depth [K] of usual objects of the classes; 0 where it is not known."""
    return np.array([DEPTH_M.get(label.lower(), 0.0) for label in labels])


def distances_from_returns(returns: PlacedReturns, boxes: Float64, depth_m: Float64, least: int) -> Distances:
    """Return the distances of the nearest dense group of returns inside each box.

    Args:
        returns: Those in the picture.
        boxes: [K, 4] `xyxy`, recorded pixels.
        depth_m: [K], half the depth of each object: returns are on its near side.
        least: The fewest returns that are a group.
    """
    metres, std = np.full((2, len(boxes)), np.nan)
    share = DENSE_IN_PLANE if returns.planar.all() else DENSE
    for box, ranks in _inside(returns, boxes):
        groups = _grouped(box, returns.range_m[ranks])
        first = _starts(groups.box)
        most = np.repeat(np.maximum.reduceat(groups.size, first), np.diff([*first, groups.box.size]))
        dense = np.flatnonzero(groups.size >= np.maximum(least, share * most))
        chosen = dense[_starts(groups.box[dense])]
        which, spread, depth = groups.box[chosen], groups.spread[chosen], depth_m[groups.box[chosen]]
        # A group that is deep is seen along its side: its middle is nearer to the centre than its front.
        metres[which] = groups.middle[chosen] + np.maximum(depth - spread, 0.0)
        middle = np.zeros(len(boxes))
        middle[which] = groups.middle[chosen]
        # What lies behind an object in the same plane is no doubt about it.
        weights = np.where((groups.size >= RIVAL * most) & (share == DENSE), groups.size, 0)
        apart = np.add.reduceat(weights * (groups.middle - middle[groups.box]) ** 2, first)
        doubt = np.zeros(len(boxes))
        doubt[groups.box[first]] = apart / np.maximum(np.add.reduceat(weights, first), 1)
        std[which] = np.sqrt(0.1**2 + (0.35 * depth) ** 2 + spread**2 + doubt[which])
    return Distances(metres, std)


def sure_distances(returns: PlacedReturns, boxes: Float64, labels: Sequence[str]) -> Distances:
    """Return the distances that returns say with a small deviation; NaN for other boxes.

    Args:
        returns: Those in the picture.
        boxes: [K, 4] `xyxy`, recorded pixels.
        labels: [K], the names of their classes.
    """
    if not len(boxes):
        return Distances(np.zeros(0), np.zeros(0))
    metres, std = distances_from_returns(returns, boxes, usual_depth_m(labels), FEWEST_RETURNS)
    vague = ~(std <= WORST_STD * metres)
    return Distances(np.where(vague, np.nan, metres), np.where(vague, np.nan, std))


def _inside(returns: PlacedReturns, boxes: Float64) -> Iterator[tuple[Places, Places]]:
    """Yield the box [M] and the rank [M] of each return in the inner part of a box, by box and rank; of as
    many boxes at once as hold `MOST_AT_ONCE` returns in their columns."""
    x1, y1, x2, y2 = boxes.T
    width, height = x2 - x1, y2 - y1
    start, end = np.searchsorted(returns.u, [x1 + width * SIDE, x2 - width * SIDE])
    counts = np.maximum(end - start, 0)
    top, bottom = y1 + height * TOP, y2 - height * BOTTOM
    flat = bool(returns.planar.any())
    chunk = np.cumsum(counts) // MOST_AT_ONCE
    for part in np.split(np.arange(len(boxes)), _starts(chunk)[1:]):
        box = np.repeat(part, counts[part])
        before = np.cumsum(counts[part]) - counts[part]
        at = np.arange(box.size) - np.repeat(before - start[part], counts[part])
        v = returns.v[at]
        inside = (v >= top[box]) & (v <= bottom[box])
        if flat:
            inside |= returns.planar[at] & (v >= y1[box]) & (v <= y2[box])
        (kept,) = inside.nonzero()
        if kept.size:
            keys = box[kept] * returns.u.size + returns.rank[at[kept]]
            keys.sort()
            yield np.divmod(keys, returns.u.size)


def _grouped(box: Places, range_m: Float64) -> _Groups:
    """Return the groups of returns that lie by box and rising range."""
    new = np.ones(box.size, bool)
    apart = np.diff(range_m) > np.maximum(GAP_M, GAP_SHARE * range_m[:-1])
    new[1:] = apart | (box[1:] != box[:-1])
    (start,) = new.nonzero()
    size = np.diff([*start, box.size])
    mean = np.add.reduceat(range_m, start) / size
    squares = np.add.reduceat((range_m - np.repeat(mean, size)) ** 2, start)
    return _Groups(box[start], size, range_m[start + (size - 1) // 2], np.sqrt(squares / size))


def _starts(values: Places) -> Places:
    """Return the places where values that lie in order change, and the first."""
    new = np.ones(values.size, bool)
    new[1:] = values[1:] != values[:-1]
    return new.nonzero()[0]
