"""Doubts about the fields of a status: what a name means in one message, it does not mean in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from perception.types import StatusReading

GRAVITY_M_S2 = 2.0
"""A steady acceleration above this is a part of gravity: no vehicle starts with it."""

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
        if abs(steady) > GRAVITY_M_S2:
            wrong["acceleration"] = f"{acceleration} is {steady:.1f} m/s2 at rest: gravity is on that axis"
        else:
            doubts.append(
                f"acceleration is {acceleration}, the x axis of the sensor: it is that of the vehicle only "
                "where x points forward, and gravity enters on slopes"
            )
    return wrong, doubts


def _sibling(path: str, axis: str, readings: Sequence[StatusReading]) -> bool:
    """Return whether a path is the x axis of a vector that has the other axis, too."""
    if not path.lower().endswith("x"):
        return False
    other = path[:-1] + (axis.upper() if path[-1].isupper() else axis)
    return any(other in reading.values for reading in readings)
