"""ROS messages of labelled boxes: those of vision_msgs."""

from __future__ import annotations

import math
from typing import Any

from perception.logs.decoding.checks import (
    MAX_ITEMS,
    DecodeError,
    Envelope,
    Skipped,
    checked_box_size,
    checked_rectangle,
    first_measured,
    limited,
)
from perception.logs.decoding.ros_fields import frame_of, pose_of
from perception.logs.decoding.stamps import Stamp
from perception.types import Cuboid, Cuboids, Decoded, TruthBox, TruthBoxes


def detections_2d(ros: Any, envelope: Envelope) -> Decoded:
    """Read a vision_msgs/Detection2DArray; it knows no distance (NaN) and no occlusion (visible 1).

    A box that is turned in the picture is the upright rectangle around it.
    """
    limited(len(ros.detections), MAX_ITEMS, "boxes")
    items, skipped = [], Skipped()
    for detection in ros.detections:
        centre = detection.bbox.center
        x, y = (centre.position.x, centre.position.y) if hasattr(centre, "position") else (centre.x, centre.y)
        w, h = _upright(detection.bbox.size_x / 2, detection.bbox.size_y / 2, centre.theta)
        label, track = _names(detection)
        box = TruthBox(label, (x - w, y - h, x + w, y + h), float("nan"), 1.0, track)
        try:
            items.append(checked_rectangle(box))
        except DecodeError as error:
            skipped.add(error)
    skipped.check(len(items), "boxes")
    times, tail = envelope.times(_stamp_of_all(ros, envelope))
    return TruthBoxes(
        *times,
        tuple(items),
        **tail,
        ignored=skipped.count,
        ignored_reason=skipped.reason,
        frame_id=_frame_of_all(ros),
    )


def _stamp_of_all(ros: Any, envelope: Envelope) -> Stamp:
    """Return the stamp of an array of detections, or the first of them that has one."""
    own = envelope.stamp(ros)
    headed = (item for item in ros.detections if hasattr(item, "header"))
    return own if own.measured else first_measured([*map(envelope.stamp, headed)]) or own


def _frame_of_all(ros: Any) -> str:
    """Return the frame of an array of detections, or the one that all of them name; empty where none is."""
    if own := frame_of(ros.header.frame_id):
        return own
    frames = {frame_of(item.header.frame_id) for item in ros.detections if hasattr(item, "header")}
    return frames.pop() if len(frames) == 1 else ""


def detections_3d(ros: Any, envelope: Envelope) -> Decoded:
    """Read a vision_msgs/Detection3DArray."""
    limited(len(ros.detections), MAX_ITEMS, "boxes")
    items, skipped = [], Skipped()
    for detection in ros.detections:
        label, track = _names(detection)
        centre, size = detection.bbox.center, detection.bbox.size
        frame_id = frame_of(detection.header.frame_id or ros.header.frame_id)
        try:
            pose = pose_of(centre.position, centre.orientation, f"box {track!r}")
            sides = checked_box_size(size.x, size.y, size.z, f"box {track!r}")
        except DecodeError as error:
            skipped.add(error)
            continue
        items.append(Cuboid(label, track, frame_id, pose, sides))
    skipped.check(len(items), "boxes")
    times, tail = envelope.times(_stamp_of_all(ros, envelope))
    return Cuboids(*times, tuple(items), **tail, ignored=skipped.count, ignored_reason=skipped.reason)


def _upright(w: float, h: float, theta: float) -> tuple[float, float]:
    """Return the half sides of the upright rectangle around one that is turned by `theta` (rad)."""
    if not theta:
        return w, h
    if not math.isfinite(theta):
        return math.nan, math.nan
    c, s = abs(math.cos(theta)), abs(math.sin(theta))
    return w * c + h * s, w * s + h * c


def _names(detection: Any) -> tuple[str, str]:
    """Return label (of the best hypothesis) and track of a vision_msgs detection, in any of its versions."""
    hypotheses = [getattr(result, "hypothesis", result) for result in detection.results]
    best = max(hypotheses, key=lambda hypothesis: float(hypothesis.score), default=None)
    label = getattr(best, "class_id", getattr(best, "id", ""))
    return str(label), str(getattr(detection, "id", getattr(detection, "tracking_id", "")))
