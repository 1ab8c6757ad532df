"""The audit's rules for the file and for the contents of messages: damage, sensors, rig, values, truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from perception.config import Config
from perception.diagnosis.audit.audit_finding import HEADS, RESTS_ON, Finding, Severity, plural
from perception.diagnosis.audit.log_contents import LogContents, TopicContents
from perception.diagnosis.audit.topic_times import TopicTimes
from perception.logs import Damage
from perception.types import SENSORS

TRUTH_TOLERANCE_NS = 60_000_000  # how truth is joined to a sample


def damage_rules(damage: Iterable[Damage], start_ns: int | None) -> Iterator[Finding]:
    """Yield the parts of the file that cannot be read."""
    for part in damage:
        where = ""
        if start_ns is not None and part.t0_ns is not None:
            end = "" if part.t1_ns is None else f" to {(part.t1_ns - start_ns) / 1e9:.2f} s"
            where = f" from {(part.t0_ns - start_ns) / 1e9:.2f} s{end}"
        lost = "" if part.messages is None else f", {plural(part.messages, 'message')} lost"
        yield Finding("damage", "error", "", f"the file is damaged{where}: {part.reason}{lost}", HEADS)


def missing_rules(contents: LogContents, config: Config) -> Iterator[Finding]:
    """Yield missing sensors, and their effect."""
    for name in SENSORS:
        section = getattr(config.sensors, name)
        if section is None:
            heads = RESTS_ON[name]
            yield Finding("no_sensor", "warning", "", f"there is no {name}: {_without(name)}", heads)
        elif not contents.topics[section.topic].times.count:
            text = f"{section.topic} has no messages: {_without(name)}"
            yield Finding("no_messages", "error", section.topic, text, RESTS_ON[name])


def _without(name: str) -> str:
    return {
        "camera": "objects are guessed from the ranges alone",
        "range": "distance comes from the size of the box alone",
        "status": "control is guessed from the image alone",
    }[name]


def content_rules(topic: TopicContents) -> Iterator[Finding]:
    """Yield messages that cannot be decoded, or that come twice."""
    heads = RESTS_ON.get(topic.role, ())
    if topic.undecodable:
        count = f"{topic.undecodable:,} of {plural(topic.times.count, 'message')}"
        text = f"{count} on {topic.name} cannot be decoded: {topic.reason}"
        yield Finding("undecodable", "error", topic.name, text, heads)
    if topic.duplicates and topic.role in SENSORS:
        text = f"{plural(topic.duplicates, 'message')} on {topic.name} came before, same stamp and bytes"
        yield Finding("duplicates", "note", topic.name, text)


def rig_rules(contents: LogContents, config: Config) -> Iterator[Finding]:
    """Yield defects of intrinsics and transforms, without which ranges cannot be placed in the image."""
    camera, scan = config.sensors.camera, config.sensors.range
    if camera is None:
        return
    lost = "ranges cannot be placed in the image"
    if not contents.calibrated:
        yield Finding(
            "no_calibration",
            "warning",
            camera.topic,
            f"no camera calibration that can be read: {lost}",
            ("distance",),
        )
    if len(contents.sizes) > 1:
        sizes = ", ".join(f"{w}x{h}" for w, h in sorted(contents.sizes))
        yield Finding(
            "sizes", "warning", camera.topic, f"images change their size: {sizes}", ("class and box",)
        )
    wrong = set(contents.sizes) - set(contents.calibrated)
    if contents.calibrated and wrong:
        images = ", ".join(f"{w}x{h}" for w, h in sorted(wrong))
        known = ", ".join(f"{w}x{h}" for w, h in sorted(contents.calibrated))
        text = f"images are {images}, the calibration is for {known}: ranges land on the wrong pixels"
        yield Finding("size_mismatch", "warning", camera.topic, text, ("distance",))
    if scan is None or not contents.calibrated:
        return
    target = _camera_frame(contents)
    for frame in sorted(contents.topics[scan.topic].frames):
        if contents.transforms.target_from_source(target, frame) is None:
            text = f"no transforms connect {frame!r} ({scan.topic}) with the camera's {target!r}: {lost}"
            yield Finding("no_transform", "warning", scan.topic, text, ("distance",))


def _camera_frame(contents: LogContents) -> str:
    frames = [topic.frames.most_common(1)[0][0] for topic in contents.of_role("calibration") if topic.frames]
    return frames[0] if frames else ""


def scan_rules(contents: LogContents, config: Config) -> Iterator[Finding]:
    """Yield scans without a usable return."""
    if config.sensors.range is None or not contents.scans:
        return
    topic = config.sensors.range.topic
    scans = plural(contents.scans, "scan")
    for count, defect in (
        (contents.blind, "without a single finite return"),
        (contents.far, f"with every return beyond max_range_m ({contents.max_range_m:g} m)"),
    ):
        if count:
            text = f"{count:,} of {scans} on {topic} are {defect}: the input is absent there"
            severity: Severity = "warning" if count > 0.02 * contents.scans else "note"
            yield Finding("blind_scans", severity, topic, text, ("distance",))


def status_rules(contents: LogContents, config: Config) -> Iterator[Finding]:
    """Yield status channels without information."""
    if config.sensors.status is None:
        return
    topic = config.sensors.status.topic
    for name, held in contents.channels.items():
        values = np.asarray(held)
        known = values[np.isfinite(values)]
        path = contents.fields[name]
        if not known.size:
            text = f"{name} ({path}) on {topic} is never a number"
            yield Finding("status_nan", "warning", topic, text, ("control",))
        elif known.size < values.size:
            count = f"{values.size - known.size:,} of {values.size:,} messages"
            text = f"{name} ({path}) on {topic} is no number in {count}"
            severity: Severity = "warning" if known.size < 0.98 * values.size else "note"
            yield Finding("status_nan", severity, topic, text, ("control",))
        if known.size > 10 and (known == known[0]).all():
            text = f"{name} ({path}) on {topic} is always {known[0]:g}: not connected, or standing still"
            yield Finding("status_constant", "warning", topic, text, ("control",))


def truth_rules(contents: LogContents, config: Config, reference: TopicContents) -> Iterator[Finding]:
    """Yield the share of ticks that have truth."""
    ticks = np.sort(np.asarray(reference.times.stamps, dtype=np.int64))
    for name in ("truth_boxes", "truth_control"):
        for topic in contents.of_role(name):
            if not topic.times.count or not ticks.size:
                yield Finding("truth_gaps", "note", topic.name, f"{topic.name} has no truth in this log")
                continue
            share = covered(ticks, topic.times)
            text = f"{topic.name} has truth for {share:.0%} of the ticks (within 60 ms)"
            yield Finding("truth" if share > 0.98 else "truth_gaps", "note", topic.name, text)


def covered(ticks: NDArray[np.int64], times: TopicTimes) -> float:
    """Return the share of sorted ticks that have a stamp within the tolerance of the truth."""
    stamps = np.sort(np.asarray(times.stamps, dtype=np.int64))
    at = np.searchsorted(stamps, ticks)
    after = np.abs(stamps[np.minimum(at, stamps.size - 1)] - ticks)
    before = np.abs(stamps[np.maximum(at - 1, 0)] - ticks)
    return float((np.minimum(after, before) <= TRUTH_TOLERANCE_NS).mean())
