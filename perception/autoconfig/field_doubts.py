"""Doubts about the fields of a status: what a name means in one message, it does not mean in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from perception.logs.decoding.numbers import NumberFields, find
from perception.types import StatusReading

GRAVITY_M_S2 = 2.0
"""A steady acceleration above this is a part of gravity: no vehicle starts with it."""

LEVEL_M_S2 = 5.0
"""An axis with less of gravity than this is nearer to the level than to the vertical."""

_BODY_TWISTS = ("Odometry", "Twist", "TwistStamped", "TwistWithCovarianceStamped", "TwistWithCovariance")
"""Messages whose velocity is along the axes of the vehicle, x forward, by their definition or by use."""


def field_doubts(
    schema: str, fields: Mapping[str, str], readings: Sequence[StatusReading]
) -> tuple[dict[str, str], list[str]]:
    """Return the channels that must not be taken, with the reason, and doubts about others to tell the user.

    Args:
        schema: The name of the message type.
        fields: Channel -> dotted path, as `naming_rules.known_fields` finds them.
        readings: Some messages.
    """
    kind = schema.rsplit("/", 1)[-1].rsplit(".", 1)[-1]
    wrong: dict[str, str] = {}
    doubts: list[str] = []
    speed = fields.get("speed", "")
    if _sibling(speed, "y", readings):
        if "LocalPosition" in kind:
            wrong["speed"] = f"{speed} is the velocity to the north, not along the vehicle"
        elif kind not in _BODY_TWISTS:
            doubts.append(
                f"speed is {speed}, one axis of a velocity: it is the speed only where that axis points "
                "forward (in PX4's local frame x points north)"
            )
    acceleration = fields.get("acceleration", "")
    if _sibling(acceleration, "z", readings):
        values = [reading.values[acceleration] for reading in readings if acceleration in reading.values]
        steady = median(values) if values else 0.0
        if frame := _optical_frame(readings):
            wrong["acceleration"] = f"{acceleration} points to the right, as {frame} is an optical frame"
        elif abs(steady) > GRAVITY_M_S2:
            wrong["acceleration"] = f"{acceleration} is {steady:.1f} m/s2 at rest: gravity is on that axis"
        else:
            doubts.append(
                f"acceleration is {acceleration}, the x axis of the sensor: it is that of the vehicle only "
                "where x points forward, and gravity enters on slopes"
            )
    if reason := _tilted_axis(fields.get("yaw_rate", ""), acceleration, readings):
        wrong["yaw_rate"] = reason
    return wrong, doubts


def _tilted_axis(yaw_rate: str, acceleration: str, readings: Sequence[StatusReading]) -> str:
    """Return why a rate about the z axis of a sensor is not about the vertical; empty: nothing says so.

    An optical frame has z forward. At rest gravity is on the vertical axis.
    """
    if not yaw_rate.lower().endswith("z") or not _sibling(f"{yaw_rate[:-1]}x", "y", readings):
        return ""
    if frame := _optical_frame(readings):
        return f"{yaw_rate} is about an axis that points forward, as {frame} is an optical frame"
    axes = {axis: f"{acceleration[:-1]}{axis}" for axis in "xyz"} if acceleration.endswith("x") else {}
    steady = {
        axis: median(values)
        for axis, path in axes.items()
        if (values := [reading.values[path] for reading in readings if path in reading.values])
    }
    if len(steady) < 3 or abs(steady["z"]) > LEVEL_M_S2:
        return ""
    axis = max("xy", key=lambda name: abs(steady[name]))
    if abs(steady[axis]) <= LEVEL_M_S2:
        return ""
    return f"{yaw_rate} is not about the vertical: gravity is on {axis} ({steady[axis]:.1f} m/s2)"


def _optical_frame(readings: Sequence[StatusReading]) -> str:
    """Return the frame that the messages name where it is one of a camera (z forward, x right), else ""."""
    trees = [reading.values.tree for reading in readings if isinstance(reading.values, NumberFields)]
    frames = [find(tree, "header.frame_id") for tree in trees]
    frame = next((frame for frame in frames if isinstance(frame, str)), "")
    return frame if frame.endswith("optical_frame") else ""


def _sibling(path: str, axis: str, readings: Sequence[StatusReading]) -> bool:
    """Return whether a path is the x axis of a vector that has the other axis, too."""
    if not path.lower().endswith("x"):
        return False
    other = path[:-1] + (axis.upper() if path[-1].isupper() else axis)
    return any(other in reading.values for reading in readings)
