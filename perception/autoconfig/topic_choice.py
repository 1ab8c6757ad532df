"""The topics of ranges, status and truth: chosen by content, and by name where content does not decide."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from perception.autoconfig import naming_rules as names
from perception.autoconfig.config_draft import MOST_NAMED, ConfigDraft, best
from perception.autoconfig.field_doubts import field_doubts
from perception.autoconfig.first_messages import first_decoded, number_fields, rate_hz
from perception.autoconfig.image_content import image_content
from perception.autoconfig.unused_topics import one_line
from perception.config import RangeConfig
from perception.types import DepthImage, RangeScan, StatusReading, Undecodable

SCANS = 10  # of which the ranges are looked at
FAR_SHARE = 0.01  # of returns beyond `max_range_m` that is worth saying


class _StatusCandidate(NamedTuple):
    """A topic that could be the status: its numbers, the channels among them, and what speaks against it."""

    paths: set[str]
    fields: dict[str, str]
    wrong: dict[str, str]
    doubts: list[str]


def choose_range(draft: ConfigDraft) -> None:
    """Set the range sensor, with a tolerance that suits its rate."""
    topics = draft.of_kind("range")
    truth = [topic for topic in topics if names.truth_doubt(topic) == "strong"]
    draft.leave_out(
        truth, "truth", "its name says that it is truth; an input is named in sensors.range.topic"
    )
    topics = [topic for topic in topics if topic not in truth]
    problems = {topic: _problem(draft, topic) for topic in topics}
    chosen = best(topics, lambda topic: (not problems[topic], not names.truth_doubt(topic)))
    for unread in (t for t in topics if problems[t] and t not in chosen):
        draft.leave_out([unread], "undecodable", problems[unread])
    draft.leave_out(
        (t for t in topics if not problems[t] and t not in chosen),
        "second_choice",
        "perhaps truth, by its name",
    )
    depth = {} if topics else _depth_images(draft)
    topic = draft.pick("sensors.range.topic", "range sensor", chosen or list(depth))
    if topic is None:
        return
    draft.leave_out(chosen, "ambiguous", "more than one range sensor")
    what = "a depth image with its camera info" if topic in depth else f"the only {draft.schema(topic)}"
    draft.reasons.append(f"range: {topic}, {what}")
    settings: dict[str, Any] = {"topic": topic}
    if topic in depth:
        settings["calibration"] = depth[topic]
    draft.data["sensors"]["range"] = settings
    rate = rate_hz(draft.log, topic)
    if rate is not None and round(600 / rate) > 60:  # each tick shall find the scan before or after it
        settings["tolerance_ms"] = float(round(min(600 / rate, 500)))
        settings["max_age_ms"] = max(200.0, settings["tolerance_ms"])
        draft.reasons.append(
            f"range: tolerance_ms {settings['tolerance_ms']:g}, since it comes at {rate:g} Hz"
        )
    _say_how_far(draft, topic)


def _say_how_far(draft: ConfigDraft, topic: str) -> None:
    """Say which share of the returns lies beyond `max_range_m`.

    It is not raised to fit: weights know ranges up to the one they were trained with, and no further.
    """
    limit_m = RangeConfig(topic=topic).max_range_m
    scans = [s for s in first_decoded(draft.log, topic, "range", SCANS) if isinstance(s, RangeScan)]
    ranges = np.concatenate([np.linalg.norm(scan.points_m, axis=1) for scan in scans] or [np.zeros(0)])
    ranges = ranges[np.isfinite(ranges) & (ranges > 0)]
    share = float((ranges > limit_m).mean()) if ranges.size else 0.0
    if share > FAR_SHARE:
        draft.reasons.append(
            f"range: max_range_m {limit_m:g}, up to which the default weights were trained: {share:.0%} of "
            f"the returns lie beyond it, up to {np.quantile(ranges, 0.99):.0f} m, and are not used; "
            "raise it with weights that were trained so"
        )


def _depth_images(draft: ConfigDraft) -> dict[str, str]:
    """Return the depth images whose frame a camera info is of, with the topic of the nearest by name."""
    infos: dict[str, list[str]] = {}
    for topic in draft.of_kind("calibration"):
        for info in first_decoded(draft.log, topic, count=1):
            infos.setdefault(getattr(info, "frame_id", ""), []).append(topic)
    depth = {}
    for topic in draft.of_kind("camera"):
        image = next(iter(first_decoded(draft.log, topic, "range", count=1)), None)
        is_depth = isinstance(image, DepthImage) and image_content(draft.log, topic).depth
        if isinstance(image, DepthImage) and is_depth and not names.truth_doubt(topic):
            near = [(names.shared_prefix(info, topic), info) for info in infos.get(image.frame_id, [])]
            if near:
                depth[topic] = max(near)[1]
    if len(depth) > 1:
        draft.warnings.append(
            f"no range sensor: {', '.join(depth)} are depth images; name one in sensors.range.topic, and its "
            "camera info in sensors.range.calibration, to use it as ranges"
        )
        return {}
    return depth


def choose_status(draft: ConfigDraft) -> None:
    """Set the status topic whose fields tell most of the motion."""
    topics = _status_topics(draft)
    known = {topic: _candidate(draft, topic) for topic in topics}
    telling = [topic for topic in topics if names.worth(known[topic].fields)]
    plain = [t for t in telling if not _name_doubt(draft, t) and not t.startswith("/perception/")]
    chosen = best(plain or telling, lambda topic: names.worth(known[topic].fields))
    topic = draft.pick("sensors.status.topic", "status", chosen)
    for other in (t for t in topics if t not in telling):
        _leave_out_status(draft, other, known[other], warn=topic is None)
    if topic is None:
        return
    draft.leave_out(chosen, "ambiguous", "more than one status that tells as much")
    draft.leave_out(topics, "second_choice", f"{topic} tells more of the motion, or is named more clearly")
    _, fields, wrong, doubts = known[topic]
    held = ", ".join(f"{name} ({path})" if name != path else name for name, path in fields.items())
    why = "the only status" if len(topics) == 1 else f"the most telling of {len(topics)} status topics"
    draft.reasons.append(f"status: {topic}, {why}: {held}")
    if _name_doubt(draft, topic):
        draft.warnings.append(
            f"status: the name of {topic} may say that it is truth or a command; it is the only one with a "
            "known field. Name another in sensors.status.topic where it is"
        )
    draft.warnings += [f"status: {text} is not used" for text in wrong.values()]
    draft.warnings += [f"status: {text}; else name another in sensors.status.fields" for text in doubts]
    settings: dict[str, Any] = {"topic": topic, "fields": fields}
    draft.data["sensors"]["status"] = settings
    rate = rate_hz(draft.log, topic)
    if rate is not None and 1500 / rate > 100:  # a step shall not be unknown because one message is late
        settings["max_age_ms"] = float(round(min(1500 / rate, 1000)))
        draft.reasons.append(f"status: max_age_ms {settings['max_age_ms']:g}, since it comes at {rate:g} Hz")


def _status_topics(draft: ConfigDraft) -> list[str]:
    """Return the topics of numbers that are measured; commands and truth are left out with their reason."""
    topics = draft.of_kind("status")
    topics = [topic for topic in topics if not names.is_housekeeping(topic, draft.schema_name(topic))]
    for topic in topics:
        if names.truth_doubt(topic) == "strong":
            reason = "its name says that it is truth; an input is named in sensors.status.topic"
            draft.leave_out([topic], "truth", reason)
        elif names.says_control(topic, draft.schema_name(topic)):
            reason = "its name says that it holds commands; an input is named in sensors.status.topic"
            draft.leave_out([topic], "command", reason)
    return [topic for topic in topics if topic not in draft.unused]


def _name_doubt(draft: ConfigDraft, topic: str) -> bool:
    """Return whether a word in a name may speak against a status."""
    return bool(names.truth_doubt(topic) or names.command_doubt(topic, draft.schema_name(topic)))


def _candidate(draft: ConfigDraft, topic: str) -> _StatusCandidate:
    messages = first_decoded(draft.log, topic, "status")
    readings = [message for message in messages if isinstance(message, StatusReading)]
    paths = {path for reading in readings for path in reading.values}
    fields = names.known_fields(paths)
    wrong, doubts = field_doubts(draft.schema_name(topic), fields, readings)
    if wrong:
        fields = names.known_fields(paths - {fields[channel] for channel in wrong})
        _, doubts = field_doubts(draft.schema_name(topic), fields, readings)
    return _StatusCandidate(paths, fields, wrong, doubts)


def _leave_out_status(draft: ConfigDraft, topic: str, candidate: _StatusCandidate, warn: bool) -> None:
    """Note a topic of numbers without a known field; warn of it where there is no status at all."""
    if problem := _problem(draft, topic):
        draft.leave_out([topic], "undecodable", problem)
        if warn:
            draft.warnings.append(f"{topic} is not used: {problem}")
        return
    own = sorted(path for path in candidate.paths if not path.startswith("header."))
    some = ", ".join(own[:8]) or "no numbers outside long arrays, whose elements are named by index"
    why = "; ".join(candidate.wrong.values()) or f"none of its fields is known ({some})"
    draft.leave_out([topic], "no_known_field", why)
    named = sum(text.startswith("/") and "none of its fields" in text for text in draft.warnings)
    if warn and candidate.paths and named < 3:
        hint = "name those you mean under sensors.status.fields"
        draft.warnings.append(f"{topic} is not used: {why}; {hint}")


def _problem(draft: ConfigDraft, topic: str) -> str:
    """Return why the first message of a topic cannot be read; empty where it can."""
    messages = first_decoded(draft.log, topic, count=1)
    return one_line(messages[0].reason) if messages and isinstance(messages[0], Undecodable) else ""


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
        draft.leave_out((t for t in topics if t != boxes[0]), "second_choice", f"the truth is {boxes[0]}")
    elif boxes:
        draft.warnings.append(f"truth.boxes: not chosen among {', '.join(boxes)}")
        draft.leave_out(topics, "ambiguous", "one of several that may hold the truth of boxes")
    _choose_control_truth(draft, truth)
    if truth:
        draft.data["truth"] = truth


def _choose_control_truth(draft: ConfigDraft, truth: dict[str, Any]) -> None:
    control = list(draft.of_kind("truth_control"))
    control += [t for t in draft.of_kind("status") if names.says_control(t, draft.schema_name(t))]
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
        for topic in fullest:
            draft.unused.pop(topic, None)
        draft.leave_out(fullest, "ambiguous", "one of several that may hold the truth of control")


def warn_of_unreadable(draft: ConfigDraft) -> None:
    """Note topics that cannot be decoded, with the reason, and warn of the first."""
    unreadable = [t for t in draft.of_kind(None) if not names.is_housekeeping(t, draft.schema_name(t))]
    for topic in unreadable:
        problem = _problem(draft, topic)
        if problem:
            draft.leave_out([topic], "undecodable", problem)
            if len([t for t in unreadable if t in draft.unused]) <= MOST_NAMED:
                draft.warnings.append(f"{topic} is not used: {problem}")
