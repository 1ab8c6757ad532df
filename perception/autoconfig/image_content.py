"""The content of an image topic, by its first messages: colours, grey, or depth."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from perception.autoconfig.first_messages import FIRST, first_messages
from perception.autoconfig.picture_words import says_no_distances
from perception.autoconfig.unused_topics import one_line
from perception.logs import Log, decode
from perception.logs.decoding.image_header import read_samples
from perception.logs.video.decoder import is_installed
from perception.logs.video.facts import video_facts
from perception.logs.video.losses import NOT_INSTALLED, loss_text
from perception.types import CameraFrame, DepthImage, Message, Undecodable, VideoPacket
from perception.types.image_layouts import LAYOUTS

_FULL = 1 << 12
"""A picture of 16 bits with a sample from here on is no picture of 10 or 12 bits."""

_DEPTH = re.compile(r"(?:^|[/_])depth(?:[/_\d]|$)", re.IGNORECASE)
"""Names of topics whose pictures of 16 bits are depth, which RealSense bags call mono16."""


class ImageContent(NamedTuple):
    """The contents of a message of an image topic.

    Attributes:
        colours: Whether it has colours; a grey picture has none, and depth is no picture.
        depth: Whether it is a depth image.
        problem: Why it cannot be decoded as a picture; empty: it can.
        frame_id: Its frame; empty: not said.
        size: Width and height; (0, 0) where they are not known.
        video: What its video is like; empty: it has none.
        doubt: Why its pixels may be taken wrongly; empty: nothing says so.
        radiometric: Whether it is grey with 16 bits, as pictures of heat, of infrared light and of the echoes
            of a scanner are.
    """

    colours: bool
    depth: bool = False
    problem: str = ""
    frame_id: str = ""
    size: tuple[int, int] = (0, 0)
    video: str = ""
    doubt: str = ""
    radiometric: bool = False


def image_content(log: Log, topic: str) -> ImageContent:
    """Return what the first message of an image topic holds that can be read; drivers begin with empty ones.

    Of a topic without messages colours are assumed.
    """
    contents = (_content(log, message) for message in first_messages(log, topic, FIRST))
    first = next(contents, None)
    if first is None:
        return ImageContent(colours=True)
    readable = (content for content in contents if content.depth or not content.problem)
    return first if first.depth or not first.problem else next(readable, first)


def _content(log: Log, message: Message) -> ImageContent:
    """Return what one message of an image topic holds."""
    topic, frame = message.topic, decode(message, "camera")
    if isinstance(frame, VideoPacket):
        return _video_content(log, topic, frame)
    if isinstance(frame, CameraFrame):
        deep = frame.format == "mono16"
        says_depth = _DEPTH.search(topic) or (_DEPTH.search(frame.frame_id) and not says_no_distances(topic))
        if deep and says_depth:
            return ImageContent(False, depth=True)
        grey = frame.format.startswith("mono")
        if frame.format in ("jpeg", "png", "webp") and not frame.mosaic:
            grey = read_samples(frame.data)[0] < 3
        size = frame.width, frame.height
        return ImageContent(
            not grey, frame_id=frame.frame_id, size=size, doubt=_few_bits(frame), radiometric=deep
        )
    problem = one_line(frame.reason) if isinstance(frame, Undecodable) else ""
    return ImageContent(False, isinstance(decode(message, "range"), DepthImage), problem)


def _few_bits(frame: CameraFrame) -> str:
    """Return that the samples of a raw picture do not fill their 16 bits; empty where they do, or have 8."""
    layout = LAYOUTS.get(frame.format)
    if layout is None or layout.sample != 2 or layout.kind == "depth":
        return ""
    largest = int(np.frombuffer(frame.data, "<u2", len(frame.data) // 2).max(initial=0))
    if not 0 < largest < _FULL:
        return ""
    return (
        f"its first picture ({frame.format}) has values up to {largest:,} of 65,535: it is dark, or has "
        f"{largest.bit_length()} of 16 bits, and is taken as nearly black; scale such pictures to 16 bits"
    )


def _video_content(log: Log, topic: str, packet: VideoPacket) -> ImageContent:
    """Return the contents of a video, by its first packets; without a decoder they cannot be seen."""
    problem = "" if is_installed() else loss_text(NOT_INSTALLED)
    facts = video_facts(log, topic)
    size, text = (facts.size, facts.text) if facts is not None else (packet.size, "")
    return ImageContent(True, problem=problem, frame_id=packet.frame_id, size=size, video=text)
