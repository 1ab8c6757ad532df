"""The choice of the range sensors: lidars, radars and depth images, all that are no copy of another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from perception.autoconfig import naming_rules as names
from perception.autoconfig.base_frame import first_frames
from perception.autoconfig.config_draft import ConfigDraft, best, wide_tolerance
from perception.autoconfig.first_messages import first_decoded, first_frame, first_of, rate_hz
from perception.autoconfig.frame_words import is_fixed_frame
from perception.autoconfig.image_content import image_content
from perception.autoconfig.picture_words import says_no_distances
from perception.autoconfig.readable_topics import reading_problem
from perception.autoconfig.sensor_names import sensor_names, shared_prefix, topic_words
from perception.config import RangeConfig
from perception.logs import Log
from perception.types import CameraInfo, DepthImage, RangeScan

SCANS = 10  # of which the ranges are looked at
FAR_SHARE = 0.01  # of returns beyond `max_range_m` that is worth saying

FARTHEST_M = 1000.0  # no scanner of a vehicle sees further

_COPIES = (
    "filtered cropped ground nonground obstacle obstacles cluster clusters clustered segmentation segmented "
    "downsample downsampled voxel voxels costmap map submap registered deskewed aligned aggregated "
    "accumulated assembled concatenated"
)
_PROCESSED = frozenset(_COPIES.split())
"""Words of topics that hold again what another sensor's topic holds."""


def choose_ranges(draft: ConfigDraft) -> None:
    """Set the range sensors, each with a tolerance that suits its rate."""
    clouds = _clouds(draft)
    frames = {first_frame(draft.log, topic) for topic in clouds} - {""}
    depth = _depth_images(draft, frames)
    topics = [*clouds, *depth]
    name_of = sensor_names(topics, "range", draft.data["sensors"]) if topics else {}
    for topic, name in name_of.items():
        what = "a depth image with its camera info" if topic in depth else f"the only {draft.schema(topic)}"
        if len(topics) > 1 and topic not in depth:
            what = f"one of {len(topics)} range sensors ({draft.schema(topic)})"
        draft.reasons.append(f"{_label(name)}: {topic}, {what}")
        settings: dict[str, Any] = {"topic": topic}
        if topic in depth:
            settings["calibration"] = depth[topic]
        rate = rate_hz(draft.log, topic)
        if tolerance := wide_tolerance(rate):
            settings |= tolerance
            draft.reasons.append(
                f"{_label(name)}: tolerance_ms {tolerance['tolerance_ms']:g}, since it comes at {rate:g} Hz"
            )
        draft.add("range", name, settings)
        _say_how_far(draft, topic)
        doubts = (getattr(scan, "doubt", "") for scan in first_decoded(draft.log, topic, "range"))
        if doubt := next(filter(None, doubts), ""):
            draft.warnings.append(f"{_label(name)}: a scan on {topic} contradicts itself: {doubt}")


def _label(name: str) -> str:
    return name if name == "range" else f"range {name}"


def _clouds(draft: ConfigDraft) -> list[str]:
    """Return the scans and point clouds to use; others are left out with a reason."""
    topics = draft.of_kind("range")
    truth = [topic for topic in topics if names.truth_doubt(topic) == "strong"]
    draft.leave_out(
        truth, "truth", "its name says that it is truth; an input is named in sensors.range.topic"
    )
    topics = [topic for topic in topics if topic not in truth]
    problems = {topic: reading_problem(draft, topic) for topic in topics}
    chosen = best(topics, lambda topic: (not problems[topic], not names.truth_doubt(topic)))
    for unread in (t for t in topics if problems[t] and t not in chosen):
        draft.leave_out([unread], "undecodable", problems[unread])
    draft.leave_out(
        (t for t in topics if not problems[t] and t not in chosen),
        "second_choice",
        "perhaps truth, by its name",
    )
    plain = [topic for topic in chosen if not _PROCESSED.intersection(topic_words(topic))]
    draft.leave_out(
        (t for t in chosen if plain and t not in plain),
        "second_choice",
        f"by its name made of the returns of another topic ({', '.join(plain)})",
    )
    return _of_sensors(draft, plain or chosen)


def _of_sensors(draft: ConfigDraft, topics: list[str]) -> list[str]:
    """Return the topics whose returns are seen from a sensor, where there are any.

    Points in a frame that stands still are a map, or those of another topic that were moved there; how far
    they are from their sensor is not known.
    """
    fixed = {t: frame for t in topics if is_fixed_frame(frame := first_frame(draft.log, t))}
    others = [topic for topic in topics if topic not in fixed]
    for topic, frame in fixed.items():
        what = f"its points are in the frame {frame!r}, which stands still, not in that of a sensor"
        if others:
            draft.leave_out([topic], "second_choice", what)
        else:
            draft.warnings.append(f"range: {topic}: {what}: those far from its origin are not used")
    return others or topics


