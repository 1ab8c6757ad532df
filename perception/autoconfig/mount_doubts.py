"""Doubts about transforms that contradict each other: two senders that place one frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from perception.autoconfig.first_messages import first_decoded
from perception.config import Config
from perception.geometry import Matrix
from perception.logs import Log
from perception.types import FrameTransforms

MESSAGES = 50  # of each topic that are looked at
MOST_SAID = 3

_SAME = 1e-4  # m, and of a rotation matrix: less is rounding
_APART = 0.02  # m, and of a rotation matrix (1 degree): the angle of a joint at rest flickers by less
_BACK_AND_FORTH = 3  # changes between two poses: what is moved goes from one to the other once


class _Placed(NamedTuple):
    """One message's word of where a frame is."""

    log_time_ns: int
    topic: str
    parent: str
    parent_from_child: Matrix


def mount_doubts(log: Log, config: Config) -> Iterator[str]:
    """Yield what to tell the user of frames with two parents, or that are in two places in turn.

    A frame has one parent, and the last message counts: a pose between those of two senders is none of them.
    """
    topics = {topic for camera in config.sensors.cameras.values() for topic in camera.transforms}
    said = 0
    for child, placed in sorted(_placed(log, sorted(topics)).items()):
        if (doubt := _two_parents(placed) or _two_places(placed)) and said < MOST_SAID:
            said += 1
            yield (
                f"transforms: the frame {child!r} is {doubt}: they come from two senders, and the last one "
                "counts; leave the topic of one out of sensors.camera.transforms, or record one alone"
            )


def _placed(log: Log, topics: Sequence[str]) -> dict[str, list[_Placed]]:
    """Return what the first messages say of each frame, in the order of arrival."""
    placed: dict[str, list[_Placed]] = {}
    for topic in topics:
        for message in first_decoded(log, topic, count=MESSAGES):
            for item in message.items if isinstance(message, FrameTransforms) else ():
                one = _Placed(message.log_time_ns, topic, item.parent, item.parent_from_child)
                placed.setdefault(item.child, []).append(one)
    return {child: sorted(found, key=lambda one: one[:2]) for child, found in placed.items()}


def _two_parents(placed: Sequence[_Placed]) -> str:
    """Return in words that a frame has two parents; empty: it has one."""
    topics: dict[str, str] = {}
    for one in placed:
        topics.setdefault(one.parent, one.topic)
    if len(topics) < 2:
        return ""
    return "in " + " and in ".join(f"{parent!r} ({topic})" for parent, topic in sorted(topics.items()))


def _two_places(placed: Sequence[_Placed]) -> str:
    """Return in words that a frame is in two places; empty: it rests in one, or moves."""
    first = placed[0]
    other = next((one for one in placed if not _same(one, first)), None)
    if other is None or not all(_same(one, first) or _same(one, other) for one in placed):
        return ""
    if _same(first, other, _APART):
        return ""
    changes = sum(not _same(a, b) for a, b in pairwise(placed))
    in_one_topic = {one.topic for one in placed if _same(one, first)} & {
        one.topic for one in placed if _same(one, other)
    }
    if changes < _BACK_AND_FORTH and any(not topic.endswith("tf_static") for topic in in_one_topic):
        return ""
    places = " and ".join(
        f"at {', '.join(f'{x:.4g}' for x in one.parent_from_child[:3, 3])} ({one.topic})"
        for one in (first, other)
    )
    return f"in two places in {first.parent!r} ({places})"


def _same(one: _Placed, other: _Placed, within: float = _SAME) -> bool:
    return bool(np.abs(one.parent_from_child - other.parent_from_child).max() < within)
