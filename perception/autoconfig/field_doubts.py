"""Doubts about the fields of a status: what a name means in one message, it does not mean in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from perception.autoconfig.frame_words import is_fixed_frame
from perception.autoconfig.naming_rules import kind_of, words_of
from perception.autoconfig.velocity_axes import NOT_FILLED, against_pose, sideways
from perception.geometry import is_optical
from perception.logs.decoding.numbers import NumberFields, find
from perception.types import StatusReading

GRAVITY_M_S2 = 2.0
"""A steady acceleration above this is a part of gravity: no vehicle starts with it."""

LEVEL_M_S2 = 5.0
"""An axis with less of gravity than this is nearer to the level than to the vertical."""

_ONE_G_M_S2 = 9.81
_IN_G = (0.9, 1.1)
"""The steady value of the vertical axis of an Imu whose driver writes g (Livox's does)."""

_FRAME_OF_TWIST = {
    "TwistStamped": "header.frame_id",
    "TwistWithCovarianceStamped": "header.frame_id",
    "Odometry": "child_frame_id",
}
"""The field that names the frame of the velocity, by its definition."""

_FRAME_OF_VECTORS = {
    **_FRAME_OF_TWIST,
    **dict.fromkeys(("Imu", "AccelStamped", "AccelWithCovarianceStamped"), "header.frame_id"),
}
"""The field that names the frame of all vectors of a message."""

_BODY_TWISTS = (*_FRAME_OF_TWIST, "Twist", "TwistWithCovariance")
"""Messages whose velocity is along the axes of the vehicle, x forward, by their definition or by use."""

_DOWN = frozenset(("frd", "ned"))
"""Words in the names of frames whose third axis points down (MAVROS' base_link_frd)."""
_OF_SATELLITES = ("gps", "gnss", "navsat", "ublox", "novatel", "septentrio", "trimble")
"""Frames and topics of receivers whose velocity is one to the east and north, which no message says."""


def field_doubts(
    schema: str,
    fields: Mapping[str, str],
    readings: Sequence[StatusReading],
    moving: Sequence[StatusReading] = (),
    topic: str = "",
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the channels that must not be taken, with the reason, and others that may be wrong, with why.

    Args:
        schema: The name of the message type.
        fields: Channel -> dotted path, as `naming_rules.known_fields` finds them.
        readings: The first messages.
        moving: Messages from more parts of the log, in which the vehicle may move; empty: not known.
        topic: Of the messages.
    """
    kind = kind_of(schema)
    wrong = _wrong_twist(kind, fields, readings, topic)
    doubts: dict[str, str] = {}
    speed = fields.get("speed", "")
    if is_one_axis(speed, readings) and "speed" not in wrong:
        reason, doubt = _wrong_axis(kind, speed, moving)
        wrong |= {"speed": reason} if reason else {}
        rate = fields.get("yaw_rate", "")
        if rate and reason.endswith(NOT_FILLED) and not any(r.values.get(rate) for r in moving):
            wrong["yaw_rate"] = f"{rate} is 0 as the rest of that velocity: {NOT_FILLED}"
        doubts |= {"speed": doubt} if doubt else {}
    acceleration = fields.get("acceleration", "")
    steady = _steady(acceleration, readings)
    if _sibling(acceleration, "z", readings):
        if reason := _wrong_acceleration(schema, acceleration, steady, readings):
            wrong["acceleration"] = reason
        else:
            doubts["acceleration"] = (
                f"acceleration is {acceleration}, the x axis of the sensor: it is that of the vehicle only "
                "where x points forward, and gravity enters on slopes"
            )
    if reason := _tilted_axis(schema, fields.get("yaw_rate", ""), acceleration, steady, readings):
        wrong["yaw_rate"] = reason
    elif "yaw_rate" in fields and _is_in_g(steady):
        doubts["yaw_rate"] = (
            f"yaw_rate is {fields['yaw_rate']} of a sensor whose acceleration is in g: "
            "it may be in degrees/s, where a status is in rad/s"
        )
    return wrong, doubts


def is_of_satellites(*names: str) -> bool:
    """Return whether a topic, a message type or a frame is that of a receiver of satellites, by its name."""
    return any(word in name.lower() for name in names for word in _OF_SATELLITES)


def frame_of_vectors(schema: str, readings: Sequence[StatusReading]) -> str:
    """Return the frame along whose axes the vectors of a message are; empty where nothing says so."""
    path = _FRAME_OF_VECTORS.get(kind_of(schema))
    return _text(path, readings).lstrip("/") if path else ""


def _likely_frame(schema: str, readings: Sequence[StatusReading]) -> str:
    """Return the frame of all vectors of a message; of an unknown one that of its header.

    The header of an Odometry names the frame of its pose alone.
    """
    if kind_of(schema) in _FRAME_OF_VECTORS:
        return frame_of_vectors(schema, readings)
    return _text("header.frame_id", readings).lstrip("/")


def is_one_axis(path: str, readings: Sequence[StatusReading]) -> bool:
    """Return whether a path is the x axis of a vector that has y, too."""
    return _sibling(path, "y", readings)


def _wrong_axis(kind: str, speed: str, moving: Sequence[StatusReading]) -> tuple[str, str]:
    """Return why the x axis of a velocity is no speed, and why it may be none; empty: nothing says so."""
    if "LocalPosition" in kind:
        return f"{speed} is the velocity to the north, not along the vehicle", ""
    reason, doubt = against_pose(speed, moving) if kind == "Odometry" else ("", "")
    if reason or doubt:
        return reason, doubt
    across = sideways(speed, moving)
    if kind in _BODY_TWISTS:
        return "", across
    if across:
        return f"{speed} is one axis of a velocity, and {across}", ""
    return "", (
        f"speed is {speed}, one axis of a velocity: it is the speed only where that axis points forward (in "
        "PX4's local frame x points north)"
    )


def _wrong_twist(
    kind: str, fields: Mapping[str, str], readings: Sequence[StatusReading], topic: str
) -> dict[str, str]:
    """Return the channels of a velocity that is along the axes of another frame than the vehicle's.

    The rate about the vertical is the same in a frame that does not turn; a receiver of satellites has none.
    """
    frame = _text(_FRAME_OF_TWIST[kind], readings) if kind in _FRAME_OF_TWIST else ""
    speed = fields.get("speed", "")
    if not speed.endswith("linear.x"):
        return {}
    if is_fixed_frame(frame):
        return {"speed": f"{speed} is along an axis of the frame {frame!r}, not along the vehicle"}
    if is_optical(frame):
        return {"speed": f"{speed} points to the right, as {frame} is an optical frame"}
    names = {frame.rsplit("/", 1)[-1]: frame}
    if not any(abs(r.values.get(fields.get("yaw_rate", ""), 0.0)) > 0 for r in readings):
        names[topic] = topic  # what turns has an Imu, whose axes it is along (kitti2bag's gps/vel)
    receiver = next((names[n] for n in names if is_of_satellites(n)), "")
    if receiver and kind in _FRAME_OF_TWIST and kind != "Odometry":
        text = f"{{}} is that of a receiver of satellites ({receiver!r}): a velocity to the east and north"
        return {
            channel: text.format(fields[channel]) for channel in ("speed", "yaw_rate") if channel in fields
        }
    return {}


def _wrong_acceleration(
    schema: str, path: str, steady: Mapping[str, float], readings: Sequence[StatusReading]
) -> str:
    """Return why the x axis of a vector is no acceleration of the vehicle; empty: nothing says so."""
    if "LocalPosition" in kind_of(schema):
        return f"{path} is the acceleration to the north, not along the vehicle"
    frame = _likely_frame(schema, readings)
    if is_optical(frame):
        return f"{path} points to the right, as {frame} is an optical frame"
    if is_fixed_frame(frame):
        return f"{path} is along an axis of the frame {frame!r}, not along the vehicle"
    if _is_in_g(steady):
        return f"{path} is in g, where a status is in m/s2: gravity is {abs(steady['z']):.2f}"
    if abs(steady.get("x", 0.0)) > GRAVITY_M_S2:
        return f"{path} is {steady['x']:.1f} m/s2 at rest: gravity is on that axis"
    return ""


def _tilted_axis(
    schema: str,
    yaw_rate: str,
    acceleration: str,
    steady: Mapping[str, float],
    readings: Sequence[StatusReading],
) -> str:
    """Return why a rate about the z axis of a sensor is not about the way up; empty: nothing says so.

    An optical frame has z forward. At rest gravity is on the vertical axis, and positive on one that points
    up (REP 145).
    """
    if not yaw_rate.lower().endswith("z") or not _sibling(f"{yaw_rate[:-1]}x", "y", readings):
        return ""
    frame = _likely_frame(schema, readings)
    if is_optical(frame):
        return f"{yaw_rate} is about an axis that points forward, as {frame} is an optical frame"
    if words_of(frame.rsplit("/", 1)[-1]) & _DOWN:
        return f"{yaw_rate} is about an axis that points down, by the name of its frame {frame!r}"
    if len(steady) < 3:
        return ""
    unit = _ONE_G_M_S2 if _is_in_g(steady) else 1.0
    if steady["z"] * unit < -LEVEL_M_S2:
        return (
            f"{yaw_rate} is about an axis that points down, and grows to the right: {acceleration[:-1]}z is "
            f"{steady['z']:.1f} at rest"
        )
    axis = max("xy", key=lambda name: abs(steady[name]))
    if steady["z"] * unit > LEVEL_M_S2 or abs(steady[axis]) <= LEVEL_M_S2:
        return ""
    return f"{yaw_rate} is not about the vertical: gravity is on {axis} ({steady[axis]:.1f} m/s2)"


def _steady(path: str, readings: Sequence[StatusReading]) -> dict[str, float]:
    """Return the median of each axis of the vector that a path is the x axis of, as far as it is known."""
    if not path.endswith("x"):
        return {}
    axes = {axis: f"{path[:-1]}{axis}" for axis in "xyz"}
    return {
        axis: median(values)
        for axis, name in axes.items()
        if (values := [reading.values[name] for reading in readings if name in reading.values])
    }


def _is_in_g(steady: Mapping[str, float]) -> bool:
    return len(steady) == 3 and _IN_G[0] < abs(steady["z"]) < _IN_G[1]


def _text(path: str, readings: Sequence[StatusReading]) -> str:
    """Return the first text in a field of the messages; empty where there is none."""
    trees = [reading.values.tree for reading in readings if isinstance(reading.values, NumberFields)]
    return next((text for tree in trees if isinstance(text := find(tree, path), str) and text), "")


def _sibling(path: str, axis: str, readings: Sequence[StatusReading]) -> bool:
    """Return whether a path is the x axis of a vector that has the other axis, too."""
    if not path.lower().endswith("x"):
        return False
    other = path[:-1] + (axis.upper() if path[-1].isupper() else axis)
    return any(other in reading.values for reading in readings)
