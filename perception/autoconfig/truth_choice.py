"""The choice of the topics of truth: by content, and by name where content does not decide."""

from __future__ import annotations

from typing import Any

from perception.autoconfig import naming_rules as names
from perception.autoconfig.config_draft import ConfigDraft, best
from perception.autoconfig.first_messages import first_frame, number_fields
from perception.autoconfig.sensor_names import topic_words
from perception.autoconfig.truth_doubts import why_no_truth


def choose_truth(draft: ConfigDraft) -> None:
    """Set the topics of truth: for training and metrics, never an input."""
    truth: dict[str, Any] = {}
    doubts = {topic: why_no_truth(draft.log, topic) for topic in draft.of_kind("truth_boxes")}
    for topic, doubt in doubts.items():
        if doubt:
            reason = f"{doubt}; where they are the truth all the same, name it in truth.boxes"
            draft.leave_out([topic], "no_truth", reason)
            draft.warnings.append(f"truth: {topic} is not used: {reason}")
    topics = [topic for topic, doubt in doubts.items() if not doubt]
    boxes = best(
        topics, lambda topic: (names.says_truth(topic), draft.schema(topic) == "perception.Detections")
    )
    if len(boxes) == 1:
        truth["boxes"] = boxes[0]
        draft.reasons.append(f"truth: {boxes[0]} ({draft.schema(boxes[0])}), for metrics only")
        draft.leave_out((t for t in topics if t != boxes[0]), "second_choice", f"the truth is {boxes[0]}")
        _warn_of_other_camera(draft, boxes[0])
    elif boxes and (of_cameras := _of_cameras(draft, boxes)):
        truth["camera_boxes"] = of_cameras
        listed = ", ".join(f"{topic} of {name}" for name, topic in of_cameras.items())
        draft.reasons.append(f"truth: {listed}, by their names or frames, for metrics only")
        rest = (topic for topic in topics if topic not in of_cameras.values())
        draft.leave_out(rest, "second_choice", f"the truth is {listed}")
    elif boxes:
        draft.warnings.append(f"truth.boxes: not chosen among {', '.join(boxes)}")
        draft.leave_out(topics, "ambiguous", "one of several that may hold the truth of boxes")
    _choose_control_truth(draft, truth)
    if truth:
        draft.data["truth"] = truth


def _warn_of_other_camera(draft: ConfigDraft, topic: str) -> None:
    """Warn of boxes whose frame is that of no camera: they are taken as those of the reference camera."""
    frame = first_frame(draft.log, topic, "truth_boxes")
    pictures = [section["topic"] for section in draft.of_sensors("camera").values()]
    frames = {first_frame(draft.log, picture, "camera") for picture in pictures}
    if frame and frames and frame not in frames and "" not in frames:
        draft.warnings.append(
            f"truth: the boxes on {topic} are of the frame {frame!r}, the pictures of "
            f"{', '.join(map(repr, sorted(frames)))}: they are taken as boxes in those of {pictures[0]}"
        )


def _of_cameras(draft: ConfigDraft, topics: list[str]) -> dict[str, str]:
    """Return for each of several cameras the only topic that has its name, or whose boxes name its frame."""
    of_cameras: dict[str, str] = {}
    cameras = draft.of_sensors("camera")
    if len(cameras) < 2:
        return of_cameras
    frames = {name: first_frame(draft.log, section["topic"], "camera") for name, section in cameras.items()}
    of_boxes = {topic: first_frame(draft.log, topic, "truth_boxes") for topic in topics}
    for name in cameras:
        named = [topic for topic in topics if set(name.split("_")) <= set(topic_words(topic))]
        if len(named) != 1 and list(frames.values()).count(frames[name]) == 1:
            named = [topic for topic, frame in of_boxes.items() if frame and frame == frames[name]]
        if len(named) == 1 and named[0] not in of_cameras.values():
            of_cameras[name] = named[0]
    return of_cameras


def _choose_control_truth(draft: ConfigDraft, truth: dict[str, Any]) -> None:
    control = list(draft.of_kind("truth_control"))
    commands = [
        topic
        for topic in draft.of_kind("status")
        if names.says_control(topic, draft.schema_name(topic))
        and not names.is_drive_command(draft.schema_name(topic))
    ]
    control += [t for t in commands if not names.records_actions(t, draft.schema_name(t))]
    fields = {topic: number_fields(draft.log, topic, "truth_control") for topic in control}
    wanted = ("curvature", "acceleration")
    held = {t: [name for name in wanted if name in fields[t]] for t in control}
    fullest = best([t for t in control if held[t]], lambda t: (len(held[t]), names.says_truth(t)))
    if len(fullest) == 1:
        topic = truth["control"] = fullest[0]
        if len(held[topic]) < len(wanted):
            truth["control_fields"] = {name: name for name in held[topic]}
        draft.reasons.append(f"truth: {topic} ({', '.join(held[topic])}), for metrics only")
    elif not fullest:
        _choose_actions(draft, truth)
    else:
        draft.warnings.append(f"truth.control: not chosen among {', '.join(fullest)}")
        for topic in fullest:
            draft.unused.pop(topic, None)
        draft.leave_out(fullest, "ambiguous", "one of several that may hold the truth of control")


def _choose_actions(draft: ConfigDraft, truth: dict[str, Any]) -> None:
    """Take the recorded actions of a driver (LeRobot, DonkeyCar), which are those of their moment."""
    fields = {
        topic: names.commanded_fields(number_fields(draft.log, topic, "truth_control"))
        for topic in draft.of_kind("status")
        if names.records_actions(topic, draft.schema_name(topic))
    }
    fullest = best([topic for topic in fields if fields[topic]], lambda topic: len(fields[topic]))
    if len(fullest) == 1:
        (topic,) = fullest
        draft.warnings[:] = [text for text in draft.warnings if not text.startswith(f"{topic} is not used")]
        truth |= {"control": topic, "control_fields": fields[topic], "control_stamped_ahead_ms": 0.0}
        held = ", ".join(f"{name} ({path})" for name, path in fields[topic].items())
        draft.reasons.append(f"truth: {topic}, what was commanded at each moment: {held}, for metrics only")
