"""The audit's rules for the file and for the contents of sensor messages: damage, absence, values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from perception.config import Config
from perception.diagnosis.audit.audit_finding import HEADS, RESTS_ON, Finding, Severity
from perception.diagnosis.audit.log_contents import LogContents, TopicContents
from perception.logs import Damage
from perception.plugin import Manifest
from perception.text import plural
from perception.types import SENSORS, Float64

FROZEN_PICTURES = 10
"""Equal pictures in a row from which a camera counts as frozen: noise makes those of a working one differ."""


MOST = {
    "speed": (70.0, "m/s", "km/h, mph or cm/s"),
    "yaw_rate": (10.0, "rad/s", "degrees/s"),
    "acceleration": (50.0, "m/s2", "cm/s2"),
    "steering": (1.5, "rad", "degrees, or of the steering wheel"),
}
"""Channel -> more than a vehicle has, its unit, and units in which it would be usual."""

MOST_FRAMES = 4
"""Frames that are named."""


def damage_rules(damage: Iterable[Damage], start_ns: int | None) -> Iterator[Finding]:
    """Yield the parts of the file that cannot be read."""
    for part in damage:
        where = ""
        if start_ns is not None and part.t0_ns is not None:
            end = "" if part.t1_ns is None else f" to {(part.t1_ns - start_ns) / 1e9:.2f} s"
            where = f" from {(part.t0_ns - start_ns) / 1e9:.2f} s{end}"
        lost = "" if part.messages is None else f", {plural(part.messages, 'message')} lost"
        yield Finding("damage", "error", "", f"the file is damaged{where}: {part.reason}{lost}", HEADS)


def missing_rules(contents: LogContents, config: Config, plugin: Manifest | None) -> Iterator[Finding]:
    """Yield missing sensors of the kinds that the plugin takes (None: all), and their effect."""
    for kind in SENSORS if plugin is None else plugin.inputs:
        sections = config.sensors.of_kind(kind).values()
        if not sections:
            text = f"there is no {kind}: {_without(kind)}"
            yield Finding("no_sensor", "warning", "", text, RESTS_ON[kind])
        empty = [section.topic for section in sections if not contents.topics[section.topic].times.count]
        for topic in empty:
            others = f"it is one of {len(sections)} of its kind"
            effect = _without(kind) if len(empty) == len(sections) else others
            yield Finding("no_messages", "error", topic, f"{topic} has no messages: {effect}", RESTS_ON[kind])


def _without(name: str) -> str:
    return {
        "camera": "there are no colours, objects are guessed from the ranges alone",
        "range": "distances are guessed from the picture alone",
        "status": "control is guessed from the other sensors alone",
    }[name]


def message_rules(topic: TopicContents) -> Iterator[Finding]:
    """Yield messages that cannot be decoded, that are of several sensors, or that come twice."""
    heads = RESTS_ON.get(topic.role, ())
    if topic.undecodable:
        count = f"{topic.undecodable:,} of {plural(topic.times.count, 'message')}"
        text = f"{count} on {topic.name} cannot be decoded: {topic.reason}"
        yield Finding("undecodable", "error", topic.name, text, heads)
    if len(topic.frames) > 1:
        frames = ", ".join(f"{frame} ({count:,})" for frame, count in topic.frames.most_common(MOST_FRAMES))
        text = (
            f"messages on {topic.name} are of {len(topic.frames)} frames: {frames}: of several sensors, of "
            "which a tick takes one message; record each sensor on a topic of its own"
        )
        yield Finding("several_frames", "warning", topic.name, text, heads)
    if topic.duplicates and topic.role in SENSORS:
        text = f"{plural(topic.duplicates, 'message')} on {topic.name} came before, same stamp and bytes"
        yield Finding("duplicates", "note", topic.name, text)


def picture_rules(contents: LogContents) -> Iterator[Finding]:
    """Yield pictures that change their size, and cameras that repeat one picture."""
    for topic, pictures in contents.pictures.items():
        if len(pictures.sizes) > 1:
            sizes = ", ".join(f"{w}x{h}" for w, h in sorted(pictures.sizes))
            text = f"images on {topic} change their size: {sizes}"
            yield Finding("sizes", "warning", topic, text, RESTS_ON["camera"])
        if pictures.longest >= FROZEN_PICTURES:
            seconds = (pictures.longest_end_ns - pictures.longest_start_ns) / 1e9
            text = (
                f"{pictures.repeats:,} of {plural(pictures.count, 'picture')} on {topic} repeat the bytes of "
                f"the one before with another stamp, {pictures.longest:,} in a row over {seconds:.1f} s: the "
                "camera or its driver is frozen, and what is seen there is old"
            )
            yield Finding("frozen", "warning", topic, text, RESTS_ON["camera"])


def scan_rules(contents: LogContents) -> Iterator[Finding]:
    """Yield scans without a usable return, and scans whose angles contradict each other or are all one."""
    for topic, scans in contents.scans.items():
        for count, defect in (
            (scans.blind, "without a single finite return"),
            (scans.far, f"with every return beyond max_range_m ({scans.max_range_m:g} m)"),
        ):
            if count:
                text = f"{_of_scans(count, scans.count)} on {topic} are {defect}: the input is absent there"
                severity: Severity = "warning" if count > 0.02 * scans.count else "note"
                yield Finding("blind_scans", severity, topic, text, ("distance",))
        if scans.one_direction > 0.5 * scans.count:
            text = (
                f"all returns of {_of_scans(scans.one_direction, scans.count)} on {topic} lie in one "
                "direction: angle_increment is 0, or the angles of the points are missing"
            )
            yield Finding("one_direction", "warning", topic, text, ("distance",))
        if scans.doubted > 0.5 * scans.count:
            text = f"{_of_scans(scans.doubted, scans.count)} on {topic} contradict themselves: {scans.doubt}"
            yield Finding("odd_angles", "warning", topic, text, ("distance",))


def _of_scans(count: int, total: int) -> str:
    return f"{count:,} of {plural(total, 'scan')}"


def status_rules(contents: LogContents) -> Iterator[Finding]:
    """Yield status channels without information."""
    for topic, channels in contents.channels.items():
        for name, held in channels.items():
            label = f"{name} ({contents.fields[topic][name]})"
            yield from _channel_rules(topic, label, np.asarray(held))
            yield from _size_rules(topic, name, label, np.abs(held))


def _size_rules(topic: str, name: str, label: str, sizes: Float64) -> Iterator[Finding]:
    """Yield a channel with values that no vehicle has, in the unit that a status is in."""
    known = sizes[np.isfinite(sizes)]
    if name not in MOST or not known.size:
        return
    most, unit, other = MOST[name]
    large = float(np.quantile(known, 0.99))
    if large > most:
        text = (
            f"{label} on {topic} goes up to {large:.4g} {unit}: perhaps it is in {other}; expected is {unit}"
        )
        yield Finding("status_large", "warning", topic, text, ("control",))


def _channel_rules(topic: str, name: str, values: Float64) -> Iterator[Finding]:
    known = values[np.isfinite(values)]
    if not known.size:
        text = f"{name} on {topic} is never a number"
        yield Finding("status_nan", "warning", topic, text, ("control",))
    elif known.size < values.size:
        count = f"{values.size - known.size:,} of {values.size:,} messages"
        text = f"{name} on {topic} is no number in {count}"
        severity: Severity = "warning" if known.size < 0.98 * values.size else "note"
        yield Finding("status_nan", severity, topic, text, ("control",))
    if known.size > 10 and (known == known[0]).all():
        text = f"{name} on {topic} is always {known[0]:g}: not connected, or standing still"
        yield Finding("status_constant", "warning", topic, text, ("control",))
