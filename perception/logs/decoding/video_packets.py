"""Messages that hold a packet of a video: of Foxglove, of ffmpeg_image_transport, images of format h264."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perception.logs.decoding.checks import DecodeError, Head, Tail
from perception.logs.video.packet_header import CODECS, MAX_PACKET_BYTES, MAX_PIXELS, codec_of, read_packet
from perception.types import VideoPacket

REORDER_KEY = "video.reorder"
"""The key of `VideoPacket.reorder` in a channel's metadata: the packets of video files have it."""
_MOST_HELD_BACK = 16
_NOTHING: Mapping[str, str] = MappingProxyType({})


def video_packet(
    head: Head,
    tail: Tail,
    data: bytes | memoryview,
    format_text: str,
    channel_metadata: Mapping[str, str] = _NOTHING,
) -> VideoPacket:
    """Return the packet of a message. Raises DecodeError for an unknown codec, too many bytes or none."""
    codec = codec_of(format_text)
    if codec is None:
        raise DecodeError(f"video is decoded as {', '.join(CODECS)}; found {format_text[:40]!r}")
    if not 0 < len(data) <= MAX_PACKET_BYTES:
        raise DecodeError(f"a video packet of {len(data)} bytes; from 1 to {MAX_PACKET_BYTES} are taken")
    held_back = channel_metadata.get(REORDER_KEY, "0")
    reorder = min(int(held_back), _MOST_HELD_BACK) if held_back.isascii() and held_back.isdigit() else 0
    header = read_packet(codec, bytes(data))
    size = header.size
    if size[0] * size[1] > MAX_PIXELS:
        raise DecodeError(f"a video of {size[0]}x{size[1]} pixels; up to {MAX_PIXELS} are decoded")
    return VideoPacket(*head, data, codec, reorder, size, header.key, **tail)
