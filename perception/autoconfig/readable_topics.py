"""Topics that cannot be read, with the reason."""

from __future__ import annotations

import re

from perception.autoconfig import naming_rules as names
from perception.autoconfig.config_draft import MOST_NAMED, ConfigDraft
from perception.autoconfig.first_messages import FIRST, first_messages
from perception.autoconfig.unused_topics import one_line
from perception.logs import decode
from perception.types import Undecodable

_HELD = (
    ("pictures", ("image", "picture", "camera", "video"), "CompressedImage"),
    ("returns", ("cloud", "lidar", "laser"), "PointCloud"),
)
"""Contents of a message, words in the name of its type that tell them, and Foxglove's schema for them."""
_ENDS = re.compile(
    r"(image|picture|camera|video|cloud|lidar|laser|frame|scan|point|packet|data|array|list|stamped|msg)s?\d*(_t)?$",
    re.IGNORECASE,
)
"""How the names of types end that hold them. Others are about a sensor (`CameraTemperature`)."""
_ABOUT = frozenset(
    (
        *("state", "status", "info", "config", "settings", "control", "command", "cmd", "report", "request"),
        *("calibration", "meta", "metadata", "annotations", "marker", "markers", "disparity", "trigger"),
        "health",
    )
)
"""Words of types that are about a sensor, or about its pictures."""


def unread_type(schema: str) -> str:
    """Return what a message of an unknown type holds by its name, and what to do; empty: nothing."""
    kind = names.kind_of(schema)
    words = names.words_of(kind)
    if words & _ABOUT or not _ENDS.search(kind):
        return ""
    return next(
        (
            f"by its name it holds {what}, in a type that is not read: write them as foxglove.{known}"
            for what, telling, known in _HELD
            if words.intersection(telling)
        ),
        "",
    )


def reading_problem(draft: ConfigDraft, topic: str) -> str:
    """Return why the first messages of a topic cannot be read; empty where one can."""
    messages = (decode(message) for message in first_messages(draft.log, topic, FIRST))
    first = next(messages, None)
    if not isinstance(first, Undecodable) or any(not isinstance(m, Undecodable) for m in messages):
        return ""
    return one_line(first.reason)


def warn_of_unreadable(draft: ConfigDraft) -> None:
    """Note topics that cannot be decoded, with the reason, and warn of the first."""
    unreadable = [t for t in draft.of_kind(None) if not names.is_housekeeping(t, draft.schema_name(t))]
    for topic in unreadable:
        problem = reading_problem(draft, topic)
        if problem:
            draft.leave_out([topic], "undecodable", problem)
            if len([t for t in unreadable if t in draft.unused]) <= MOST_NAMED:
                draft.warnings.append(f"{topic} is not used: {problem}")
