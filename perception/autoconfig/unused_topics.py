"""Every topic of a log that a configuration does not use, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from perception.autoconfig import naming_rules as names
from perception.autoconfig.first_messages import first_decoded
from perception.config import Config
from perception.logs import Log
from perception.logs.decoding.foxglove import PICTURE_FILE
from perception.types import Undecodable

MOST_WORDS = 200  # characters of a reason

UnusedCode = Literal[
    "no_messages",
    "undecodable",
    "own_output",
    "housekeeping",
    "truth",
    "command",
    "no_truth",
    "depth_image",
    "other_frame",
    "other_robot",
    "no_camera",
    "second_choice",
    "ambiguous",
    "no_known_field",
    "not_configured",
    "plugin_takes_fewer",
]
"""==================  ==================================================================================
no_messages         nothing was recorded on it
undecodable         its messages cannot be read
own_output          the output of an earlier run
housekeeping        it belongs to the middleware
truth, command      its name or schema says that it holds truth, or commands: never an input
no_truth            its boxes have the scores of a detector, or its scenes hold no cuboids
depth_image         a depth image has no colours: it is no camera
other_frame         the camera info of another camera
other_robot         its namespace is that of another robot, whose transforms place frames of the same names
no_camera           it is of the rig, and there is no camera to place anything in
second_choice       another topic of its kind was chosen
ambiguous           one of several that fit alike
no_known_field      none of its numbers is known as a speed, a yaw rate, an acceleration or a steering angle
not_configured      the configuration does not name it
plugin_takes_fewer  the plugin takes fewer sensors of its kind, by its manifest
==================  =================================================================================="""


@dataclass(frozen=True, slots=True)
class UnusedTopic:
    """A topic that is not used: the reason as a code for programs, and in words."""

    topic: str
    code: UnusedCode
    reason: str


def unused_topics(
    log: Log, config: Config | None, left_out: Mapping[str, UnusedTopic] | None = None
) -> tuple[UnusedTopic, ...]:
    """Return each topic of the log that the configuration does not use, by name.

    Args:
        config: None: it uses no topic.
        left_out: The reasons of the choice; others are found by a look at the log.
    """
    known, roles = left_out or {}, config.roles() if config is not None else {}
    topics = sorted({*log.channels, *log.survey.topics} - set(roles))
    return tuple(known.get(topic) or UnusedTopic(topic, *_reason(log, topic)) for topic in topics)


def _reason(log: Log, topic: str) -> tuple[UnusedCode, str]:
    channel = log.channels.get(topic)
    schema = channel.schema.name if channel is not None and channel.schema is not None else ""
    if topic not in log.survey.topics:
        return "no_messages", "no messages"
    if names.is_own_output(topic, schema):
        return "own_output", "an output of an earlier run"
    if not topic:
        return "not_configured", "its name is empty: no configuration can name it"
    if schema == PICTURE_FILE:
        return "not_configured", "the names of the pictures' files, by which labels are joined (truth.labels)"
    if names.is_housekeeping(topic, schema):
        return "housekeeping", "of the middleware"
    messages = first_decoded(log, topic, count=1)
    if messages and isinstance(messages[0], Undecodable):
        return "undecodable", one_line(messages[0].reason)
    return "not_configured", "the configuration does not name it"


def one_line(text: str) -> str:
    """Return a reason as one line of a readable length; parsers quote whole definitions."""
    words = " ".join(text.split())
    return words if len(words) <= MOST_WORDS else words[:MOST_WORDS] + "..."
