"""Packets of MP4 and Matroska as those of streams: start codes, and parameter sets before key frames.

Sources: ISO/IEC 14496-15 sections 5.3.3 (avcC), 8.3.3 (hvcC) and 5.3.2 (length fields); AV1 Codec ISO Media
File Format Binding section 2.3 (av1C).
"""

from __future__ import annotations

from typing import NamedTuple

START = b"\x00\x00\x00\x01"


class BadPacket(Exception):
    """The lengths in a packet do not add up."""


class StreamForm(NamedTuple):
    """How a file stores packets: bytes of a length field (0: start codes), and the parameter sets."""

    length_bytes: int
    parameters: bytes


def stream_form(codec: str, extradata: bytes) -> StreamForm:
    """Return the form by the decoder configuration of a file."""
    try:
        if codec == "h264" and extradata[:1] == b"\x01":
            return StreamForm((extradata[4] & 3) + 1, _avc_parameters(extradata))
        if codec == "h265" and len(extradata) > 22 and not extradata.startswith((START, START[1:])):
            return StreamForm((extradata[21] & 3) + 1, _hevc_parameters(extradata))
    except IndexError:
        return StreamForm(4, b"")
    if codec == "av1" and extradata[:1] == b"\x81":
        return StreamForm(0, extradata[4:])
    return StreamForm(0, extradata if codec in ("h264", "h265") else b"")


def _avc_parameters(extradata: bytes) -> bytes:
    at, units = 5, []
    for mask in (31, 255):
        count = extradata[at] & mask
        at += 1
        for _ in range(count):
            unit, at = _sized(extradata, at)
            units.append(START + unit)
    return b"".join(units)


def _hevc_parameters(extradata: bytes) -> bytes:
    at, units = 23, []
    for _ in range(extradata[22]):
        count = extradata[at + 1] << 8 | extradata[at + 2]
        at += 3
        for _ in range(min(count, 64)):
            unit, at = _sized(extradata, at)
            units.append(START + unit)
    return b"".join(units)


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    size = data[at] << 8 | data[at + 1]
    return data[at + 2 : at + 2 + size], at + 2 + size


def with_start_codes(packet: bytes, length_bytes: int) -> bytes:
    """Return a packet with start codes in place of length fields. Raises BadPacket."""
    at, units = 0, []
    while at < len(packet):
        size = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        if size < 1 or at + size > len(packet):
            raise BadPacket(f"a NAL unit of {size} bytes at byte {at} of a packet of {len(packet)}")
        units += [START, packet[at : at + size]]
        at += size
    return b"".join(units)
