"""Robots that a log holds besides the one whose camera is used: their frames may have the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from perception.autoconfig.config_draft import ConfigDraft
from perception.autoconfig.first_messages import first_decoded
from perception.autoconfig.sensor_names import front_first, shared_prefix
from perception.geometry import Matrix
from perception.types import FrameTransforms


class _Mount(NamedTuple):
    """The pose of a frame in its parent, and whether it is static."""

    parent: str
    parent_from_child: Matrix
    rests: bool = True


def leave_out_other_robots(draft: ConfigDraft) -> None:
    """Leave out the topics of other robots than the one of the first camera.

    Transforms of all topics make one rig, in which a name is one frame. `/robot1/tf` and `/robot2/tf` that
    both place a frame `laser` are of two robots; so are `/tf` and `/robot2/tf` that mount it elsewhere.
    """
    topics = draft.of_kind("transforms")
    spaces = sorted({_namespace(topic) for topic in topics})
    if len(spaces) < 2:
        return
    mounts = {space: _mounts(draft, [t for t in topics if _namespace(t) == space]) for space in spaces}
    sensors = front_first(draft.of_kind("camera")) or draft.of_kind("range") or topics
    own = max(spaces, key=lambda space: shared_prefix(space, sensors[0]) if space else 0)
    for space in (space for space in spaces if space != own):
        frame = _shared_frame(
            mounts[own], mounts[space], are_nested=_is_under(own, space) or _is_under(space, own)
        )
        if not frame:
            continue
        why = f"transforms there and in {own or '/'} place a frame {frame!r} each"
        under = [topic for topic in draft.log.survey.topics if _is_in(topic, space, own)]
        draft.leave_out(under, "other_robot", f"of another robot: {why}")
        draft.warnings.append(
            f"topics in {space or '/'} are not used: {why}, so they are of two robots whose frames have the "
            "same names; to use that robot instead, name its topics under sensors"
        )


def _namespace(topic: str) -> str:
    return topic.rpartition("/")[0]


def _is_under(topic: str, space: str) -> bool:
    return topic.startswith(f"{space}/")


def _is_in(topic: str, space: str, own: str) -> bool:
    """Return whether a topic is of a namespace, and not of one in it that is used."""
    return _is_under(topic, space) and not (_is_under(own, space) and _is_under(topic, own))


def _mounts(draft: ConfigDraft, topics: list[str]) -> dict[str, _Mount]:
    """Return the frames that the first messages of some topics place, with the first place of each."""
    mounts: dict[str, _Mount] = {}
    for topic in topics:
        for message in first_decoded(draft.log, topic):
            for item in message.items if isinstance(message, FrameTransforms) else ():
                mount = _Mount(item.parent, item.parent_from_child)
                known = mounts.setdefault(item.child, mount)
                if not _is_same(known, mount):
                    mounts[item.child] = known._replace(rests=False)
    return mounts


def _shared_frame(one: Mapping[str, _Mount], other: Mapping[str, _Mount], are_nested: bool) -> str:
    """Return a frame that both place; empty where there is none.

    Args:
        are_nested: One namespace holds the other, which may repeat its transforms: only a frame that rests
            and is mounted elsewhere counts.
    """
    shared = [child for child in sorted(one) if child in other]
    if are_nested:
        shared = [
            child
            for child in shared
            if one[child].rests and other[child].rests and not _is_same(one[child], other[child])
        ]
    return shared[0] if shared else ""


def _is_same(one: _Mount, other: _Mount) -> bool:
    close = np.allclose(one.parent_from_child, other.parent_from_child, atol=1e-6)
    return one.parent == other.parent and bool(close)
