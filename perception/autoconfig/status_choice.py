"""The choice of the statuses: the topics that carry speed, yaw rate and acceleration."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from perception.autoconfig import naming_rules as names
from perception.autoconfig.base_frame import FirstFrames, first_frames
from perception.autoconfig.config_draft import ConfigDraft, best
from perception.autoconfig.field_doubts import (
    field_doubts,
    frame_of_vectors,
    is_of_satellites,
    is_one_axis,
)
from perception.autoconfig.first_messages import (
    first_decoded,
    later_number_fields,
    rate_hz,
    spread_decoded,
)
from perception.autoconfig.readable_topics import reading_problem, unread_type
from perception.autoconfig.sensor_mounts import turned_axes
from perception.autoconfig.sensor_names import sensor_names, shared_prefix
from perception.autoconfig.stated_units import stated_units
from perception.logs.decoding.foxglove import PICTURE_FILE
from perception.text import listed
from perception.types import StatusReading

_FIELDS_VARY = ("json", "protobuf")
"""Encodings in which a message may leave fields out: signals of a bus that have not come yet, say."""


class _StatusCandidate(NamedTuple):
    """A topic that could be the status: its numbers, the channels among them, and what speaks against it."""

    paths: set[str]
    fields: dict[str, str]
    wrong: dict[str, str]
    doubts: dict[str, str]


def choose_statuses(draft: ConfigDraft) -> None:
    """Set the status whose fields tell most of the motion, and others for the channels that it lacks."""
    topics = _status_topics(draft)
    frames = first_frames(draft.log, draft.of_kind("transforms") if topics else ())
    later = _later_fields(draft, topics)
    known = {topic: _candidate(draft, topic, frames, later.get(topic, set())) for topic in topics}
    telling = [topic for topic in topics if names.worth(known[topic].fields)]
    plain = [t for t in telling if not _name_doubt(draft, t) and not t.startswith("/perception/")]
    chosen = _chosen_fields(draft, plain or telling, known)
    for other in (t for t in topics if t not in telling):
        _leave_out_status(draft, other, known[other], warn=not chosen)
    if chosen:
        _add_all(draft, topics, chosen, known)
    for topic in topics:
        _warn_of_units(draft, topic, known[topic].paths)


def _add_all(
    draft: ConfigDraft,
    topics: list[str],
    chosen: Mapping[str, dict[str, str]],
    known: Mapping[str, _StatusCandidate],
) -> None:
    """Add the statuses that were chosen, and say why the others were not."""
    verbs = "tells more of the motion, or is" if len(chosen) == 1 else "tell more of the motion, or are"
    reason = f"{', '.join(chosen)} {verbs} named more clearly"
    for topic in (topic for topic in topics if topic not in chosen):
        why = "; ".join([reason, *known[topic].wrong.values()])
        draft.leave_out([topic], "second_choice", why)
    name_of = sensor_names(list(chosen), "status", draft.data["sensors"])
    for topic, fields in chosen.items():
        _add(draft, name_of[topic], topic, fields, len(topics), known[topic])


def _chosen_fields(
    draft: ConfigDraft, topics: list[str], known: Mapping[str, _StatusCandidate]
) -> dict[str, dict[str, str]]:
    """Return the fields to take of each topic: of the most telling all, of others what is still missing.

    Fields that may be wrong come last: they are taken where no other topic has the channel.
    """
    chosen: dict[str, dict[str, str]] = {}
    for doubtful in (False, True):
        _add_fields(draft, topics, known, chosen, doubtful)
    return {
        topic: {name: path for name, path in known[topic].fields.items() if name in fields}
        for topic, fields in chosen.items()
    }


def _add_fields(
    draft: ConfigDraft,
    topics: list[str],
    known: Mapping[str, _StatusCandidate],
    chosen: dict[str, dict[str, str]],
    doubtful: bool,
) -> None:
    """Add to the chosen fields those whose channel is missing; doubtful ones where they are wanted."""
    while True:
        have = {name for fields in chosen.values() for name in fields}
        missing = {
            topic: {
                name: path
                for name, path in known[topic].fields.items()
                if name not in have and (doubtful or name not in known[topic].doubts)
            }
            for topic in topics
        }
        worths = {topic: names.worth(fields) for topic, fields in missing.items()}
        alike = best([topic for topic, worth in worths.items() if worth], worths.__getitem__)
        alike = best(alike, lambda topic: not is_of_satellites(topic, draft.schema_name(topic)))
        if not alike:
            return
        topic = alike[0]
        chosen[topic] = {**chosen.get(topic, {}), **missing[topic]}
        if len(alike) > 1:
            draft.warnings.append(
                f"status: {', '.join(alike)} tell as much ({', '.join(missing[topic])}): {topic} is used, "
                "the first by name; name another in sensors.status.topic where it is"
            )


def _add(
    draft: ConfigDraft,
    name: str,
    topic: str,
    fields: dict[str, str],
    count: int,
    candidate: _StatusCandidate,
) -> None:
    """Add one status with its reasons and warnings."""
    label = name if name == "status" else f"status {name}"
    held = ", ".join(f"{name} ({path})" if name != path else name for name, path in fields.items())
    why = "the only status" if count == 1 else f"the most telling of {count} status topics"
    if len(fields) < len(candidate.fields):
        why = "for what the others do not tell"
    draft.reasons.append(f"{label}: {topic}, {why}: {held}")
    if _name_doubt(draft, topic):
        draft.warnings.append(
            f"{label}: the name or the type of {topic} may say that it is truth or a command; it is the only "
            f"one with a known field. Name another in sensors.{name}.topic where it is"
        )
    draft.warnings += [f"{label}: not used: {text}" for text in candidate.wrong.values()]
    draft.warnings += [
        f"{label}: {text}; else name another in sensors.{name}.fields"
        for channel, text in candidate.doubts.items()
        if channel in fields
    ]
    settings: dict[str, Any] = {"topic": topic, "fields": fields}
    rate = rate_hz(draft.log, topic)
    if rate is not None and 1500 / rate > 100:  # a step shall not be unknown because one message is late
        settings["max_age_ms"] = float(round(min(1500 / rate, 1000)))
        draft.reasons.append(f"{label}: max_age_ms {settings['max_age_ms']:g}, since it comes at {rate:g} Hz")
    draft.add("status", name, settings)


def _status_topics(draft: ConfigDraft) -> list[str]:
    """Return the topics of numbers that are measured; commands and truth are left out with their reason."""
    topics = draft.of_kind("status")
    topics = [
        topic
        for topic in topics
        if not names.is_housekeeping(topic, draft.schema_name(topic))
        and draft.schema_name(topic) != PICTURE_FILE
    ]
    for topic in topics:
        if names.truth_doubt(topic) == "strong":
            reason = "its name says that it is truth; an input is named in sensors.status.topic"
            draft.leave_out([topic], "truth", reason)
        elif names.says_control(topic, draft.schema_name(topic)):
            reason = "its name or type says that it holds commands; an input is named in sensors.status.topic"
            draft.leave_out([topic], "command", reason)
    return [topic for topic in topics if topic not in draft.unused]


def _name_doubt(draft: ConfigDraft, topic: str) -> bool:
    """Return whether a word in a name may speak against a status."""
    return bool(names.truth_doubt(topic) or names.command_doubt(topic, draft.schema_name(topic)))


def _later_fields(draft: ConfigDraft, topics: list[str]) -> Mapping[str, set[str]]:
    """Return the numbers that come later on topics whose messages may leave fields out."""
    channels = draft.log.channels
    varying = [topic for topic in topics if topic in channels and channels[topic].encoding in _FIELDS_VARY]
    return later_number_fields(draft.log, varying)


def _candidate(draft: ConfigDraft, topic: str, frames: FirstFrames, later: Set[str]) -> _StatusCandidate:
    messages = first_decoded(draft.log, topic, "status")
    readings = [message for message in messages if isinstance(message, StatusReading)]
    paths = {path for reading in readings for path in reading.values} | later
    schema = draft.schema_name(topic)
    channel = draft.log.channels.get(topic)
    definition = channel.schema if channel is not None else None
    fields = names.known_fields(paths, schema) or names.fields_of_topic(topic, paths)
    if fields and (word := names.of_other_thing(_own_part(draft, topic), schema, fields.values())):
        reason = f"its name says {word!r}, not the vehicle; an input is named in sensors.status.topic"
        return _StatusCandidate(paths, {}, dict.fromkeys(fields, reason), {})
    wrong: dict[str, str] = {}
    of_paths: dict[str, tuple[str, str]] = {}  # a field that is left may be doubtful by one that is not
    left = paths
    while True:
        fields = names.known_fields(left, schema) or names.fields_of_topic(topic, left)
        moving = _moving(draft, topic, fields, readings)
        found, doubts = field_doubts(schema, fields, readings, moving, topic)
        found |= turned_axes(frames, frame_of_vectors(schema, readings), fields)
        found |= stated_units(definition, fields, readings)
        of_paths |= {channel: (fields[channel], text) for channel, text in doubts.items()}
        if not found:
            break
        wrong = found | wrong
        left = left - {fields[name] for name in found}  # another field may have the channel
    doubts = {channel: text for channel, (path, text) in of_paths.items() if fields.get(channel) == path}
    return _StatusCandidate(paths, fields, wrong, doubts)


def _own_part(draft: ConfigDraft, topic: str) -> str:
    """Return a topic without the namespace that all cameras and range sensors have, too: a vehicle's name."""
    sensors = [*draft.of_kind("camera"), *draft.of_kind("range")]
    shared = min((shared_prefix(topic, sensor) for sensor in sensors), default=0)
    return "/".join(topic.strip("/").split("/")[shared:])


