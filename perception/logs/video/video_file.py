"""The video of a file (MP4, Matroska, raw H.264 or H.265): each packet as a foxglove.CompressedVideo.

A picture is stamped as the file shows it. A packet arrives as late as its picture allows: with pictures coded
in another order, a decoder that holds `reorder` of them back then gives each at its stamp.
"""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from perception.errors import LogError
from perception.logs.decoding.video_packets import REORDER_KEY
from perception.logs.message_table import Unreadable
from perception.logs.video.annex_b import BadPacket, stream_form, with_start_codes
from perception.logs.video.indexer import PacketIndex, VideoIndexer
from perception.logs.video.packet_header import CODECS, MAX_PACKET_BYTES, codec_of, read_packet
from perception.types import Channel, Schema

_NO_TIME = np.iinfo(np.int64).min
SCHEMA_NAME = "foxglove.CompressedVideo"


class VideoFile:
    """The first video of a file. Reads packets by their place; close it at the end.

    Attributes:
        codec: One of `perception.logs.video.packet_header.CODECS`.
        size: Width and height, px.
        created: When the file says it was made, as text; empty: it does not.
        stamps_ns: [N] int64, when each packet's picture is shown, from the file's zero.
        arrivals_ns: [N] int64, when each packet arrives; they never fall.
        keys: [N] bool, the key frames as the file has them.
        reorder: How many pictures a decoder holds back.
        note: How times were made, where the file has none; else empty.
    """

    def __init__(self, path: Path, index: PacketIndex) -> None:
        about, rows = index.about, index.rows
        codec = codec_of(about["codec"])
        if codec is None:
            raise LogError(
                f"expected a video of {', '.join(CODECS)}, found {str(about['codec'])[:40]!r}; encode it "
                f"anew, for instance: ffmpeg -i {path.name} -c:v libx264 -bf 0 new.mp4: {path}"
            )
        if not len(rows):
            raise LogError(f"expected a video, found one without packets: {path}")
        self.path, self.codec, self.size = path, codec, (int(about["size"][0]), int(about["size"][1]))
        self.created, self.streams = str(about["created"]), int(about["streams"])
        self.keys: NDArray[np.bool_] = rows["key"].copy()
        self.stamps_ns, self.note = _stamps_ns(index)
        self.reorder, self.arrivals_ns = arrivals_of(self.stamps_ns)
        self._positions, self._sizes = rows["position"].tolist(), rows["size"].tolist()
        self._form = stream_form(codec, bytes.fromhex(about["extradata"]))
        self._spooled = index.spooled

    def __len__(self) -> int:
        return len(self._sizes)

    def channel(self, number: int, topic: str) -> Channel:
        """Return the channel of the video's messages."""
        metadata = {REORDER_KEY: str(self.reorder)} if self.reorder else {}
        return Channel(number, topic, "protobuf", schema(), metadata)

    def message(self, row: int, stamp_ns: int, frame_id: str = "camera") -> bytes:
        """Return the message of a packet. Raises Unreadable where the file ends before it, or for damage."""
        return payload(self.packet(row), self.codec, stamp_ns, frame_id)

    def packet(self, row: int) -> bytes:
        """Return a packet with start codes, and with parameter sets where a key frame lacks them."""
        data = self._read(self._positions[row], self._sizes[row])
        form = self._form
        if form.length_bytes:
            try:
                data = with_start_codes(data, form.length_bytes)
            except BadPacket as error:
                raise Unreadable(str(error)) from None
        if self.keys[row] and form.parameters:
            header = read_packet(self.codec, data)
            lacks = not header.size[0] if self.codec == "av1" else not header.parameters
            data = form.parameters + data if lacks else data
        return data

    def _read(self, position: int, size: int) -> bytes:
        if size > MAX_PACKET_BYTES:
            raise Unreadable(f"a packet of {size} bytes; up to {MAX_PACKET_BYTES} are taken")
        if self._spooled:
            return self._spooled[position : position + size]
        data = os.pread(self._file.fileno(), size, position) if position >= 0 else b""
        if len(data) < size:
            raise Unreadable("the file ends before it; its index names it", is_proven=True)
        return data

    @cached_property
    def _file(self) -> BinaryIO:
        return self.path.open("rb", buffering=0)

    def close(self) -> None:
        """Close the file."""
        if "_file" in self.__dict__:
            self._file.close()


def open_video(path: Path, indexer: VideoIndexer | None = None) -> VideoFile:
    """Open a file with a video.

    Args:
        indexer: For many files; None: one of its own.

    Raises:
        LogError: It has no video that can be read, or the extra `video` is missing.
    """
    if indexer is not None:
        return VideoFile(path, indexer.index(path))
    with VideoIndexer() as own:
        return VideoFile(path, own.index(path))


@lru_cache(maxsize=1)
def schema() -> Schema:
    """Return the schema of the messages."""
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
    from mcap_protobuf.schema import build_file_descriptor_set

    data = build_file_descriptor_set(CompressedVideo).SerializeToString(deterministic=True)
    return Schema(SCHEMA_NAME, "protobuf", data)


def payload(data: bytes, codec: str, stamp_ns: int, frame_id: str) -> bytes:
    """Return a foxglove.CompressedVideo of one packet."""
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

    message = CompressedVideo(frame_id=frame_id, format=codec, data=data)
    message.timestamp.FromNanoseconds(stamp_ns)
    return bytes(message.SerializeToString())


def _stamps_ns(index: PacketIndex) -> tuple[NDArray[np.int64], str]:
    """Return when pictures are shown, and a note where the file does not say: at its rate in coded order."""
    times = index.rows["pts"]
    if (times == _NO_TIME).any():
        rate_hz = index.about["rate"][0] / max(index.about["rate"][1], 1) or 25.0
        states = index.about.get("states_rate")
        why = "the rate that the video states" if states else "guessed: the video states no rate"
        made = np.asarray(np.rint(np.arange(len(times)) * 1e9 / rate_hz), np.int64)
        return made, f"times are made: the file has none; {rate_hz:g} Hz ({why})"
    numerator, denominator = index.about["time_base"]
    exact = [int(time) * 1_000_000_000 * numerator // max(denominator, 1) for time in times.tolist()]
    bounded = [min(max(stamp, -(1 << 60)), 1 << 60) for stamp in exact]
    return np.array(bounded, np.int64), ""


def arrivals_of(stamps_ns: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """Return how many pictures are held back, and when packets arrive."""
    order = np.argsort(stamps_ns, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    reorder = int(max((np.arange(len(order)) - rank).max(), 0))
    shown = stamps_ns[order]
    return reorder, shown[np.maximum(np.arange(len(order)) - reorder, 0)]
