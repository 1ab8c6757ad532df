"""The topics of sensors and truth: chosen by schema, and by name where the schema does not decide."""

from __future__ import annotations

from typing import Any

from perception.autoconfig import naming_rules as names
from perception.autoconfig.config_draft import MOST_NAMED, ConfigDraft, best
from perception.autoconfig.first_messages import first_decoded, number_fields, rate_hz
from perception.logs import Log
from perception.types import Undecodable


def choose_camera(draft: ConfigDraft) -> None:
    """Set the camera, its calibration and its transforms; ambiguities are noted in the draft."""
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


def _calibration_of(draft: ConfigDraft, camera: str) -> str | None:
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
    near = best(same or topics, lambda topic: names.shared_prefix(topic, camera))
    if len(near) == 1:
        draft.reasons.append(f"calibration: {near[0]}, beside {camera}")
        return near[0]
    return draft.pick("sensors.camera.calibration", "camera's calibration", near)


def _frame_of(log: Log, topic: str) -> str:
    return next((getattr(decoded, "frame_id", "") for decoded in first_decoded(log, topic, count=1)), "")


def choose_range(draft: ConfigDraft) -> None:
    """Set the range sensor, with a tolerance that suits its rate."""
    topics = [topic for topic in draft.of_kind("range") if not names.says_truth(topic)]
    topic = draft.pick("sensors.range.topic", "range sensor", topics)
    if topic is None:
        return
    draft.reasons.append(f"range: {topic}, the only {draft.schema(topic)}")
    settings: dict[str, Any] = {"topic": topic}
    draft.data["sensors"]["range"] = settings
    rate = rate_hz(draft.log, topic)
    if rate is not None and round(600 / rate) > 60:  # each tick shall find the scan before or after it
        settings["tolerance_ms"] = float(round(min(600 / rate, 500)))
        settings["max_age_ms"] = max(200.0, settings["tolerance_ms"])
        draft.reasons.append(
            f"range: tolerance_ms {settings['tolerance_ms']:g}, since it comes at {rate:g} Hz"
        )


def choose_status(draft: ConfigDraft) -> None:
    """Set the status topic whose fields tell most of the motion."""
    topics = [
        topic
        for topic in draft.of_kind("status")
        if not (names.says_truth(topic) or names.says_control(topic) or names.is_housekeeping(topic))
    ]
    seen = {topic: number_fields(draft.log, topic) for topic in topics}
    known = {topic: names.known_fields(paths) for topic, paths in seen.items()}
    telling = best([t for t in topics if names.worth(known[t])], lambda t: names.worth(known[t]))
    topic = draft.pick("sensors.status.topic", "status", telling)
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
    rate = rate_hz(draft.log, topic)
    if rate is not None and 1500 / rate > 100:  # a step shall not be unknown because one message is late
        settings["max_age_ms"] = float(round(min(1500 / rate, 1000)))
        draft.reasons.append(f"status: max_age_ms {settings['max_age_ms']:g}, since it comes at {rate:g} Hz")


def choose_truth(draft: ConfigDraft) -> None:
    """Set the topics of truth: for training and metrics, never an input."""
    truth: dict[str, Any] = {}
    topics = draft.of_kind("truth_boxes")
    boxes = best(
        topics, lambda topic: (names.says_truth(topic), draft.schema(topic) == "perception.Detections")
    )
    if len(boxes) == 1:
        truth["boxes"] = boxes[0]
        draft.reasons.append(f"truth: {boxes[0]} ({draft.schema(boxes[0])}), for metrics only")
    elif boxes:
        draft.warnings.append(f"truth.boxes: not chosen among {', '.join(boxes)}")
    control = list(draft.of_kind("truth_control"))
    control += [topic for topic in draft.of_kind("status") if names.says_control(topic)]
    fields = {topic: number_fields(draft.log, topic, "truth_control") for topic in control}
    wanted = ("curvature", "acceleration")
    held = {t: [name for name in wanted if name in fields[t]] for t in control}
    fullest = best([t for t in control if held[t]], lambda t: (len(held[t]), names.says_truth(t)))
    if len(fullest) == 1:
        topic = truth["control"] = fullest[0]
        if len(held[topic]) < len(wanted):
            truth["control_fields"] = {name: name for name in held[topic]}
        draft.reasons.append(f"truth: {topic} ({', '.join(held[topic])}), for metrics only")
    elif fullest:
        draft.warnings.append(f"truth.control: not chosen among {', '.join(fullest)}")
    if truth:
        draft.data["truth"] = truth


def warn_of_unreadable(draft: ConfigDraft) -> None:
    """Warn of topics that cannot be decoded, with the reason."""
    for topic in draft.of_kind(None)[:MOST_NAMED]:
        messages = first_decoded(draft.log, topic, count=1)
        if messages and isinstance(messages[0], Undecodable) and not names.is_housekeeping(topic):
            draft.warnings.append(f"{topic} is not used: {messages[0].reason}")
