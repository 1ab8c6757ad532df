"""Frames that do not move with the vehicle, by their names."""

from __future__ import annotations

_FIXED = frozenset(("map", "world", "odom", "earth", "enu", "ned", "utm", "local_origin", "camera_init"))
"""By the last part of the name; `camera_init` is where LOAM began."""


def is_fixed_frame(frame_id: str) -> bool:
    """Return whether a frame does not turn with the vehicle, by its name (REP 105)."""
    return frame_id.rsplit("/", 1)[-1].lower() in _FIXED
