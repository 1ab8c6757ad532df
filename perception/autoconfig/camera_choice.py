"""The choice of the camera, its camera info and its transforms: by content, then by name."""

from __future__ import annotations

from typing import Any

from perception.autoconfig import naming_rules as names
from perception.autoconfig.config_draft import ConfigDraft, best
from perception.autoconfig.first_messages import first_decoded
from perception.autoconfig.image_content import ImageContent, image_content
from perception.types import CameraInfo

ASPECT = 0.03
"""Camera info and picture are of one camera where their aspects differ by less, whatever their scale."""


def choose_camera(draft: ConfigDraft) -> None:
    """Set the camera, its calibration and its transforms; ambiguities are noted in the draft."""
    contents = {topic: image_content(draft.log, topic) for topic in _images(draft)}
    topics = _cameras(draft, contents)
    topic = draft.pick("sensors.camera.topic", "camera", topics)
    if topic is None:
        rig = draft.of_kind("calibration") + draft.of_kind("transforms")
        draft.leave_out(rig, "no_camera", "there is no camera to place anything in")
        return
    draft.leave_out(topics, "ambiguous", "more than one camera")
    draft.leave_out(contents, "second_choice", f"the camera is {topic}")
    why = f"the only {draft.schema(topic)}"
    if len(contents) > len(topics):
        others = ", ".join(t for t in contents if t not in topics)
        why = f"an image, where {others} is no picture of its own"
    draft.reasons.append(f"camera: {topic}, {why}")
    if contents[topic].problem:
        draft.warnings.append(f"camera: {topic} has no picture that can be read: {contents[topic].problem}")
    elif not contents[topic].colours:
        draft.warnings.append(
            f"camera: {topic} is grey; weights that were trained on colours know less of it"
        )
    camera: dict[str, Any] = {"topic": topic}
    draft.data["sensors"]["camera"] = camera
    calibration = _calibration_of(draft, topic, contents[topic])
    if calibration is not None:
        camera["calibration"] = calibration
    transforms = draft.of_kind("transforms")
    if transforms:
        camera["transforms"] = transforms
        draft.reasons.append(f"transforms: {', '.join(transforms)}, all there are")


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
    depth = [topic for topic, content in contents.items() if content.depth]
    draft.leave_out(depth, "depth_image", "a depth image: it has no colours, and is no camera")
    topics = [topic for topic in contents if topic not in depth]
    if depth and not topics:
        draft.warnings.append(
            f"no camera: {', '.join(depth)} is a depth image, without colours, and there is no other image"
        )
    chosen = best(
        topics,
        lambda topic: (
            not contents[topic].problem,
            contents[topic].colours,
            not names.says_not_colour(topic),
            not names.truth_doubt(topic),
        ),
    )
    for topic in (topic for topic in topics if topic not in chosen):
        content = contents[topic]
        why = f"cannot be read: {content.problem}" if content.problem else "by its name no plain picture"
        why = why if content.problem or content.colours else "grey, beside a camera with colours"
        draft.leave_out([topic], "undecodable" if content.problem else "second_choice", why)
    packed = [topic for topic in chosen if topic.rsplit("/", 1)[0] in chosen]  # /image_raw/compressed
    unpacked = {topic.rsplit("/", 1)[0] for topic in packed}
    draft.leave_out(unpacked, "second_choice", "the same pictures as its compressed topic")
    return [topic for topic in chosen if topic not in unpacked]


def _calibration_of(draft: ConfigDraft, camera: str, picture: ImageContent) -> str | None:
    """Return the camera info of a camera: of its frame, of its aspect, beside it; never of another camera."""
    infos = {topic: _info_of(draft, topic) for topic in draft.of_kind("calibration")}
    topics = [t for t, info in infos.items() if _same_frame(info, picture)]
    for topic in (t for t in infos if t not in topics):
        reason = f"of the frame {_frame(infos[topic])}, where the camera's is {picture.frame_id}"
        draft.leave_out([topic], "other_frame", reason)
        if not topics:
            draft.warnings.append(
                f"calibration: {topic} is not used: it is {reason}. "
                "If it is of this camera all the same, name it in sensors.camera.calibration, "
                f"and set sensors.camera.calibration_frame: {_frame(infos[topic])}"
            )
    if not topics:
        draft.warnings.append("no camera calibration in the log: ranges cannot be placed in the image")
        return None
    fitting = best(topics, lambda topic: _fit(infos[topic], picture))
    near = best(fitting, lambda topic: names.shared_prefix(topic, camera))
    if len(infos) == 1:
        draft.reasons.append(f"calibration: {near[0]}, the only {draft.schema(near[0])}")
    elif len(topics) == 1 and picture.frame_id and _frame(infos[topics[0]]):
        draft.reasons.append(f"calibration: {near[0]}, which names the camera's frame {picture.frame_id}")
    elif len(near) == 1:
        draft.reasons.append(f"calibration: {near[0]}, beside {camera}")
    draft.pick("sensors.camera.calibration", "camera's calibration", near)
    draft.leave_out(topics, "second_choice", f"the camera info is that of {near[0]}")
    info = infos[near[0]]
    if info is not None and not _fit(info, picture)[0]:
        draft.warnings.append(
            f"calibration: {near[0]} is for pictures of {info.width}x{info.height}, "
            f"those on {camera} are {picture.size[0]}x{picture.size[1]}: of another camera, or cropped"
        )
    return near[0]


def _info_of(draft: ConfigDraft, topic: str) -> CameraInfo | None:
    messages = first_decoded(draft.log, topic, count=1)
    return messages[0] if messages and isinstance(messages[0], CameraInfo) else None


def _frame(info: CameraInfo | None) -> str:
    return info.frame_id if info is not None else ""


def _same_frame(info: CameraInfo | None, picture: ImageContent) -> bool:
    """Return whether a camera info may be of the camera: frames are compared where both are known."""
    return not _frame(info) or not picture.frame_id or _frame(info) == picture.frame_id


def _fit(info: CameraInfo | None, picture: ImageContent) -> tuple[bool, bool]:
    """Return whether aspects agree, and whether sizes do. A part of the sensor may have any aspect."""
    if info is None or not all(picture.size) or not (info.width and info.height):
        return True, False
    width, height = picture.size
    part = info.roi is not None or info.binning != (1, 1)
    aspect = width * info.height / (height * info.width)
    return part or abs(aspect - 1) < ASPECT, (info.width, info.height) == picture.size
