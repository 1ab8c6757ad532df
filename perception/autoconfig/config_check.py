"""The check of a configuration against a log: every error at once, each with the nearest name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from perception.autoconfig.first_messages import first_decoded, first_of, later_number_fields
from perception.config import Config, Role
from perception.config.fault_plan import plan_errors
from perception.errors import ConfigError
from perception.logs import Log, sensor_kind
from perception.logs.decoding.foxglove import PICTURE_FILE
from perception.text import did_you_mean, listed
from perception.types import DepthImage, StatusReading

_KINDS: Mapping[Role, str] = {
    "camera": "an image",
    "range": "a scan or a point cloud",
    "calibration": "a camera calibration",
    "transforms": "frame transforms",
    "truth_boxes": "boxes or cuboids",
    "status": "a message with numbers",
    "truth_control": "a message with numbers",
}


def check_config(log: Log, config: Config, source: str = "") -> list[str]:
    """Check a configuration against a log. Returns warnings.

    Args:
        source: The file that the configuration came from: an error names it.

    Raises:
        ConfigError: Topics are not in the log, have a schema that does not suit their role, or lack fields;
            or `faults` are wrong, or of sensors that are not configured.
    """
    errors, warnings = plan_errors(config.faults, config.sensor_kinds()), []
    for path, topic, role in config.uses():
        if error := _topic_error(log, topic, role):
            errors.append(f"{path}: {error}")
        elif topic not in log.survey.topics:
            warnings.append(f"{path}: {topic} has no messages in this log")
        elif role == "range" and _lacks_camera_info(log, path, topic, config):
            cure = path.replace(".topic", ".calibration")
            errors.append(f"{path}: {topic} is a depth image: name its camera info in {cure}")
        elif role == "status":
            fields = config.sensors.statuses[path.split(".")[1]].fields
            errors += _field_errors(log, topic, role, path.replace(".topic", ".fields"), fields)
        elif path == "truth.control":
            errors += _field_errors(log, topic, role, "truth.control_fields", config.truth.control_fields)
        elif path.startswith("truth.heads."):
            fields = config.truth.head_fields(path.removeprefix("truth.heads."))
            errors += _field_errors(log, topic, role, f"{path}.fields", fields)
    if errors:
        raise ConfigError(errors, source)
    return warnings


def _lacks_camera_info(log: Log, path: str, topic: str, config: Config) -> bool:
    return config.sensors.ranges[path.split(".")[1]].calibration is None and _is_depth(log, topic)


def _is_depth(log: Log, topic: str) -> bool:
    """Return whether an image topic holds depth, which may be a range sensor."""
    return first_of(log, topic, DepthImage, "range") is not None


def _topic_error(log: Log, topic: str, role: Role) -> str:
    kinds = {name: sensor_kind(channel.schema, channel.encoding) for name, channel in log.channels.items()}
    if topic not in kinds:
        suited = [name for name, kind in kinds.items() if _suits(kind, role)]
        hint = did_you_mean(topic, suited, "; ", cutoff=0.4) or did_you_mean(topic, kinds, "; ")
        hint = hint or f"; it holds {listed(suited or sorted(kinds)) or 'nothing'}"
        return f"topic {topic} is not in the log{hint}"
    if _suits(kinds[topic], role) or (role == "range" and _is_depth(log, topic)):
        return ""
    channel = log.channels[topic]
    if role == "truth_boxes" and channel.schema is not None and channel.schema.name == PICTURE_FILE:
        return ""  # names of pictures, whose boxes are in truth.labels
    schema = (
        channel.schema.name if channel.schema and channel.schema.name else f"no schema ({channel.encoding})"
    )
    suited = [name for name, kind in kinds.items() if kind == role]
    hint = f"; the log has {listed(suited)}" if suited else ""
    return f"expected {_KINDS[role]}, found {schema} on {topic}{hint}"


def _suits(kind: Role | None, role: Role) -> bool:
    return kind is not None if role in ("status", "truth_control") else kind == role


def _field_errors(log: Log, topic: str, role: Role, path: str, wanted: Mapping[str, str]) -> Iterator[str]:
    messages = first_decoded(log, topic, role)
    readings = [message.values for message in messages if isinstance(message, StatusReading)]
    paths = {path for values in readings for path in values}
    if not paths.issuperset(wanted.values()):
        paths |= later_number_fields(log, [topic], role)[topic]
    for name, field in wanted.items():
        if readings and field not in paths and not any(field in values for values in readings):
            hint = (
                did_you_mean(field, paths, "; ", cutoff=0.4)
                or f"; it holds {listed(sorted(paths)) or 'nothing'}"
            )
            yield f"{path}.{name}: no field {field} in the messages on {topic}{hint}"
    if not readings and wanted:
        yield f"{path}: no numbers could be read from the messages on {topic}"
