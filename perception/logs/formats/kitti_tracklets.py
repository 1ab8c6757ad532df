"""Tracklets of KITTI raw drives as cuboids of each frame: `tracklet_labels.xml` beside the sensors.

A tracklet is one object: its class, its size, and a pose for each frame from `first_frame` on, in the frame
of the laser scanner (x forward, y left, z up). A pose is the middle of the box's bottom; it turns about z.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

import numpy as np

from perception.logs.formats import encoding
from perception.logs.formats.folder_files import read_file
from perception.logs.formats.kitti_calibration import SCANNER
from perception.logs.formats.streams import Findings, Stream, Times
from perception.types import Cuboid

FILE = "tracklet_labels.xml"
TOPIC = "/tracklets"

_FILE_BYTES = 64 << 20
_PIECE_BYTES = 1 << 16
_MOST_M = 1e6
_MOST_IN_FRAME = 4096


def tracklet_stream(
    folder: Path, frames: Sequence[int], stamps_ns: Times, findings: Findings
) -> Stream | None:
    """Return the cuboids of each frame of a drive; None where it has no tracklets.

    Args:
        folder: Of the drive.
        frames: The numbers of its frames.
        stamps_ns: When each was taken.
        findings: Gets what cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    cuboids: dict[int, list[Cuboid]] = {number: [] for number in frames}
    outside = 0
    for number, cuboid in _cuboids(path, findings):
        held = cuboids.get(number)
        if held is None or len(held) >= _MOST_IN_FRAME:
            outside += 1
        else:
            held.append(cuboid)
    if outside:
        findings.miss(f"{TOPIC}: {outside} poses of {FILE} are of frames that are not there")
    return Stream(
        TOPIC,
        encoding.SCENE,
        stamps_ns,
        lambda index: encoding.scene(int(stamps_ns[index]), cuboids[frames[index]]),
    )


def _cuboids(path: Path, findings: Findings) -> Iterator[tuple[int, Cuboid]]:
    """Yield the number of a frame and a cuboid in it, for each pose of each tracklet."""
    bad, first_reason, count = 0, "", 0
    try:
        for tracklet in _tracklets(read_file(path, _FILE_BYTES)):
            try:
                yield from _poses(tracklet, str(count))
            except ValueError as error:
                bad, first_reason = bad + 1, first_reason or str(error)
            count += 1
    except (OSError, ValueError, ParseError) as error:
        reason = getattr(error, "strerror", None) or error
        findings.miss(f"{TOPIC}: {FILE} is not read from tracklet {count} on: {reason}")
    if not count:
        findings.notes.append(f"{FILE} holds no tracklet")
    if bad:
        findings.miss(f"{TOPIC}: {bad} tracklets of {FILE} cannot be read ({first_reason})")


def _tracklets(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the values of each tracklet; those of its poses are a list under `poses`.

    Raises:
        ValueError, ParseError: It is no XML of the expected form, or ends early.
    """
    if b"<!ENTITY" in data or b"\0" in data:
        raise ValueError("expected XML of tracklets without entities")
    parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
    path, poses = list[Element](), list[dict[str, str]]()
    for begin in range(0, len(data), _PIECE_BYTES):
        parser.feed(data[begin : begin + _PIECE_BYTES])
        events = cast("Iterator[tuple[str, Element]]", parser.read_events())
        for event, element in events:
            if event == "start":
                path.append(element)
                if len(path) > 16:
                    raise ValueError("expected XML of tracklets, found deeper elements")
                continue
            path.pop()
            if element.tag != "item":
                continue
            values = {child.tag: (child.text or "").strip() for child in element}
            parent = path[-1] if path else element
            if parent.tag == "poses":
                poses.append(values)
            else:
                yield {**values, "poses": poses}
                poses = []
            element.clear()
            parent.clear()  # of what was read, so that memory stays small
    parser.close()


def _poses(tracklet: dict[str, Any], track: str) -> list[tuple[int, Cuboid]]:
    """Return the cuboids of a tracklet with the numbers of their frames. Raises ValueError."""
    try:
        size = tuple(float(tracklet[side]) for side in ("l", "w", "h"))
        first, name = int(tracklet["first_frame"]), str(tracklet["objectType"])
        rows = [[float(pose[key]) for key in ("tx", "ty", "tz", "rz")] for pose in tracklet["poses"]]
    except KeyError as error:
        raise ValueError(f"without {error.args[0]}") from None
    if not all(0 < side < _MOST_M for side in size) or not 0 <= first < 1 << 31:
        raise ValueError("with a size or a first frame that is none")
    if not all(abs(value) < _MOST_M for row in rows for value in row):  # false for NaN
        raise ValueError("with a pose that is none")
    length, width, height = size
    held = []
    for index, (x, y, z, turn) in enumerate(rows):
        cos, sin = math.cos(turn), math.sin(turn)
        pose = np.eye(4)
        pose[:2, :2] = [[cos, -sin], [sin, cos]]
        pose[:3, 3] = x, y, z + height / 2
        held.append((first + index, Cuboid(name, track, SCANNER, pose, (length, width, height))))
    return held