def _say_how_far(draft: ConfigDraft, topic: str) -> None:
    """Say which share of the returns lies beyond `max_range_m`.

    It is not raised to fit: weights know ranges up to the one they were trained with, and no further.
    """
    limit_m = RangeConfig(topic=topic).max_range_m
    if far := far_returns(draft.log, topic, limit_m):
        draft.reasons.append(
            f"range: max_range_m {limit_m:g}, up to which the default weights were trained: {far}; "
            "raise it with weights that were trained so"
        )


def far_returns(log: Log, topic: str, limit_m: float) -> str:
    """Return which share of the returns of the first scans lies beyond a range; empty where hardly any."""
    decoded = first_decoded(log, topic, "range", SCANS)
    scans = [np.linalg.norm(scan.points_m, axis=1) for scan in decoded if isinstance(scan, RangeScan)]
    scans += [image.depth_m.ravel() for image in decoded if isinstance(image, DepthImage)]
    ranges = np.concatenate(scans or [np.zeros(0)])
    ranges = ranges[np.isfinite(ranges) & (ranges > 0)]
    share = float((ranges > limit_m).mean()) if ranges.size else 0.0
    if share <= FAR_SHARE:
        return ""
    farthest_m = np.quantile(ranges, 0.99)
    doubt = " (perhaps they are in mm, where m is expected)" if farthest_m > FARTHEST_M else ""
    return f"{share:.0%} of the returns lie beyond it, up to {farthest_m:.0f} m{doubt}, and are not used"


def _beside(topic: str, infos: list[str], images: list[str]) -> list[tuple[int, str]]:
    """Return the camera infos without a frame that lie nearer to an image than to any other, by name."""
    others = [image for image in images if image != topic]
    near = [(shared_prefix(info, topic), info) for info in infos]
    return [
        (parts, info)
        for parts, info in near
        if parts > max((shared_prefix(info, other) for other in others), default=0)
    ]


def _depth_images(draft: ConfigDraft, taken: set[str]) -> dict[str, str]:
    """Return the depth images whose frame a camera info is of, with the topic of the nearest by name.

    Args:
        draft: The log, and where reasons go.
        taken: Frames of point clouds, which hold the same returns.
    """
    infos: dict[str, list[str]] = {}
    for topic in draft.of_kind("calibration"):
        info = first_of(draft.log, topic, CameraInfo)
        infos.setdefault(info.frame_id if info is not None else "", []).append(topic)
    depth: dict[str, str] = {}
    for topic in draft.of_kind("camera"):
        image = first_of(draft.log, topic, DepthImage, "range")
        if image is None or names.truth_doubt(topic):
            continue
        if not image_content(draft.log, topic).depth:
            continue
        near = [(shared_prefix(info, topic), info) for info in infos.get(image.frame_id, [])]
        near = near or _beside(topic, infos.get("", []), draft.of_kind("camera"))
        if word := says_no_distances(topic):
            text = (
                f"an image of one channel whose name says {word!r}, not distances; if it holds them, name it "
                "in sensors.range.topic, with its camera info as sensors.range.calibration"
            )
        elif not near:
            text = f"a depth image of the frame {image.frame_id!r}, of which there is no camera info"
        elif image.frame_id in taken:
            text = f"a depth image, whose returns a point cloud of the frame {image.frame_id!r} holds"
        else:
            depth[topic] = max(near)[1]
            continue
        draft.unused.pop(topic, None)
        draft.leave_out([topic], "depth_image", text)
    copies = _copies(draft, depth)
    for topic, why in copies.items():
        draft.unused.pop(topic, None)
        draft.leave_out([topic], "depth_image", why)
    return {topic: depth[topic] for topic in depth if topic not in copies}


def _copies(draft: ConfigDraft, topics: Iterable[str]) -> dict[str, str]:
    """Return the depth images that hold again what others do, with the reason why those are used.

    One that was made of another (`aligned_depth_to_color`) is a copy; but where it was made for the pictures
    of a camera in which no transforms place the other, the other is of no use.
    """
    frame_of = {topic: first_frame(draft.log, topic, "range") for topic in topics}
    plain = [topic for topic in frame_of if not _PROCESSED.intersection(topic_words(topic))]
    if not plain or len(plain) == len(frame_of):
        return {}
    tree = first_frames(draft.log, draft.of_kind("transforms")).tree
    pictures = (section["topic"] for section in draft.of_sensors("camera").values())
    cameras = {first_frame(draft.log, picture, "camera") for picture in pictures} - {""}
    placed_in = {
        topic: {c for c in cameras if tree.target_from_source(c, frame_of[topic]) is not None}
        for topic in plain
    }
    unplaced = cameras - set().union(*placed_in.values())
    needed = [topic for topic in frame_of if topic not in plain and frame_of[topic] in unplaced]
    used = [topic for topic in plain if placed_in[topic] or not needed]
    made = f"by its name made of another depth image ({', '.join(used)})"
    useless = f"no transforms place its frame in the pictures, for which {', '.join(needed)} was made"
    left = (topic for topic in frame_of if topic not in used and topic not in needed)
    return {topic: useless if topic in plain else made for topic in left}
