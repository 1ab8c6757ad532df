"""Which topics are the sensors: by schema, and by name only where the schema says too little."""

from __future__ import annotations

from typing import Any

from perception.autoconfig import names, peek
from perception.autoconfig.draft import MOST_NAMED, Draft, best
from perception.logs import Log
from perception.types import Undecodable


def choose_camera(draft: Draft) -> None:
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


def _calibration_of(draft: Draft, camera: str) -> str | None:
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
    return next((getattr(decoded, "frame_id", "") for decoded in peek.first_decoded(log, topic, count=1)), "")


def choose_range(draft: Draft) -> None:
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


def choose_status(draft: Draft) -> None:
    topics = [
        topic
        for topic in draft.of_kind("status")
        if not (names.says_truth(topic) or names.says_control(topic) or names.is_housekeeping(topic))
    ]
    seen = {topic: peek.fields(draft.log, topic) for topic in topics}
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
    rate = peek.rate_hz(draft.log, topic)
    if rate is not None and 1500 / rate > 100:  # a step shall not be unknown because one message is late
        settings["max_age_ms"] = float(round(min(1500 / rate, 1000)))
        draft.reasons.append(f"status: max_age_ms {settings['max_age_ms']:g}, since it comes at {rate:g} Hz")


def name_the_unreadable(draft: Draft) -> None:
    for topic in draft.of_kind(None)[:MOST_NAMED]:
        found = peek.first_decoded(draft.log, topic, count=1)
        if found and isinstance(found[0], Undecodable) and not names.is_housekeeping(topic):
            draft.warnings.append(f"{topic} is not used: {found[0].reason}")
