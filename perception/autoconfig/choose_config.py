"""The choice of a configuration for a log: by schema, by name where that is not enough, never by a guess."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perception.align.picture_camera import is_rectified
from perception.autoconfig.alignment import AlignmentSimulation
from perception.autoconfig.alignment_advice import choose_wait
from perception.autoconfig.base_frame import with_base_frame
from perception.autoconfig.camera_choice import choose_cameras
from perception.autoconfig.config_check import check_config
from perception.autoconfig.config_draft import MOST_NAMED, ConfigDraft
from perception.autoconfig.first_messages import rate_hz
from perception.autoconfig.label_truth import with_labels
from perception.autoconfig.lens_doubts import lens_doubts
from perception.autoconfig.log_times import strays
from perception.autoconfig.mount_doubts import mount_doubts
from perception.autoconfig.other_robots import leave_out_other_robots
from perception.autoconfig.range_choice import choose_ranges
from perception.autoconfig.readable_topics import warn_of_unreadable
from perception.autoconfig.speed_check import speed_doubts
from perception.autoconfig.stamp_units import with_stamp_units
from perception.autoconfig.status_choice import choose_statuses
from perception.autoconfig.truth_choice import choose_truth
from perception.autoconfig.unused_topics import UnusedTopic, unused_topics
from perception.config import Config, parse_config, to_yaml
from perception.errors import ConfigError, LogError
from perception.logs import Log
from perception.text import listed
from perception.types import SENSORS

DEFAULT_RATE_HZ = 10.0
USABLE = (
    "an image (foxglove.CompressedImage, sensor_msgs/Image, ...), a scan or a point cloud, "
    "or a status with a speed, a yaw rate or an acceleration"
)


@dataclass(frozen=True, slots=True)
class ConfigChoice:
    """A configuration that fits a log, the reasons of its choices, warnings, and what it leaves out."""

    config: Config
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    unused: tuple[UnusedTopic, ...] = ()


def choose_config(log: Log, base: Config | None = None, source: str | Path | None = None) -> ConfigChoice:
    """Return a configuration for a log: chosen by schema, or `base` checked against the log.

    Where `base` names no sensors, sensors and truth are chosen by schema, and the rest of it holds.
    Truth, commands and the outputs of earlier runs are never taken for an input. `reference_rate_hz` is
    measured where it is not configured; `wait_ms` is chosen where neither it nor a sensor is configured.

    Args:
        base: The user's configuration; None: all is chosen.
        source: The file that `base` came from: an error names it.

    Raises:
        ConfigError: The choice is ambiguous (`.paste` is YAML to choose from), nothing in the log can be
            used, or `base` does not fit: every error with the nearest name.
        LogError: The log has no messages.
    """
    where = str(source or "")
    if not log.survey.topics:
        raise LogError(f"the log has no messages, so there is nothing to replay: {log.path}")
    if base is not None and base.sensors.named and log.survey.made_by_host:
        return _of_host(log, base)
    if base is not None and base.sensors.named:
        warnings = check_config(log, base, where)
        config, reasons = _with_rate(log, base, [])
        config, notes = with_stamp_units(log, config)
        config, base_frame = with_base_frame(log, config)
        config, label_reasons, label_warnings = with_labels(log, config, where)
        unused = unused_topics(log, config)
        reasons = ["as configured", *_projection(config), *base_frame, *label_reasons, *reasons]
        warnings += [
            *notes.warnings,
            *label_warnings,
            *lens_doubts(log, config),
            *mount_doubts(log, config),
            *speed_doubts(log, config),
        ]
        return ConfigChoice(config, (*reasons, *notes.reasons), tuple(warnings), unused)
    return _found(log, base, where)


def _of_host(log: Log, base: Config) -> ConfigChoice:
    """Return the configuration of a host's recording as it is: the host could find nothing in a log."""
    config, reasons = _with_rate(log, base, [])
    warnings = [
        f"{path}: {topic}: the host received no message"
        for path, topic, _ in config.uses()
        if topic not in log.survey.topics
    ]
    reasons = ["as configured: the recording of a host", *_projection(config), *reasons]
    return ConfigChoice(config, tuple(reasons), tuple(warnings), unused_topics(log, config))


