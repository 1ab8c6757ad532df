"""The camera info of each camera: of its frame, of its aspect, beside it; never that of another camera."""

from __future__ import annotations

from collections.abc import Mapping, Set

from perception.autoconfig.config_draft import ConfigDraft, best
from perception.autoconfig.first_messages import first_of
from perception.autoconfig.image_content import ImageContent
from perception.autoconfig.sensor_names import nearness
from perception.types import CameraInfo

ASPECT = 0.03
"""Camera info and picture are of one camera where their aspects differ by less, whatever their scale."""

_NO_INFO = "no camera calibration in the log: ranges cannot be placed in the image"


def info_of_one(draft: ConfigDraft, camera: str, picture: ImageContent) -> str | None:
    """Return the camera info of the only camera; ambiguities are noted in the draft."""
    infos = _infos(draft)
    topics = [t for t, info in infos.items() if _same_frame(info, picture)]
    _leave_out_others(draft, infos, topics, "camera", picture)
    if not topics:
        draft.warnings.append(_NO_INFO)
        return None
    fitting = best(topics, lambda topic: _fit(infos[topic], picture))
    near = best(fitting, lambda topic: nearness(topic, camera))
    if len(infos) == 1:
        draft.reasons.append(f"calibration: {near[0]}, the only {draft.schema(near[0])}")
    elif len(topics) == 1 and picture.frame_id and _frame(infos[topics[0]]):
        draft.reasons.append(f"calibration: {near[0]}, which names the camera's frame {picture.frame_id}")
    elif len(near) == 1:
        draft.reasons.append(f"calibration: {near[0]}, beside {camera}")
    draft.pick("sensors.camera.calibration", "camera's calibration", near)
    draft.leave_out(topics, "second_choice", f"the camera info is that of {near[0]}")
    _warn_of_size(draft, camera, near[0], infos[near[0]], picture)
    return near[0]


def infos_of_several(
    draft: ConfigDraft, cameras: Mapping[str, str], pictures: Mapping[str, ImageContent]
) -> dict[str, str]:
    """Return the camera info of each of several cameras that has one of its own, by topic.

    A camera info belongs to one camera: of the cameras of its frame the one that is nearest by name. Where
    two are as near, it is that of neither, which is said: returns placed with the intrinsics of another
    camera would be wrong without a sign.

    Args:
        draft: Gets the reasons and warnings.
        cameras: Topic -> name of each camera.
        pictures: Topic -> its contents.
    """
    infos = _infos(draft)
    if not infos:
        draft.warnings.append(_NO_INFO)
        return {}
    taken = {_frame(info) for info in infos.values()} & {pictures[topic].frame_id for topic in cameras} - {""}
    claims = {topic: _nearest(topic, pictures[topic], infos, taken) for topic in cameras}
    chosen: dict[str, str] = {}
    for camera, info in claims.items():
        name = cameras[camera]
        rivals = [other for other, claim in claims.items() if claim == info and other != camera]
        own = _closeness(camera, info, pictures[camera], infos) if info else (0, 0, 0)
        if info is None:
            text = f"no camera info is surely its own: name it in sensors.{name}.calibration"
            draft.warnings.append(f"calibration: {camera} ({name}): {text}")
        elif any(_closeness(other, info, pictures[other], infos) >= own for other in rivals):
            draft.warnings.append(
                f"calibration: {info} could be of {camera} and of {', '.join(rivals)}; it is not used for "
                f"{name}: name it in sensors.{name}.calibration where it is"
            )
        else:
            chosen[camera] = info
            why = f"of its frame {pictures[camera].frame_id}" if own[0] else f"beside {camera}"
            draft.reasons.append(f"calibration: {info}, {why}: {name}'s")
            _warn_of_size(draft, camera, info, infos[info], pictures[camera])
    rest = [topic for topic in infos if topic not in chosen.values()]
    draft.leave_out(rest, "other_frame", "the camera info of none of the cameras that are used")
    return chosen


def _nearest(
    camera: str, picture: ImageContent, infos: Mapping[str, CameraInfo | None], taken: Set[str]
) -> str | None:
    """Return the camera info that is nearest to a camera; None where none is, or several are.

    Pictures that name no frame have none of those whose frame is `taken`: that of other pictures.
    """
    topics = [topic for topic, info in infos.items() if _same_frame(info, picture)]
    topics = [topic for topic in topics if picture.frame_id or _frame(infos[topic]) not in taken]
    topics = [topic for topic in topics if _closeness(camera, topic, picture, infos)[:2] > (0, 0)]
    near = best(
        topics, lambda topic: (_closeness(camera, topic, picture, infos), _fit(infos[topic], picture))
    )
    return near[0] if len(near) == 1 else None


def _closeness(
    camera: str, info: str, picture: ImageContent, infos: Mapping[str, CameraInfo | None]
) -> tuple[int, int, int]:
    """Return how surely a camera info is that of a camera: whether it names its frame, and its nearness."""
    named = bool(picture.frame_id) and _frame(infos[info]) == picture.frame_id
    return int(named), *nearness(info, camera)


def _infos(draft: ConfigDraft) -> dict[str, CameraInfo | None]:
    return {topic: first_of(draft.log, topic, CameraInfo) for topic in draft.of_kind("calibration")}


def _leave_out_others(
    draft: ConfigDraft,
    infos: Mapping[str, CameraInfo | None],
    topics: list[str],
    name: str,
    picture: ImageContent,
) -> None:
    """Leave out the camera infos of other frames; warn of them where the camera has none."""
    for topic in (t for t in infos if t not in topics):
        reason = f"of the frame {_frame(infos[topic])}, where the camera's is {picture.frame_id}"
        draft.leave_out([topic], "other_frame", reason)
        if not topics:
            draft.warnings.append(
                f"calibration: {topic} is not used: it is {reason}. "
                f"If it is of this camera all the same, name it in sensors.{name}.calibration, "
                f"and set sensors.{name}.calibration_frame: {_frame(infos[topic])}"
            )


def _warn_of_size(
    draft: ConfigDraft, camera: str, topic: str, info: CameraInfo | None, picture: ImageContent
) -> None:
    if info is not None and not _fit(info, picture)[0]:
        draft.warnings.append(
            f"calibration: {topic} is for pictures of {info.width}x{info.height}, "
            f"those on {camera} are {picture.size[0]}x{picture.size[1]}: of another camera, or cropped"
        )


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
