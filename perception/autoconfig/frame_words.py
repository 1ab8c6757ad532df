"""Frames that do not move with the vehicle, by their names."""

from __future__ import annotations

_FIXED = frozenset(
    (
        *("map", "world", "odom", "earth", "enu", "ned", "utm", "local_origin", "camera_init"),
        *("local_enu", "local_ned", "ground_enu"),
    )
)
"""By the last part of the name; `camera_init` is where LOAM began, `ground_enu` is DJI's."""

_FIXED_ENDS = ("_map", "_world", "_odom", "_utm")
"""Of names such as `robot1_odom`; a frame that ends in `_ned` or `_enu` may be that of a sensor."""


def is_fixed_frame(frame_id: str) -> bool:
    """Return whether a frame does not turn with the vehicle, by its name (REP 105)."""
    name = frame_id.rsplit("/", 1)[-1].lower().removesuffix("_frame")
    return name in _FIXED or name.endswith(_FIXED_ENDS)
