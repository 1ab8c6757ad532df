"""Rules for the names of topics and fields."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

OWN_OUTPUTS = "/perception/"
"""Topics of earlier runs: never an input, never the truth."""

_TRUTH = ("truth", "label", "annotation")
_CONTROL = ("control", "command", "cmd", "target", "setpoint", "desired")
_NOT_COLOUR = ("depth", "disparity", "mask", "segment", "semantic", "thermal", "infra")
_HOUSEKEEPING = ("rosout", "parameter_events", "diagnostics", "events", "rosgraph", "clock")

# The channels that a status may have, and what they are called elsewhere, most telling first. All are
# SI units: a name that says something else (`speed_kmh`) is not on the list.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    channel: tuple(names.split())
    for channel, names in {
        "speed": "speed velocity vel forward_speed vehicle_speed ego_speed speed_mps speed_m_s "
        "longitudinal_velocity longitudinal_speed linear_speed linear_velocity vel.x velocity.x "
        "twist.twist.linear.x twist.linear.x linear_velocity.x linear.x vx",
        "yaw_rate": "yaw_rate yawrate yaw_velocity yaw_speed yaw_rate_rad_s heading_rate turn_rate "
        "angular_speed angular_velocity.z angular_rate.z twist.twist.angular.z twist.angular.z angular.z "
        "gyro.z gyroscope.z wz",
        "acceleration": "acceleration accel longitudinal_acceleration forward_acceleration acceleration_m_s2 "
        "linear_acceleration.x accel.accel.linear.x accel.linear.x acceleration.x accel.x ax",
        "steering": "steering_angle steering steering_tire_angle front_wheel_angle",
    }.items()
}
_WORTH = {"speed": 4, "yaw_rate": 2, "acceleration": 1, "steering": 0}


def says_truth(topic: str) -> bool:
    """Return whether a topic's name says that it holds truth."""
    words = re.split(r"[^a-z0-9]+", topic.lower())
    return any(word in topic.lower() for word in _TRUTH) or "gt" in words


def says_control(topic: str) -> bool:
    """Return whether a topic's name says that it holds commands rather than measurements."""
    return any(word in topic.lower() for word in _CONTROL)


def says_not_colour(topic: str) -> bool:
    """Return whether an image topic's name says that it is no picture as a camera takes it."""
    return any(word in topic.lower() for word in _NOT_COLOUR)


def is_housekeeping(topic: str) -> bool:
    """Return whether a topic belongs to the middleware."""
    return any(part in _HOUSEKEEPING for part in topic.lower().split("/"))


def known_fields(paths: Collection[str]) -> dict[str, str]:
    """Return the fields of a message that are known channels: channel name -> dotted path.

    A name is found in any spelling (`yawRate`, `Yaw_Rate`) and at any depth (`state.speed`), but not in a
    list, which is of many things; of several, the most telling name wins, then the shallowest path.
    """
    single = [path for path in paths if not any(part.isdigit() for part in path.split("."))]
    plain = {path: _plain(path) for path in sorted(single, key=lambda path: (path.count("."), path))}
    fields = {}
    for channel, aliases in _ALIASES.items():
        exact = (path for alias in aliases for path, name in plain.items() if name == alias)
        below = (path for alias in aliases for path, name in plain.items() if name.endswith("." + alias))
        path = next(exact, None) or next(below, None)
        if path is not None:
            fields[channel] = path
    return fields


def worth(fields: Mapping[str, str]) -> int:
    """Return how much a status with these channels tells of the motion; 0: nothing."""
    return sum(_WORTH[channel] for channel in fields)


def _plain(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path).lower()


def shared_prefix(a: str, b: str) -> int:
    """Return the number of leading parts that two topics share."""
    count = 0
    for x, y in zip(a.strip("/").split("/"), b.strip("/").split("/"), strict=False):
        if x != y:
            break
        count += 1
    return count
