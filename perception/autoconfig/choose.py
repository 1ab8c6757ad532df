"""Which topic is what: by schema first, by name where the schema says nothing, and never by a guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perception.autoconfig import names, peek
from perception.autoconfig.fit import fit
from perception.config import Config, Role, parse_config, to_yaml
from perception.errors import ConfigError, LogError
from perception.logs import Log, sensor_kind
from perception.messages import SENSORS

DEFAULT_RATE_HZ = 10.0
USABLE = (
    "an image (foxglove.CompressedImage, sensor_msgs/Image, ...), a scan or a point cloud, "
    "or a status with a speed, a yaw rate or an acceleration"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A configuration that fits a log, why it is so, and what to be wary of."""

    config: Config
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    """A configuration in the making."""

    log: Log
    data: dict[str, Any] = field(default_factory=lambda: {"version": 1, "sensors": {}})
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)

    def of_kind(self, role: Role) -> list[str]:
        """The topics with messages of a kind, truth and the outputs of earlier runs apart."""
        topics = [t for t in sorted(self.log.survey.topics) if not t.startswith(names.OWN_OUTPUTS)]
        return [topic for topic in topics if self.kind(topic) == role]

    def kind(self, topic: str) -> Role | None:
        channel = self.log.channels.get(topic)
        return sensor_kind(channel.schema, channel.encoding) if channel else None

    def described(self, topic: str) -> str:
        channel = self.log.channels.get(topic)  # a damaged log may have messages that nothing declares
        schema = (
            channel.schema.name
            if channel and channel.schema
            else channel.encoding
            if channel
            else "undeclared"
        )
        count = self.log.survey.topics[topic].count
        return f"{topic} ({schema}, {count} message{'s' if count != 1 else ''})"

    def schema(self, topic: str) -> str:
        schema = self.log.channels[topic].schema
        return schema.name if schema and schema.name else "message of its kind"

    def pick(self, path: str, what: str, topics: list[str]) -> str | None:
        """The only one of the topics; several are an ambiguity, and the first stands in the YAML to paste."""
        if len(topics) > 1:
            found = ", ".join(map(self.described, topics))
            self.ambiguous.append(f"{path}: {len(topics)} topics could be the {what}: {found}")
        return topics[0] if topics else None


def choose(log: Log, base: Config | None = None) -> Choice:
    """A configuration for a log: found by schema, or the given one checked against it.

    Truth, commands and the outputs of earlier runs are never taken for an input. `reference_rate_hz` is
    measured where it is not given.

    Raises:
        ConfigError: The choice is ambiguous (`.paste` is YAML to choose from), nothing in the log can be
            used, or the given configuration does not fit: every fault with the nearest name.
        LogError: The log has no messages.
    """
    if not log.survey.topics:
        raise LogError(f"the log has no messages, so there is nothing to replay: {log.path}")
    if base is not None:
        warnings = fit(log, base)
        config, reasons = _with_rate(log, base, [])
        return Choice(config, ("as configured", *reasons), tuple(warnings))
    draft = _Draft(log)
    _choose_camera(draft)
    _choose_range(draft)
    _choose_status(draft)
    _choose_truth(draft)
    config = _finish(draft)
    if draft.ambiguous:
        head = f"more than one configuration fits {log.path.name}"
        raise ConfigError(draft.ambiguous, paste=_paste(config, draft), head=head)
    return Choice(config, tuple(draft.reasons), tuple(draft.warnings))


def _finish(draft: _Draft) -> Config:
    sensors = draft.data["sensors"]
    if not sensors:
        found = ", ".join(map(draft.described, sorted(draft.log.survey.topics)[:8]))
        faults = [
            f"sensors: expected {USABLE}; found {found}",
            *(f"sensors: {text}" for text in draft.warnings),
        ]
        raise ConfigError(faults, head=f"no sensor that can be used in {draft.log.path.name}")
    reference = next(name for name in SENSORS if name in sensors)
    config = parse_config({**draft.data, "reference": reference})
    config, reasons = _with_rate(draft.log, config, draft.warnings)
    draft.reasons += reasons
    return config


