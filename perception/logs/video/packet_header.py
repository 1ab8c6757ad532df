"""What a video packet says of itself, read without decoding: codec, key frame, size, frame number."""

from __future__ import annotations

from dataclasses import dataclass

from perception.logs.video import h26x, open_codecs
from perception.logs.video.bits import OutOfBits

CODECS = ("h264", "h265", "av1", "vp9")
MAX_PIXELS = 1 << 25
"""Of one picture of a video: 8192 x 4096. A decoder holds up to sixteen of them."""
MAX_PACKET_BYTES = 64 << 20

_ALIASES = {"avc": "h264", "avc1": "h264", "hevc": "h265", "hvc1": "h265", "hev1": "h265", "av01": "av1"}
_BEGINNINGS = (
    ("x264", "h264"),
    ("x265", "h265"),
    ("openh264", "h264"),
    ("svtav1", "av1"),
    ("aom", "av1"),
    ("dav1d", "av1"),
)
_H264_PICTURES, _H264_IDR, _H264_SPS, _H264_PPS = frozenset({1, 2, 5}), 5, 7, 8
_H265_SPS, _H265_PARAMETERS, _H265_CRA = 33, frozenset({32, 33, 34}), 21


def codec_of(text: str) -> str | None:
    """Return the codec that a message's format names; None for none that is decoded.

    Encoders have names of their own: `libx264`, `hevc_nvenc`, `h264_vaapi`, `h264;yuv420p;bgr8;bgr8`.
    """
    name = text.strip().lower().replace(".", "").split(";")[0].split(",")[0].split("_")[0].removeprefix("lib")
    name = _ALIASES.get(name, name)
    if name in CODECS:
        return name
    return next((codec for start, codec in _BEGINNINGS if name.startswith(start)), None)


@dataclass(frozen=True, slots=True)
class PacketHeader:
    """The facts that one packet states.

    Attributes:
        key: Whether decoding can begin with it.
        clean: Whether no later packet refers to one before it; an open group of pictures of H.265 begins with
            a key frame (CRA) that pictures shown before it may precede.
        parameters: Its parameter sets (SPS, PPS, ...), as they stand in it; empty where it has none. AV1 and
            VP9 have none apart from the key frame.
        pictures: Whether it holds a picture.
        size: Width and height; (0, 0) where it does not say.
        slice: The first slice of H.264, where its numbers are known; else None.
        h264: The last parameters of H.264.
    """

    key: bool = False
    clean: bool = False
    parameters: bytes = b""
    pictures: bool = True
    size: tuple[int, int] = (0, 0)
    slice: h26x.H264Slice | None = None
    h264: h26x.H264Parameters | None = None


def read_packet(codec: str, data: bytes, known: h26x.H264Parameters | None = None) -> PacketHeader:
    """Return what a packet says; a damaged one is no key frame.

    Args:
        known: The parameters of H.264 that came before; they tell where the frame number stands.
    """
    try:
        if codec == "h264":
            return _h264(data, known)
        if codec == "h265":
            return _h265(data)
        if codec == "av1":
            return _av1(data)
        key, size = open_codecs.vp9_key(data)
        return PacketHeader(key, key, size=size)
    except (OutOfBits, IndexError):
        return PacketHeader()


def _h264(data: bytes, known: h26x.H264Parameters | None) -> PacketHeader:
    kept, first = [], None
    for begin, end in h26x.units(data):
        kind = data[begin] & 31 if begin < end else 0
        if kind == _H264_SPS:
            known = h26x.h264_parameters(data[begin:end])
        if kind in (_H264_SPS, _H264_PPS):
            kept.append(data[begin:end])
        if kind in _H264_PICTURES:
            first = data[begin : min(begin + 64, end)]
            break
    size = (known.width, known.height) if known is not None else (0, 0)
    parameters = b"".join(b"\x00\x00\x00\x01" + unit.rstrip(b"\x00") for unit in kept)
    if first is None:
        return PacketHeader(parameters=parameters, pictures=False, size=size, h264=known)
    head = h26x.h264_slice(first, known) if known is not None else None
    key = first[0] & 31 == _H264_IDR
    return PacketHeader(key, key, parameters, True, size, head, known)


def _h265(data: bytes) -> PacketHeader:
    kept, size = [], (0, 0)
    for begin, end in h26x.units(data):
        kind = data[begin] >> 1 & 63 if begin < end else 63
        if kind == _H265_SPS:
            size = h26x.h265_size(data[begin:end])
        if kind in _H265_PARAMETERS:
            kept.append(data[begin:end])
        if kind < 32:  # the first slice; 16 to 23 may begin a stream
            parameters = b"".join(b"\x00\x00\x00\x01" + unit.rstrip(b"\x00") for unit in kept)
            return PacketHeader(16 <= kind <= 23, 16 <= kind < _H265_CRA, parameters, True, size)
    parameters = b"".join(b"\x00\x00\x00\x01" + unit.rstrip(b"\x00") for unit in kept)
    return PacketHeader(parameters=parameters, pictures=False, size=size)


def _av1(data: bytes) -> PacketHeader:
    size, frames = (0, 0), False
    for kind, unit in open_codecs.obus(data):
        if kind == open_codecs.SEQUENCE_HEADER:
            size = open_codecs.av1_size(unit)
        elif kind in (open_codecs.FRAME, open_codecs.FRAME_HEADER):
            frames = True
            key = size != (0, 0) and open_codecs.is_av1_key(unit)
            return PacketHeader(key, key, size=size)
    return PacketHeader(pictures=frames, size=size)
