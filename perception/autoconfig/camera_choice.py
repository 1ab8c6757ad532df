"""The choice of the cameras, with their camera infos and transforms: by content, then by name."""

from __future__ import annotations

from typing import Any

from perception.autoconfig import naming_rules as names
from perception.autoconfig.base_frame import NAMES as BASES
from perception.autoconfig.camera_infos import info_of_one, infos_of_several
from perception.autoconfig.config_draft import ConfigDraft, best, wide_tolerance
from perception.autoconfig.first_messages import first_frame, rate_hz
from perception.autoconfig.image_content import ImageContent, image_content
from perception.autoconfig.picture_words import says_not_colour
from perception.autoconfig.sensor_names import front_first, same_sensor, sensor_names

_SMALLER = ("resize", "downsampl", "downscal")


def choose_cameras(draft: ConfigDraft) -> None:
    """Set the cameras, their calibrations and the transforms; ambiguities are noted in the draft."""
    contents = {topic: image_content(draft.log, topic) for topic in _images(draft)}
    topics = front_first(_cameras(draft, contents))
    if not topics:
        rig = draft.of_kind("calibration") + draft.of_kind("transforms")
        draft.leave_out(rig, "no_camera", "there is no camera to place anything in")
        return
    name_of = sensor_names(topics, "camera")
    chosen = ", ".join(topics)
    draft.leave_out(
        (t for t in contents if t not in topics),
        "second_choice",
        f"the camera is {chosen}" if len(topics) == 1 else f"the cameras are {chosen}",
    )
    if len(topics) == 1:
        infos = {topics[0]: info} if (info := _say_single(draft, topics[0], contents)) else {}
    else:
        _say_several(draft, name_of)
        infos = infos_of_several(draft, name_of, contents)
    transforms = draft.of_kind("transforms")
    for topic, name in name_of.items():
        _say_content(draft, topic, contents[topic])
        camera: dict[str, Any] = {"topic": topic}
        if topic in infos:
            camera["calibration"] = infos[topic]
        if transforms and topic == topics[0]:
            camera["transforms"] = transforms
        if topic != topics[0]:
            camera |= _beside_reference(draft, topic)
        draft.add("camera", name, camera)
    if transforms:
        draft.reasons.append(f"transforms: {', '.join(transforms)}, all there are")


def _say_single(draft: ConfigDraft, topic: str, contents: dict[str, ImageContent]) -> str | None:
    """Say why it is the camera; return its camera info."""
    why = f"the only {draft.schema(topic)}"
    if len(contents) > 1:
        others = ", ".join(t for t in contents if t != topic)
        why = f"an image, where {others} is no picture of its own"
    draft.reasons.append(f"camera: {topic}, {why}")
    return info_of_one(draft, topic, contents[topic])


def _say_several(draft: ConfigDraft, name_of: dict[str, str]) -> None:
    for topic, name in name_of.items():
        draft.reasons.append(f"camera {name}: {topic}, one of {len(name_of)} cameras ({draft.schema(topic)})")
    reference = next(iter(name_of.values()))
    draft.reasons.append(
        f"reference: {reference}, by its name or as the first of the cameras; control comes from it "
        "(another one: reference, control_camera)"
    )


def _say_content(draft: ConfigDraft, topic: str, content: ImageContent) -> None:
    if content.video:
        draft.reasons.append(f"camera: {topic} is video: {content.video}")
    if content.problem:
        draft.warnings.append(f"camera: {topic} has no picture that can be read: {content.problem}")
    elif not content.colours:
        draft.warnings.append(
            f"camera: {topic} is grey; weights that were trained on colours know less of it"
        )
    if content.doubt:
        draft.warnings.append(f"camera: {topic}: {content.doubt}")


def _beside_reference(draft: ConfigDraft, topic: str) -> dict[str, Any]:
    """Return how the images of a further camera are selected: those of the same moment, by its rate."""
    return {"policy": "nearest", **wide_tolerance(rate_hz(draft.log, topic))}


