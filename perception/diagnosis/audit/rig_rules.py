"""The audit's rules for the rig and the truth: can ranges and cuboids be placed in the picture?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from perception.config import Config
from perception.diagnosis.audit.audit_finding import Finding
from perception.diagnosis.audit.log_contents import LogContents, TopicContents
from perception.diagnosis.audit.topic_times import TopicTimes

TRUTH_TOLERANCE_NS = 60_000_000  # how truth is joined to a sample
LOST = "ranges cannot be placed in the image"


def rig_rules(contents: LogContents, config: Config) -> Iterator[Finding]:
    """Yield defects of intrinsics and transforms, without which ranges cannot be placed in the image."""
    camera, scan = config.sensors.camera, config.sensors.range
    if camera is None:
        return
    if not contents.calibrated:
        text = f"no camera calibration that can be read: {LOST}"
        yield Finding("no_calibration", "warning", camera.topic, text, ("distance",))
        return
    yield from _size_rules(contents, camera.topic)
    if contents.lenses:
        models = ", ".join(repr(name) for name in sorted(contents.lenses))
        text = f"the lens model {models} with its distortion is not known: {LOST}"
        yield Finding("lens", "warning", camera.calibration or camera.topic, text, ("distance",))
    target = _camera_frame(contents)
    pictures = contents.topics[camera.topic].frames
    if pictures and target and target not in pictures:
        text = (
            f"the camera info on {camera.calibration} is of frame {target!r}, the pictures are of "
            f"{pictures.most_common(1)[0][0]!r}: of another camera, whose intrinsics are not these"
        )
        yield Finding("other_camera", "warning", camera.topic, text, ("distance",))
    if scan is not None:
        for frame in sorted(contents.topics[scan.topic].frames):
            if contents.transforms.target_from_source(target, frame) is None:
                text = f"no transforms connect {frame!r} ({scan.topic}) with the camera's {target!r}: {LOST}"
                yield Finding("no_transform", "warning", scan.topic, text, ("distance",))


def _size_rules(contents: LogContents, topic: str) -> Iterator[Finding]:
    """Yield pictures of another shape than the intrinsics are for; those of the same shape are scaled."""
    known = ", ".join(f"{w}x{h}" for w, h in sorted(contents.calibrated))
    for scaled, code, effect in (
        (True, "scaled", "the intrinsics are scaled"),
        (False, "size_mismatch", "of another shape, so ranges land on the wrong pixels"),
    ):
        sizes = [size for size in sorted(contents.sizes) if size not in contents.calibrated]
        sizes = [
            size for size in sizes if any(_same_shape(size, other) for other in contents.calibrated) == scaled
        ]
        if sizes:
            images = ", ".join(f"{w}x{h}" for w, h in sizes)
            text = f"images are {images}, the calibration is for {known}: {effect}"
            yield Finding(code, "note" if scaled else "warning", topic, text, () if scaled else ("distance",))


def _same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether one size is the other scaled, to the pixel that rounding may cost."""
    (width, height), (other_width, other_height) = size, other
    return abs(width * other_height - height * other_width) <= max(*size, *other)


def _camera_frame(contents: LogContents) -> str:
    frames = [topic.frames.most_common(1)[0][0] for topic in contents.of_role("calibration") if topic.frames]
    return frames[0] if frames else ""


def truth_rules(contents: LogContents, config: Config, reference: TopicContents) -> Iterator[Finding]:
    """Yield the share of ticks that have truth, and truth that cannot be placed in the picture."""
    ticks = np.sort(np.asarray(reference.times.stamps, dtype=np.int64))
    for name in ("truth_boxes", "truth_control"):
        for topic in contents.of_role(name):
            if not topic.times.count or not ticks.size:
                yield Finding("truth_gaps", "note", topic.name, f"{topic.name} has no truth in this log")
                continue
            share = covered(ticks, topic.times)
            problem = _truth_problem(contents, topic)
            if problem:
                text = f"{topic.name} cannot be placed in the image: {problem}; no tick has truth from it"
                yield Finding("truth_unplaced", "warning", topic.name, text)
            else:
                text = f"{topic.name} has truth for {share:.0%} of the ticks (within 60 ms)"
                yield Finding("truth" if share > 0.98 else "truth_gaps", "note", topic.name, text)


def _truth_problem(contents: LogContents, topic: TopicContents) -> str:
    """Return why cuboids cannot be placed; empty where they can, or are boxes in pixels."""
    if not topic.frames:
        return ""
    if not contents.calibrated:
        return "there is no camera calibration"
    if contents.lenses:
        return "the lens model is not known"
    target = _camera_frame(contents)
    lost = [
        frame
        for frame in sorted(topic.frames)
        if contents.transforms.target_from_source(target, frame) is None
    ]
    return f"no transforms connect {', '.join(map(repr, lost))} with the camera's {target!r}" if lost else ""


def covered(ticks: NDArray[np.int64], times: TopicTimes) -> float:
    """Return the share of sorted ticks that have a stamp within the tolerance of the truth."""
    stamps = np.sort(np.asarray(times.stamps, dtype=np.int64))
    at = np.searchsorted(stamps, ticks)
    after = np.abs(stamps[np.minimum(at, stamps.size - 1)] - ticks)
    before = np.abs(stamps[np.maximum(at - 1, 0)] - ticks)
    return float((np.minimum(after, before) <= TRUTH_TOLERANCE_NS).mean())