def _with_rate(log: Log, config: Config, warnings: list[str]) -> tuple[Config, list[str]]:
    """The configuration with its reference's rate, measured where it is not given."""
    if config.reference_rate_hz is not None:
        return config, []
    topic = getattr(config.sensors, config.reference).topic
    rate = peek.rate_hz(log, topic)
    if rate is None:
        rate = DEFAULT_RATE_HZ
        warnings.append(
            f"the rate of {topic} cannot be measured from so few messages; {rate:g} Hz is assumed"
        )
    reason = f"reference: {config.reference}, whose messages make the ticks, at {rate:g} Hz"
    return config.model_copy(update={"reference_rate_hz": rate}), [reason]


def _paste(config: Config, draft: _Draft) -> str:
    notes = "".join(f"# {text}\n" for text in draft.ambiguous)
    return f"{notes}# keep the topics you mean, and pass this file with --config\n{to_yaml(config)}"


# --- the sensors --------------------------------------------------------------------------------------


def _choose_camera(draft: _Draft) -> None:
    images = [topic for topic in draft.of_kind("camera") if not names.says_truth(topic)]
    colour = [topic for topic in images if not names.says_not_colour(topic)] or images
    packed = [topic for topic in colour if topic.rsplit("/", 1)[0] in colour]  # /image_raw/compressed
    unpacked = {topic.rsplit("/", 1)[0] for topic in packed}
    topics = [topic for topic in colour if topic not in unpacked]
    topic = draft.pick("sensors.camera.topic", "camera", topics)
    if topic is None:
        return
    why = f"the only {draft.schema(topic)}"
    if len(images) > len(topics):
        others = ", ".join(t for t in images if t not in topics)
        why = f"an image, where {others} is no picture of its own"
    draft.reasons.append(f"camera: {topic}, {why}")
    camera: dict[str, Any] = {"topic": topic}
    draft.data["sensors"]["camera"] = camera
    calibration = _calibration_of(draft, topic)
    if calibration is not None:
        camera["calibration"] = calibration
    transforms = draft.of_kind("transforms")
    if transforms:
        camera["transforms"] = transforms
        draft.reasons.append(f"transforms: {', '.join(transforms)}, all there are")


def _calibration_of(draft: _Draft, camera: str) -> str | None:
    topics = draft.of_kind("calibration")
    if len(topics) < 2:
        if topics:
            draft.reasons.append(f"calibration: {topics[0]}, the only {draft.schema(topics[0])}")
        else:
            draft.warnings.append("no camera calibration in the log: ranges cannot be placed in the image")
        return topics[0] if topics else None
    frame = _frame_of(draft.log, camera)
    same = [topic for topic in topics if frame and _frame_of(draft.log, topic) == frame]
    if len(same) == 1:
        draft.reasons.append(f"calibration: {same[0]}, which names the camera's frame {frame}")
        return same[0]
    near = _best(same or topics, lambda topic: names.shared_prefix(topic, camera))
    if len(near) == 1:
        draft.reasons.append(f"calibration: {near[0]}, beside {camera}")
        return near[0]
    return draft.pick("sensors.camera.calibration", "camera's calibration", near)


def _frame_of(log: Log, topic: str) -> str:
    return next((getattr(decoded, "frame_id", "") for decoded in peek.first_decoded(log, topic, count=1)), "")


