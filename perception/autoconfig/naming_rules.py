"""Rules for the names of topics, schemas and fields. What was measured goes before them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from perception.autoconfig.other_things import MOVED, of_the_vehicle, other_thing

NameDoubt = Literal["", "weak", "strong"]
"""How strongly a name speaks against a topic: not at all; by a word with other meanings; by a clear word."""


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OWN_TOPICS = "/perception/"
_OWN_MESSAGES = {
    "scene": ("SceneUpdate",),  # of an output log; the others are what the ROS host publishes
    "detections": ("Detection2DArray",),
    "detections_3d": ("Detection3DArray",),
    "control": ("TwistStamped", "AckermannDriveStamped"),
}
"""Outputs in the messages of others, by the last part of their topic."""
_TRUTH = frozenset(("truth", "groundtruth"))
_PERHAPS_TRUTH = frozenset(("gt", "label", "labels", "labelled", "annotation", "annotations", "annotated"))
_COMMAND = _word_set(
    "control controls ctrl command commands cmd cmds target setpoint setpoints desired action actions"
)
_MEASURED = _word_set("state states status odom odometry imu feedback measured measurement actual report")
_HOUSEKEEPING = frozenset(("rosout", "rosout_agg", "parameter_events", "diagnostics", "diagnostics_agg"))
_HOUSEKEEPING_PACKAGES = _word_set(
    "rcl_interfaces rosgraph_msgs diagnostic_msgs rosbag2_interfaces lifecycle_msgs action_msgs "
    "statistics_msgs service_msgs bond dynamic_reconfigure"
)
_MEASUREMENTS = _word_set(
    "Odometry Imu JointState AccelStamped AccelWithCovarianceStamped TwistWithCovarianceStamped "
    "VelocityReport VehicleOdometry VehicleLocalPosition NavSatFix"
)
"""Messages that hold measurements by their definition, whatever their topic is called."""
_OF_VEHICLES = _word_set("Odometry Imu VehicleOdometry VehicleLocalPosition")
_COMMANDS = _word_set("AckermannDrive AckermannDriveStamped")
"""Messages that hold commands by their definition, where the topic does not say that they were measured."""
_OFTEN_COMMANDS = _word_set("Twist")
"""Messages that are as often commands as measurements: without a header, no estimator writes them."""

# The channels that a status may have, and what they are called elsewhere, most telling first. All are
# SI units: a name that says something else (`speed_kmh`) is not on the list.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    channel: tuple(names.split())
    for channel, names in {
        "speed": "speed velocity vel forward_speed vehicle_speed ego_speed v_ego longitudinal_velocity "
        "longitudinal_speed linear_speed linear_velocity velocity_lin vel.x x.vel velocity.x "
        "twist.twist.linear.x twist.linear.x linear_velocity.x linear.x vx "
        "speedometer ground_speed groundspeed",
        "yaw_rate": "yaw_rate yawrate yaw_velocity yaw_speed heading_rate turn_rate angvel.z ang_vel.z "
        "angular_speed angular_velocity velocity_ang angular_velocity.z angular_rate.z rotation_rate.z "
        "twist.twist.angular.z twist.angular.z angular.z gyro.z gyroscope.z wz",
        "acceleration": "acceleration accel longitudinal_acceleration forward_acceleration a_ego "
        "linear_acceleration.x linear_accel.x accel.accel.linear.x accel.linear.x acceleration.linear.x "
        "acceleration.x accel.x accelerometer.x ax",
        "steering": "steering_angle steering steering_tire_angle front_wheel_angle",
    }.items()
}
_SI_ENDS = {
    "speed": "_mps _m_s _ms _m_per_s",
    "yaw_rate": "_rad_s _radps _rads _rps _rad_per_s",
    "acceleration": "_mps2 _m_s2 _ms2 _m_per_s2",
    "steering": "_rad",
}
"""Channel -> ends of names that say the unit that a status has (`longitudinal_velocity_mps`)."""
_UNICYCLE = {"speed": "v", "yaw_rate": "omega"}
"""Channel -> name of its field in messages that have both (Duckietown's Twist2DStamped). A field `v` without
`omega` is not taken as a speed."""
_ACCELERATIONS = frozenset(("accel", "acceleration", "accelerations", "accelerometer", "jerk"))
"""Words of a path whose numbers are no velocities, also where they end alike (`accel.angular.z`)."""
_COMMANDED: Mapping[str, tuple[str, ...]] = {
    "curvature": ("curvature",),
    "steering": ("steering", "steering_angle", "steer", "steering.angle", "user.angle"),
    "throttle": ("throttle", "gas", "accelerator", "user.throttle"),
    "brake": ("brake", "braking"),
    **{channel: _ALIASES[channel] for channel in ("acceleration", "speed", "yaw_rate")},
}
"""The channels of recorded commands, and what they are called."""

_VALUES = ("data", "value")
"""Fields of messages of one number (std_msgs/Float32), which their topic names."""

_OTHER_UNITS = {
    "kmh": "km/h",
    "km_h": "km/h",
    "kph": "km/h",
    "kmph": "km/h",
    "mm_s": "mm/s",
    "cm_s": "cm/s",
    "mph": "mph",
    "knots": "knots",
    "deg": "degrees",
    "deg_s": "degrees",
    "deg_per_s": "degrees",
    "degrees": "degrees",
    "dps": "degrees",
    "g": "g",
}
"""Ends of names that say a unit that a status does not have."""

_WORTH = {"speed": 4, "yaw_rate": 2, "acceleration": 1, "steering": 0}


def is_own_output(topic: str, schema: str) -> bool:
    """Return whether a topic holds the outputs of an earlier run: never an input, never the truth.

    A sensor under `/perception/` is none: an output has a schema of this project, is its annotations, or has
    the name and type that the output log or the ROS host gives it.
    """
    own = schema.startswith("perception.") or schema.endswith("ImageAnnotations")
    own |= schema.endswith(_OWN_MESSAGES.get(topic.rsplit("/", 1)[-1], ()))
    return topic.startswith(_OWN_TOPICS) and (own or topic == f"{_OWN_TOPICS}timing")


def says_truth(topic: str) -> bool:
    """Return whether a topic's name says, or may say, that it holds truth."""
    return truth_doubt(topic) != ""


def truth_doubt(topic: str) -> NameDoubt:
    """Return how strongly a topic's name says that it holds truth.

    A part of its path that is such a word says so (`/gt/boxes`, `/ground_truth_pose`); a word beside others
    may be the name of a thing (`/gt_car/image`).
    """
    parts = [words_of(part) for part in topic.split("/")]
    if any(words & _TRUTH or (len(words) == 1 and words & _PERHAPS_TRUTH) for words in parts):
        return "strong"
    return "weak" if any(words & _PERHAPS_TRUTH for words in parts) else ""


def says_control(topic: str, schema: str = "") -> bool:
    """Return whether a topic's name or schema says for certain that it holds commands, not measurements."""
    return command_doubt(topic, schema) == "strong"


def command_doubt(topic: str, schema: str = "") -> NameDoubt:
    """Return how strongly a topic's name or schema says that it holds commands, not measurements.

    Definitions go first: an Odometry is measured on any topic, an AckermannDrive is a command on any that
    does not say otherwise (`/ackermann_state`). A namespace (`/control/odom`) is a weak word.
    """
    kind = kind_of(schema)
    if kind in _MEASUREMENTS:
        return ""
    parts = [words_of(part) for part in topic.split("/")]
    if words_of(_snake(kind)) & _COMMAND:
        return "strong"
    doubt = _doubt_of_parts(parts)
    if doubt or any(words & _MEASURED for words in parts):
        return doubt
    return "strong" if kind in _COMMANDS else "weak" if kind in _OFTEN_COMMANDS else ""


def _doubt_of_parts(parts: Sequence[frozenset[str]]) -> NameDoubt:
    """Return how strongly words of a path say a command; a word of measurements behind it weakens that."""
    at = [index for index, words in enumerate(parts) if words & _COMMAND]
    if not at:
        return ""
    return "weak" if any(words & _MEASURED for words in parts[at[-1] + 1 :]) else "strong"


def of_other_thing(topic: str, schema: str, paths: Iterable[str] = ()) -> str:
    """Return the word by which a topic is of another thing than the vehicle; empty where none is.

    An Odometry or an Imu is of the vehicle whatever its driver is called (`/motor_controller/odom`); so are a
    twist and a `vehicle_speed` on the topic of a motor.

    Args:
        topic: Without the namespace of the vehicle.
        schema: The name of the message type.
        paths: Of the channels in it.
    """
    kind = kind_of(schema)
    parts = [words_of(part) for part in topic.split("/")]
    word = other_thing(parts) or other_thing([words_of(_snake(kind)) & {"radar"}])
    said = "Twist" in kind or any("vehicle" in words_of(path) for path in paths)
    return "" if kind in _OF_VEHICLES or (said and word in MOVED) else word


def kind_of(schema: str) -> str:
    """Return the last part of the name of a message type."""
    return schema.rsplit("/", 1)[-1].rsplit(".", 1)[-1]


def is_drive_command(schema: str) -> bool:
    """Return whether a message asks for a speed: an AckermannDrive, in which acceleration 0 means at once."""
    return kind_of(schema) in _COMMANDS


def is_housekeeping(topic: str, schema: str = "") -> bool:
    """Return whether a topic belongs to the middleware."""
    package = schema.split("/")[0].split(".")[0]
    return package in _HOUSEKEEPING_PACKAGES or topic.lower().rsplit("/", 1)[-1] in _HOUSEKEEPING


def known_fields(paths: Collection[str], schema: str = "") -> dict[str, str]:
    """Return the fields of a message that are known channels: channel name -> dotted path.

    A name is found in any spelling (`yawRate`, `Yaw_Rate`) and at any depth (`state.speed`), but not in a
    list, which is of many things, nor in a part that is a command (`cmd.speed`) or of another thing
    (`wind.speed`); of several, the most telling name wins, then the shallowest path.
    """
    under = "accel." if kind_of(schema) == "Accel" else ""  # its fields are called as those of a Twist
    words = {path: [words_of(part) for part in path.split(".")] for path in paths}
    measured = [
        under + path
        for path, parts in words.items()
        if _doubt_of_parts(parts) != "strong" and not other_thing(parts)
    ]
    fields = _fields_by_name(measured, _ALIASES)
    if not fields and set(_UNICYCLE.values()) <= set(measured):
        return dict(_UNICYCLE)
    return {channel: path.removeprefix(under) for channel, path in fields.items()}


def commanded_fields(paths: Collection[str]) -> dict[str, str]:
    """Return the fields of a recorded command that are known channels: channel name -> dotted path."""
    return _fields_by_name(paths, _COMMANDED)


def fields_in_other_units(paths: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the fields that would be known but for the unit in their name: channel -> path and unit."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(paths):
        for end, unit in _OTHER_UNITS.items():
            name = _snake(path).removesuffix(f"_{end}")
            for channel in known_fields([name]) if name != _snake(path) else ():
                found.setdefault(channel, (path, unit))
    return found


def fields_of_topic(topic: str, paths: Collection[str]) -> dict[str, str]:
    """Return the field of a message of one number (`data`) as the channel that its topic is called after."""
    own = [path for path in paths if not path.startswith("header.")]
    if len(own) != 1 or own[0] not in _VALUES:
        return {}
    parts = [part for part in topic.split("/") if part and part not in _VALUES]
    return dict.fromkeys(known_fields(parts[-1:]), own[0])


def _fields_by_name(paths: Collection[str], names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    single = [path for path in paths if not any(part.isdigit() for part in path.split("."))]
    plain = {
        path: re.sub("_(?=[xyz]$)", ".", _snake(path))
        for path in sorted(single, key=lambda path: (path.count("."), path))
    }
    velocities = {
        path: name
        for path, name in plain.items()
        if not any(words_of(part) & _ACCELERATIONS for part in path.split("."))
    }
    fields = {}
    for channel, aliases in names.items():
        fitting = plain if channel == "acceleration" else velocities
        fitting = {path: _without_unit(name, channel) for path, name in fitting.items()}
        exact = (path for alias in aliases for path, name in fitting.items() if name == alias)
        below = {
            alias: [path for path, name in fitting.items() if name.endswith(f".{alias}")] for alias in aliases
        }
        held = {a: of_the_vehicle(paths) for a, paths in below.items()} if channel == "speed" else below
        path = next(exact, None) or next((paths[0] for paths in held.values() if paths), None)
        if path is not None:
            fields[channel] = path
    return fields


def _without_unit(name: str, channel: str) -> str:
    """Return the name of a field without an end that says the unit that the channel has."""
    end = next((end for end in _SI_ENDS.get(channel, "").split() if name.endswith(end)), "")
    return name.removesuffix(end)


def records_actions(topic: str, schema: str) -> bool:
    """Return whether a topic holds the commands of a driver at the moment of its stamp."""
    return schema == "donkeycar.Record" or topic.strip("/").split("/")[0].lower() in ("action", "actions")


def worth(fields: Mapping[str, str]) -> int:
    """Return how much a status with these channels tells of the motion; 0: nothing."""
    return sum(_WORTH[channel] for channel in fields)


def _snake(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path).lower()


def words_of(part: str) -> frozenset[str]:
    """Return the words of a part of a topic. `ground_truth` has the word truth."""
    return frozenset(re.split(r"[^a-z0-9]+", _snake(part))) - {"", "ground"}