def _found(log: Log, base: Config | None, where: str) -> ConfigChoice:
    """Return the choice of all sensors; the rest of `base` holds."""
    draft = _drafted(log)
    config = _finish(draft)
    if draft.ambiguous:
        head = f"more than one configuration fits {log.path.name}"
        raise ConfigError(draft.ambiguous, paste=_paste(config, draft), head=head)
    if base is not None:
        config, reasons = _with_rate(log, _completed(base, config), draft.warnings)
        draft.reasons += reasons
        draft.warnings += check_config(log, config, where)
    config, notes = with_stamp_units(log, config)
    if (base is None or "wait_ms" not in base.model_fields_set) and len(config.sensors.named) > 1:
        wait_ms, reasons = choose_wait(AlignmentSimulation(log, config), config)
        config = config.model_copy(update={"wait_ms": wait_ms}) if wait_ms else config
        draft.reasons += reasons
    for topic, log_time_ns in strays(log, config).items():
        draft.reasons.append(
            f"{topic} begins at log time {log_time_ns / 1e9:.3f} s, long before the sensors: "
            "--start and --end count from the first sensor message"
        )
    config, base_frame = with_base_frame(log, config)
    config, label_reasons, label_warnings = with_labels(log, config, where)
    unused = unused_topics(log, config, draft.unused)
    reasons = [*draft.reasons, *_projection(config), *base_frame, *label_reasons, *notes.reasons]
    warnings = [
        *draft.warnings,
        *notes.warnings,
        *label_warnings,
        *lens_doubts(log, config),
        *mount_doubts(log, config),
    ]
    return ConfigChoice(config, tuple(reasons), (*warnings, *speed_doubts(log, config)), unused)


def unused_without_choice(log: Log) -> tuple[UnusedTopic, ...]:
    """Return the topics that would not be used, and why, where the choice is ambiguous or has no sensor."""
    draft = _drafted(log)
    sensors = draft.data["sensors"]
    if not sensors:
        return unused_topics(log, None, draft.unused)
    return unused_topics(log, parse_config({**draft.data, "reference": _reference(draft)}), draft.unused)


def _drafted(log: Log) -> ConfigDraft:
    draft = ConfigDraft(log)
    leave_out_other_robots(draft)
    choose_cameras(draft)
    choose_ranges(draft)
    choose_statuses(draft)
    choose_truth(draft)
    warn_of_unreadable(draft)
    return draft


def _reference(draft: ConfigDraft) -> str:
    """Return the sensor that makes the ticks: the first camera, else range sensor, else status."""
    return next(name for kind in SENSORS for name in draft.of_sensors(kind))


def _completed(base: Config, found: Config) -> Config:
    """Return the user's configuration with the sensors and the truth that were found.

    Raises:
        ConfigError: It wants a reference that was not found.
    """
    own = base.truth.model_fields_set | ({"boxes"} if base.truth.labels is not None else set())
    truth = {key: value for key, value in found.truth if key not in own}
    changes: dict[str, object] = {"sensors": found.sensors, "truth": base.truth.model_copy(update=truth)}
    if "reference" not in base.model_fields_set:
        changes["reference"] = found.reference
    elif base.reference not in found.sensors.named and (of_kind := found.sensors.of_kind(base.reference)):
        changes["reference"] = next(iter(of_kind))  # several, by their names
    completed = base.model_copy(update=changes)
    if errors := completed.conflicts():
        raise ConfigError(errors)
    return completed


def _finish(draft: ConfigDraft) -> Config:
    sensors = draft.data["sensors"]
    if not sensors:
        found = listed(map(draft.described, sorted(draft.log.survey.topics)), MOST_NAMED)
        named = [item for item in draft.unused.values() if item.code in ("truth", "command")]
        errors = [
            f"sensors: expected {USABLE}; found {found}",
            *(f"sensors: {text}" for text in draft.warnings),
            *(f"sensors: {item.topic} is not used: {item.reason}" for item in named[:MOST_NAMED]),
        ]
        raise ConfigError(errors, head=f"no sensor that can be used in {draft.log.path.name}")
    config = parse_config({**draft.data, "reference": _reference(draft)})
    config, reasons = _with_rate(draft.log, config, draft.warnings)
    draft.reasons += reasons
    return config


def _with_rate(log: Log, config: Config, warnings: list[str]) -> tuple[Config, list[str]]:
    """The configuration with its reference's rate, measured where it is not configured."""
    if config.reference_rate_hz is not None:
        return config, []
    topic = config.sensors.named[config.reference].topic
    rate = rate_hz(log, topic)
    if rate is None:
        rate = DEFAULT_RATE_HZ
        warnings.append(
            f"the rate of {topic} cannot be measured from so few messages; {rate:g} Hz is assumed"
        )
    reason = f"reference: {config.reference}, whose messages make the ticks, at {rate:g} Hz"
    return config.model_copy(update={"reference_rate_hz": rate}), [reason]


def _projection(config: Config) -> list[str]:
    """Return a line where images are rectified: then P of the camera info projects, not K."""
    lines = []
    for name, camera in config.sensors.cameras.items():
        if camera.calibration is not None and is_rectified(camera):
            by_name = f"as its name says (if not: sensors.{name}.rectified: false)"
            why = "as configured" if camera.rectified else by_name
            lines.append(f"projection: P of the camera info; {camera.topic} is rectified, {why}")
    return lines


def _paste(config: Config, draft: ConfigDraft) -> str:
    notes = "".join(f"# {text}\n" for text in draft.ambiguous)
    return f"{notes}# keep the topics you mean, and pass this file with --config\n{to_yaml(config)}"