def _choose_range(draft: _Draft) -> None:
    topics = [topic for topic in draft.of_kind("range") if not names.says_truth(topic)]
    topic = draft.pick("sensors.range.topic", "range sensor", topics)
    if topic is None:
        return
    draft.reasons.append(f"range: {topic}, the only {draft.schema(topic)}")
    settings: dict[str, Any] = {"topic": topic}
    draft.data["sensors"]["range"] = settings
    rate = peek.rate_hz(draft.log, topic)
    if rate is not None and round(600 / rate) > 60:  # each tick shall find the scan before or after it
        settings["tolerance_ms"] = float(round(min(600 / rate, 500)))
        settings["max_age_ms"] = max(200.0, settings["tolerance_ms"])
        draft.reasons.append(
            f"range: tolerance_ms {settings['tolerance_ms']:g}, since it comes at {rate:g} Hz"
        )


def _choose_status(draft: _Draft) -> None:
    topics = [
        topic
        for topic in draft.of_kind("status")
        if not (names.says_truth(topic) or names.says_control(topic) or names.is_housekeeping(topic))
    ]
    seen = {topic: peek.fields(draft.log, topic) for topic in topics}
    known = {topic: names.known_fields(paths) for topic, paths in seen.items()}
    best = _best([t for t in topics if names.worth(known[t])], lambda t: names.worth(known[t]))
    topic = draft.pick("sensors.status.topic", "status", best)
    if topic is None:
        for unknown in [t for t in topics if seen[t]][:3]:
            some = ", ".join(sorted(seen[unknown])[:8])
            draft.warnings.append(
                f"{unknown} is not used: none of its fields is known ({some}); "
                "name those you mean under sensors.status.fields"
            )
        return
    fields = known[topic]
    held = ", ".join(f"{name} ({path})" if name != path else name for name, path in fields.items())
    why = "the only status" if len(topics) == 1 else f"the most telling of {len(topics)} status topics"
    draft.reasons.append(f"status: {topic}, {why}: {held}")
    settings: dict[str, Any] = {"topic": topic, "fields": fields}
    draft.data["sensors"]["status"] = settings
    rate = peek.rate_hz(draft.log, topic)
    if rate is not None and 1500 / rate > 100:  # a step shall not be unknown because one message is late
        settings["max_age_ms"] = float(round(min(1500 / rate, 1000)))
        draft.reasons.append(f"status: max_age_ms {settings['max_age_ms']:g}, since it comes at {rate:g} Hz")


# --- the truth ----------------------------------------------------------------------------------------


def _choose_truth(draft: _Draft) -> None:
    truth: dict[str, Any] = {}
    topics = draft.of_kind("truth_boxes")
    boxes = _best(
        topics, lambda topic: (names.says_truth(topic), draft.schema(topic) == "perception.Detections")
    )
    if len(boxes) == 1:
        truth["boxes"] = boxes[0]
        draft.reasons.append(f"truth: {boxes[0]} ({draft.schema(boxes[0])}), for metrics only")
    elif boxes:
        draft.warnings.append(f"truth.boxes: not chosen among {', '.join(boxes)}")
    control = list(draft.of_kind("truth_control"))
    control += [topic for topic in draft.of_kind("status") if names.says_control(topic)]
    fields = {topic: peek.fields(draft.log, topic, "truth_control") for topic in control}
    wanted = ("curvature", "acceleration")
    found = {t: [name for name in wanted if name in fields[t]] for t in control}
    best = _best([t for t in control if found[t]], lambda t: (len(found[t]), names.says_truth(t)))
    if len(best) == 1:
        truth["control"] = best[0]
        if len(found[best[0]]) < len(wanted):
            truth["control_fields"] = {name: name for name in found[best[0]]}
        draft.reasons.append(f"truth: {best[0]} ({', '.join(found[best[0]])}), for metrics only")
    elif best:
        draft.warnings.append(f"truth.control: not chosen among {', '.join(best)}")
    if truth:
        draft.data["truth"] = truth


def _best(topics: list[str], value: Callable[[str], Any]) -> list[str]:
    """The topics of the highest value."""
    highest = max(map(value, topics), default=None)
    return [topic for topic in topics if value(topic) == highest]
