"""LabelledObject lines of KITTI's object and tracking benchmarks as boxes in the picture and in space.

A line is `type truncated occluded alpha left top right bottom height width length x y z rotation_y`; x, y, z
is the middle of the box's bottom in the rectified camera 0 (x right, y down, z forward). A region of type
DontCare holds objects that are not labelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from perception.types import Cuboid, TruthBox

DONT_CARE = "DontCare"
_VISIBLE = {0: 1.0, 1: 0.7, 2: 0.4}
"""The fraction that is seen, by the level of occlusion; made, as KITTI has levels only."""
_FIELDS = 15
_MOST_M = 1e6


class LabelledObject(NamedTuple):
    """An object of a label file."""

    box: TruthBox
    cuboid: Cuboid | None  # None: of a region without objects of their own


def parse_label(line: str, number: int, frame_id: str) -> LabelledObject:
    """Return the object of a line.

    Args:
        number: Its place in the file, which is its track where it has none.
        frame_id: The frame of the rectified camera 0.

    Raises:
        ValueError: The line has not enough words, or a word is no finite number.
    """
    words = line.split()
    if len(words) < _FIELDS:
        raise ValueError(f"expected {_FIELDS} words in a label, found {len(words)}")
    name, values = words[0], [float(word) for word in words[1:_FIELDS]]
    if not all(abs(value) < _MOST_M for value in values):  # false for NaN
        raise ValueError("a label with numbers that are none")
    truncated, occluded, _, left, top, right, bottom, height, width, length, x, y, z, turn = values
    if right < left or bottom < top:
        raise ValueError("a label whose box has no size")
    xyxy = (left, top, right, bottom)
    if name == DONT_CARE:
        return LabelledObject(TruthBox("", xyxy, math.nan, 1.0, "", ignore=True), None)
    visible = _VISIBLE.get(int(occluded), 1.0) * (1 - min(max(truncated, 0.0), 1.0))
    centre = np.array([x, y - height / 2, z])
    pose = np.eye(4)
    cos, sin = math.cos(turn), math.sin(turn)
    # The box's length lies along the camera's x, its width along z, its height along -y; it turns about y.
    pose[:3, :3] = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    pose[:3, 3] = centre
    cuboid = Cuboid(name, str(number), frame_id, pose, (length, width, height))
    return LabelledObject(TruthBox(name, xyxy, float(np.linalg.norm(centre)), visible, str(number)), cuboid)


def parse_labels(lines: Iterable[str], frame_id: str) -> tuple[list[LabelledObject], str]:
    """Return the objects of the lines that can be read, and why others cannot (empty: all can)."""
    labels, problems = [], []
    for number, line in enumerate(lines):
        if line.strip():
            try:
                labels.append(parse_label(line, number, frame_id))
            except ValueError as error:
                problems.append(str(error))
    return labels, f"{len(problems)} lines cannot be read ({problems[0]})" if problems else ""