def _images(draft: ConfigDraft) -> list[str]:
    """Return the image topics that are no truth."""
    topics = draft.of_kind("camera")
    truth = [topic for topic in topics if names.truth_doubt(topic) == "strong"]
    draft.leave_out(
        truth, "truth", "its name says that it is truth; an input is named in sensors.camera.topic"
    )
    return [topic for topic in topics if topic not in truth]


def _cameras(draft: ConfigDraft, contents: dict[str, ImageContent]) -> list[str]:
    """Return the topics that could be the camera, by content and name; others are left out with a reason."""
    echoes = _of_echoes(draft, contents)
    draft.leave_out(echoes, "second_choice", "grey with 16 bits, in the frame of a scanner: its echoes")
    depth = [topic for topic, content in contents.items() if content.depth]
    draft.leave_out(depth, "depth_image", "a depth image: it has no colours, and is no camera")
    topics = [topic for topic in contents if topic not in depth and topic not in echoes]
    if depth and not topics:
        draft.warnings.append(
            f"no camera: {', '.join(depth)} is a depth image, without colours, and there is no other image"
        )
    chosen = best(
        topics,
        lambda topic: (
            not contents[topic].problem,
            contents[topic].colours,
            not says_not_colour(topic),
            not names.truth_doubt(topic),
            not contents[topic].radiometric,
        ),
    )
    for topic in (topic for topic in topics if topic not in chosen):
        content = contents[topic]
        why = f"cannot be read: {content.problem}" if content.problem else "by its name no plain picture"
        why = why if content.problem or content.colours else _why_grey(content, contents[chosen[0]])
        draft.leave_out([topic], "undecodable" if content.problem else "second_choice", why)
    unpacked = {topic.rpartition("/")[0] for topic in chosen}.intersection(chosen)  # /image_raw/compressed
    draft.leave_out(unpacked, "second_choice", "the same pictures as its compressed topic")
    return _distinct(draft, [topic for topic in chosen if topic not in unpacked], contents)


def _of_echoes(draft: ConfigDraft, contents: dict[str, ImageContent]) -> list[str]:
    """Return the pictures that a scanner made of its echoes (Ouster's `signal_image`).

    They are of its frame, and there is no camera info of it: a camera that sees infrared light has one.
    """
    radiometric = [topic for topic, content in contents.items() if content.radiometric]
    if not radiometric:
        return []
    scanners = {first_frame(draft.log, topic) for topic in draft.of_kind("range")} - {"", *BASES}
    cameras = {first_frame(draft.log, topic) for topic in draft.of_kind("calibration")}
    return [topic for topic in radiometric if contents[topic].frame_id in scanners - cameras]


def _why_grey(content: ImageContent, chosen: ImageContent) -> str:
    """Return why a grey picture is left out beside a chosen one."""
    if chosen.colours:
        return "grey, beside a camera with colours"
    if content.radiometric and not chosen.radiometric:
        return "grey with 16 bits, as of heat or of the echoes of a scanner, beside a camera with 8"
    return "by its name no plain picture"


def _distinct(draft: ConfigDraft, topics: list[str], contents: dict[str, ImageContent]) -> list[str]:
    """Return one topic of each camera: a picture, its rectified twin and its smaller copy are of one."""
    kept: list[str] = []
    for topic in sorted(topics, key=_says_smaller):
        beside = [t for t in kept if contents[t].frame_id == contents[topic].frame_id]
        copied = (t for t in beside if _says_smaller(topic) and not _says_smaller(t))
        twin = next(copied, None) or next((t for t in beside if same_sensor(t, topic)), None)
        if twin is None:
            kept.append(topic)
        else:
            draft.leave_out([topic], "second_choice", f"by its name and frame of the same camera as {twin}")
    return kept


def _says_smaller(topic: str) -> bool:
    return any(word in topic.lower() for word in _SMALLER)