def _moving(
    draft: ConfigDraft, topic: str, fields: Mapping[str, str], readings: list[StatusReading]
) -> list[StatusReading]:
    """Return messages in which the vehicle may move, where the speed is one axis of a velocity."""
    if not is_one_axis(fields.get("speed", ""), readings):
        return []
    decoded = spread_decoded(draft.log, topic, "status")
    return [message for message in decoded if isinstance(message, StatusReading)]


def _leave_out_status(draft: ConfigDraft, topic: str, candidate: _StatusCandidate, warn: bool) -> None:
    """Note a topic of numbers without a known field; warn of it where there is no status at all."""
    if problem := reading_problem(draft, topic):
        draft.leave_out([topic], "undecodable", problem)
        if warn:
            draft.warnings.append(f"{topic} is not used: {problem}")
        return
    if not candidate.wrong and (unread := unread_type(draft.schema_name(topic))):
        draft.leave_out([topic], "undecodable", unread)
        draft.warnings.append(f"{topic} is not used: {unread}")
        return
    why = "; ".join(dict.fromkeys(candidate.wrong.values())) or _unknown_fields(candidate)
    draft.leave_out([topic], "no_known_field", why)
    named = sum(text.startswith("/") and "none of its fields" in text for text in draft.warnings)
    if warn and candidate.paths and named < 3:
        hint = "name those you mean under sensors.status.fields"
        draft.warnings.append(f"{topic} is not used: {why}; {hint}")


def _warn_of_units(draft: ConfigDraft, topic: str, paths: set[str]) -> None:
    """Warn of a channel that no status of the log has in SI units, but in others by its name."""
    have = {channel for section in draft.of_sensors("status").values() for channel in section["fields"]}
    for channel, (path, unit) in names.fields_in_other_units(paths).items():
        if channel not in have:
            draft.warnings.append(
                f"{topic}: {path} is not used as {channel}: by its name it is in {unit}, and a status is in "
                "m, s and rad"
            )


def _unknown_fields(candidate: _StatusCandidate) -> str:
    """Return why a topic tells nothing of the motion, with the first of its numbers."""
    own = sorted(path for path in candidate.paths if not path.startswith("header."))
    if not own:
        return "it holds no numbers, or long arrays alone, whose elements are named by index"
    if candidate.fields:
        return f"{', '.join(candidate.fields)} alone tells nothing of the motion"
    telling = [path for path in own if "covariance" not in path] or own
    return f"none of its fields is known as a speed, yaw rate or acceleration ({listed(telling)})"
