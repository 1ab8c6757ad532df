"""The program that decodes the packets of one camera, in a process of its own.

It is started as a script and imports nothing of this package: PyAV alone. A decoder that crashes, or that
works on one packet for longer than `CPU_S`, ends this process, and not the run.

Standard input holds requests: `REQUEST` (operation, index, bytes that follow), then a packet. Standard output
holds answers: `ANSWER` (kind, index, width, height, colours, bytes that follow), then a picture or a text.
Each request is answered by any number of pictures and at most one error, then by DONE.

Every key frame begins with a new decoder: what comes out depends on nothing before it, so a replay from the
middle gives the same bits. One thread decodes, so their number changes no bit either.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import Any, BinaryIO

try:
    import resource
except ImportError:  # where there are no limits of processes
    resource = None  # type: ignore[assignment]

REQUEST, ANSWER = struct.Struct("<BqI"), struct.Struct("<BqIIBI")
PACKET, BEGIN, DRAIN = 0, 1, 2
DONE, PICTURE, ERROR = 0, 1, 2
COLOURS = ("bt601", "bt601 full", "bt709", "bt709 full", "bt2020", "bt2020 full")
CPU_S = 20
MEMORY_BYTES = 4 << 30
_DECODERS = {"h264": "h264", "h265": "hevc", "av1": "libdav1d", "vp9": "vp9"}
_MATRICES = {1: 2, 9: 4, 10: 4}  # of AVColorSpace, to an index in COLOURS; the others are BT.601
_FULL_RANGE = 2


def main() -> None:
    """Answer requests until the input ends."""
    import av

    av.logging.set_level(av.logging.ERROR)
    if resource is not None:
        limit = resource.getrlimit(resource.RLIMIT_AS)[1]
        bound = MEMORY_BYTES if limit == resource.RLIM_INFINITY else min(MEMORY_BYTES, limit)
        resource.setrlimit(resource.RLIMIT_AS, (bound, limit))
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)  # a library that prints must not write among the answers
    decoder = _Decoder(av, sys.argv[1], int(sys.argv[2]))
    while len(head := source.read(REQUEST.size)) == REQUEST.size:
        operation, index, size = REQUEST.unpack(head)
        packet = source.read(size)
        _allow(CPU_S)
        for answer in decoder.answers(operation, index, packet):
            _write(sink, *answer)
        _write(sink, DONE, index, 0, 0, 0, b"")
        sink.flush()


def _allow(seconds: int) -> None:
    """End this process once it has used so much more time of a processor."""
    if resource is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + seconds, hard))


def _write(sink: BinaryIO, kind: int, index: int, width: int, height: int, colours: int, data: Any) -> None:
    size = sum(map(len, data)) if isinstance(data, list) else len(data)
    sink.write(ANSWER.pack(kind, index, width, height, colours, size))
    for part in data if isinstance(data, list) else [data]:
        sink.write(part)


class _Decoder:
    def __init__(self, av: Any, codec: str, max_pixels: int) -> None:
        self._av, self._codec, self._max_pixels = av, codec, max_pixels
        self._context: Any = None

    def answers(self, operation: int, index: int, packet: bytes) -> Any:
        """Yield the pictures that a request gives and the error that it meets."""
        if operation in (BEGIN, DRAIN) and self._context is not None:
            yield from self._decoded(index, None)
            self._context = None
        if operation == BEGIN:
            self._context = self._new()
        if operation != DRAIN and self._context is not None:
            item = self._av.Packet(packet)
            item.pts = item.dts = index
            yield from self._decoded(index, item)

    def _new(self) -> Any:
        context = self._av.CodecContext.create(_DECODERS[self._codec], "r")
        context.thread_count = 1
        context.options = {
            "max_pixels": str(self._max_pixels),
            "err_detect": "crccheck+bitstream+buffer+explode",  # an error is said, not hidden by a guess
        }
        return context

    def _decoded(self, index: int, packet: Any) -> Any:
        try:
            with self._av.logging.Capture() as logged:
                frames = self._context.decode(packet)
            texts = [text.strip() for level, _, text in logged if level <= self._av.logging.ERROR]
        except (self._av.FFmpegError, ValueError, MemoryError) as error:
            yield ERROR, index, 0, 0, 0, str(getattr(error, "strerror", None) or error).encode()[:300]
            return
        for frame in frames:
            if frame.is_corrupt:
                yield ERROR, frame.pts, 0, 0, 0, b"the picture is corrupt"
            else:
                yield self._picture(frame)
        if texts and packet is not None:
            yield ERROR, index, 0, 0, 0, texts[0].encode()[:300]

    def _picture(self, frame: Any) -> Any:
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        colours = _MATRICES.get(int(frame.colorspace), 0) + full
        if frame.format.name not in ("yuv420p", "yuvj420p"):
            frame = frame.reformat(
                format="yuvj420p" if full else "yuv420p",
                src_color_range=frame.color_range,
                dst_color_range=frame.color_range,
                src_colorspace=None,
                dst_colorspace=None,
            )
        width, height = frame.width, frame.height
        sides = ((width, height), *[((width + 1) // 2, (height + 1) // 2)] * 2)
        parts = [_tight(p, *s) for p, s in zip(frame.planes, sides, strict=True)]
        return PICTURE, frame.pts, width, height, colours, parts


def _tight(plane: Any, width: int, height: int) -> Any:
    """Return the rows of a plane without padding."""
    step, data = plane.line_size, memoryview(plane)
    if step == width:
        return data[: width * height]
    return b"".join(data[row * step : row * step + width] for row in range(height))


if __name__ == "__main__":
    main()
