"""Vectors along the axes of a sensor that transforms turn against the vehicle: none of its axes is theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perception.autoconfig.base_frame import FirstFrames

_LEAST = 0.9
"""The cosine of the angle up to which an axis of a sensor counts as that of the vehicle: 26 degrees."""
_AXES = {"yaw_rate": ("z", 2, "up"), "speed": ("x", 0, "ahead"), "acceleration": ("x", 0, "ahead")}
"""Channel -> the axis of the vehicle that it is along, by name and index, and where that points."""


def turned_axes(frames: FirstFrames, frame: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the channels that are along another axis than the vehicle's, with the reason.

    Args:
        frames: The transforms of the log.
        frame: Of the vectors; empty: not known.
        fields: Channel -> dotted path.
    """
    base = frames.named_base(frame) if frame else None
    base_from_frame = frames.tree.target_from_source(base, frame) if base is not None else None
    if base_from_frame is None:
        return {}
    wrong = {}
    for channel, path in fields.items():
        axis, i, where = _AXES.get(channel, ("", 0, ""))
        cosine = float(np.clip(base_from_frame[i, i], -1, 1))
        if axis and path.lower().endswith(f".{axis}") and cosine < _LEAST:
            degrees = np.degrees(np.arccos(cosine))
            wrong[channel] = (
                f"{path} is along an axis of {frame!r} that transforms turn {degrees:.0f} degrees away from "
                f"{where} in {base!r}"
            )
    return wrong
