"""The fields that ROS messages share: the header, frames and poses."""

from __future__ import annotations

from typing import Any

from perception.geometry import Matrix
from perception.logs.decoding.checks import Envelope, Head, Tail, checked_pose


def head_of(ros: Any, envelope: Envelope) -> tuple[Head, Tail]:
    """Return the first arguments of a sensor message, and those by name, from its header."""
    return envelope.head(ros, frame_of(ros.header.frame_id))


def frame_of(frame_id: str) -> str:
    """Return a frame id as tf2 takes it."""
    return frame_id.lstrip("/")


def pose_of(translation: Any, rotation: Any, name: str) -> Matrix:
    """Return a checked pose, 4x4."""
    position = (translation.x, translation.y, translation.z)
    return checked_pose(position, (rotation.x, rotation.y, rotation.z, rotation.w), name)
