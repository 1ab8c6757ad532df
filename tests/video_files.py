"""Videos made with PyAV: packets with the pictures that a decoder gives for them, and logs of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from tests.small_logs import START_NS as START_NS
from tests.small_logs import SmallLog, foxglove_schema

av = pytest.importorskip("av")

HZ = 10
_OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint={gop}:scenecut=0"},
    "libx265": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x265-params": "log-level=none:bframes={b}:keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1",
    },
    "libsvtav1": {"preset": "12", "svtav1-params": "pred-struct=1:lookahead=0:enable-tpl-la=0"},
}
_CODECS = {"h264": "libx264", "h265": "libx265", "av1": "libsvtav1"}


def pictures(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Return pictures [H, W, 3] that move, each unlike the others."""
    width, height = size
    rng = np.random.default_rng(1)
    base = np.kron(rng.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return [np.roll(base, 2 * i, axis=1) for i in range(count)]


@lru_cache(maxsize=32)
def packets(
    codec: str = "h264",
    count: int = 24,
    gop: int = 8,
    size: tuple[int, int] = (64, 48),
    b_frames: int = 0,
    hashed: bool = False,
) -> tuple[bytes, ...]:
    """Return the packets of a video in coded order, with parameter sets at each key frame.

    `hashed`: of H.265, each with the MD5 of its picture.
    """
    encoder = av.CodecContext.create(_CODECS[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, HZ), Fraction(HZ, 1)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = gop, b_frames, 1
    options = {key: text.format(gop=gop, b=b_frames) for key, text in _OPTIONS[_CODECS[codec]].items()}
    if b_frames:
        options.pop("tune")
    if hashed:
        options["x265-params"] += ":hash=1"
    encoder.options = options
    coded = []
    for index, picture in enumerate(pictures(count, size)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = index
        coded += encoder.encode(frame)
    return tuple(bytes(packet) for packet in [*coded, *encoder.encode(None)])


@lru_cache(maxsize=32)
def decoded(coded: tuple[bytes, ...], codec: str = "h264") -> tuple[bytes, ...]:
    """Return the pictures of packets as planes of Y, U and V, by PyAV alone in this process."""
    name = {"h264": "h264", "h265": "hevc", "av1": "libdav1d"}[codec]
    decoder = av.CodecContext.create(name, "r")
    decoder.thread_count = 1
    frames = [frame for packet in coded for frame in decoder.decode(av.Packet(packet))]
    return tuple(frame.to_ndarray().tobytes() for frame in [*frames, *decoder.decode(None)])


def video_payload(data: bytes, stamp_ns: int, codec: str = "h264") -> bytes:
    """Return a foxglove.CompressedVideo."""
    message = CompressedVideo(frame_id="camera", format=codec, data=data)
    message.timestamp.FromNanoseconds(stamp_ns)
    return bytes(message.SerializeToString())


def video_log(
    path: Path,
    coded: Sequence[bytes] | None = None,
    codec: str = "h264",
    *,
    topic: str = "/video",
    hz: float = HZ,
    log: SmallLog | None = None,
    drop: range | tuple[int, ...] = (),
) -> Path:
    """Write a log of one video, beside what `log` holds."""
    coded = packets(codec) if coded is None else coded
    log = SmallLog() if log is None else log
    log.stream(
        topic,
        foxglove_schema(CompressedVideo),
        "protobuf",
        lambda i, stamp: video_payload(coded[i], stamp, codec),
        hz=hz,
        seconds=len(coded) / hz,
        drop=drop,
    )
    log.write(path)
    return path


def video_file(
    path: Path,
    codec: str = "h264",
    count: int = 24,
    gop: int = 8,
    size: tuple[int, int] = (64, 48),
    b_frames: int = 0,
    shots: Sequence[int] = (),
) -> Path:
    """Write a video file; its name says the container. `shots`: the lengths of its parts, all alike."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(_CODECS[codec], rate=HZ)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        options = {key: text.format(gop=gop, b=b_frames) for key, text in _OPTIONS[_CODECS[codec]].items()}
        if b_frames:
            options.pop("tune")
        stream.codec_context.options = options
        for picture in [p for shot in shots or (count,) for p in pictures(shot, size)]:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def file_pictures(path: Path) -> list[bytes]:
    """Return the pictures of a file as planes of Y, U and V, by PyAV alone in this process."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        frames = (frame.reformat(format="yuv420p") for frame in container.decode(video=0))
        return [frame.to_ndarray().tobytes() for frame in frames]
