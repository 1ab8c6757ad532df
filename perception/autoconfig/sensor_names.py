"""Names of sensors from their topics: the words that tell topics of a kind apart."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from perception.config.sensors import RESERVED_NAMES
from perception.types import SENSORS

_RENDERINGS = (
    "raw rect rectified undistorted undist color colour rgb bgr mono gray grey image images img compressed "
    "resized debayered bayer republished repub theora ffmpeg h264 h265 hevc av1 video packets points scan"
)
RENDERINGS = frozenset(_RENDERINGS.split())
"""Words that say how a picture or a scan is written, not which sensor it is of."""

_FRONT = ("front", "forward", "fwd", "center", "centre", "main")
_NOWHERE = 2 * len(_FRONT)  # the place of a name that says no direction ahead


def sensor_names(topics: Sequence[str], kind: str, taken: Collection[str] = ()) -> dict[str, str]:
    """Return a name for each topic of a kind: the kind itself for a single one.

    Of several topics a name has the words that not all of them have, without those of renderings:
    `/cam/left/image_raw` beside `/cam/right/image_raw` is `left`. A number tells equal names apart.

    Args:
        topics: Of one kind.
        kind: camera, range or status.
        taken: Names that others have.
    """
    if len(topics) == 1:
        return {topics[0]: kind}
    words = {topic: topic_words(topic) for topic in topics}
    shared = frozenset.intersection(*(frozenset(parts) for parts in words.values()))
    names: dict[str, str] = {}
    used = {*taken, *SENSORS, *RESERVED_NAMES}
    for topic in topics:
        telling = [word for word in words[topic] if word not in shared and word not in RENDERINGS]
        telling = telling or [word for word in words[topic] if word not in shared] or words[topic]
        base = "_".join(telling)[:56]
        base = base if base[:1].isalpha() else f"{kind}_{base}".rstrip("_")
        name, number = base, 2
        while name in used:
            name, number = f"{base}_{number}", number + 1
        used.add(name)
        names[topic] = name
    return names


def topic_words(topic: str) -> list[str]:
    """Return the words of a topic in order, in small letters."""
    return [word for word in re.split(r"[^A-Za-z0-9]+", topic.lower()) if word]


def same_sensor(one: str, other: str) -> bool:
    """Return whether two topics differ only in words that say how the same thing is written."""
    a, b = (frozenset(topic_words(topic)) - RENDERINGS for topic in (one, other))
    return a == b


def shared_prefix(a: str, b: str) -> int:
    """Return the number of leading parts that two topics share."""
    count = 0
    for x, y in zip(a.strip("/").split("/"), b.strip("/").split("/"), strict=False):
        if x != y:
            break
        count += 1
    return count


def nearness(info: str, camera: str) -> tuple[int, int]:
    """Return how near a camera info lies to its camera: the parts they share, less those of its folder alone.

    In ROS it lies beside the picture: `/front/camera_info` goes before `/front/depth/camera_info`.
    """
    shared = shared_prefix(info, camera)
    return shared, min(0, shared - info.strip("/").count("/"))


def front_first(topics: Sequence[str]) -> list[str]:
    """Return camera topics with the one that looks ahead by its name first; the others keep their order.

    Words may be one (`frontleft`). Where none looks ahead, those that look back are last.
    """
    if not any(_place(topic) < _NOWHERE for topic in topics):
        return sorted(topics, key=_looks_back)
    return sorted(topics, key=_place)


def _looks_back(topic: str) -> bool:
    return any(word.startswith(("rear", "back")) for word in topic_words(topic))


def _place(topic: str) -> int:
    words = topic_words(topic)
    plain = [place for place, word in enumerate(_FRONT) if word in words]
    plain += [0 for word in words if word.startswith("front")]
    sideways = _looks_back(topic) or any(word.endswith(("left", "right", "side")) for word in words)
    return min(plain) + (len(_FRONT) if sideways else 0) if plain else _NOWHERE
