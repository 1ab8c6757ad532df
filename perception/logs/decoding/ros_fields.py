"""The fields that ROS messages share: the header, frames and poses."""

from __future__ import annotations

from typing import Any

from perception.geometry import Matrix
from perception.logs.decoding.checks import Envelope, Head, Tail, checked_pose, checked_transform


def head_of(ros: Any, envelope: Envelope) -> tuple[Head, Tail]:
    """Return the first arguments of a sensor message, and those by name, from its header."""
    return envelope.head(ros, frame_of(ros.header.frame_id))


def frame_of(frame_id: str) -> str:
    """Return a frame id as tf2 takes it."""
    return frame_id.lstrip("/")


def pose_of(translation: Any, rotation: Any, name: str) -> Matrix:
    """Return a checked pose, 4x4; an unset rotation is none, as rviz draws it."""
    return checked_pose(_xyz(translation), (*_xyz(rotation), rotation.w), name)


def transform_of(translation: Any, rotation: Any, name: str) -> Matrix:
    """Return a checked pose of a frame, 4x4; an unset rotation is an error."""
    return checked_transform(_xyz(translation), (*_xyz(rotation), rotation.w), name)


def _xyz(vector: Any) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z
