"""Decompression of chunks that may be damaged or hostile: never more than a chunk claims."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from perception.logs.mcap.records import Malformed

_PIECE = 1 << 17


class Broken(Malformed):
    """A block that cannot be trusted; `data` is as much as decompressed, for counting headers."""

    def __init__(self, reason: str, data: bytes = b"") -> None:
        super().__init__(reason)
        self.data = data


class Oversized(Broken):
    """The data of a chunk is more than the chunk claims, or it claims more than a limit."""


def decompress(compression: str, payload: memoryview, size: int) -> bytes:
    """Return all of a chunk's data; never more than `size` bytes, whatever the compressed bytes say.

    Raises:
        Oversized: it decompresses to more than `size` bytes.
        Broken: it does not decompress, or the compression is unknown.
    """
    try:
        if compression == "zstd":
            return _decompress_zstd(payload, size)
        if compression == "lz4":
            decoder = lz4.frame.LZ4FrameDecompressor()
            data: bytes = decoder.decompress(payload, max_length=size + 1)
            if len(data) > size:
                raise Oversized("the chunk decompresses to more than it claims")
            return data
    except (zstandard.ZstdError, RuntimeError, EOFError, MemoryError) as error:
        head = decompress_head(compression, payload, size)
        raise Broken(f"the chunk does not decompress ({' '.join(str(error).split())})", head) from error
    raise Broken(f"the compression {compression[:20]!r} is not known; zstd, lz4 and none are")


def _decompress_zstd(payload: memoryview, size: int) -> bytes:
    claimed = zstandard.frame_content_size(payload)
    if claimed > size:
        raise Oversized("the chunk decompresses to more than it claims")
    if claimed == size and size:
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=size)
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(payload), read_across_frames=True) as stream:
        data: bytes = stream.read(size + 1)
    if len(data) > size:
        raise Oversized("the chunk decompresses to more than it claims")
    return data


def decompress_head(compression: str, payload: memoryview, size: int) -> bytes:
    """Return as much of a cut chunk as decompresses, at most `size` bytes."""
    return b"".join(_pieces(compression, payload, size))


def measure(compression: str, payload: memoryview, limit: int) -> tuple[int, int]:
    """Return size and CRC of a chunk's data, up to `limit` bytes of it, without keeping it."""
    size = crc = 0
    for piece in _pieces(compression, payload, limit):
        size += len(piece)
        crc = zlib.crc32(piece, crc)
    return size, crc


def _pieces(compression: str, payload: memoryview, size: int) -> Iterator[bytes]:
    """Yield what decompresses, up to an error, at most `size` bytes."""
    left = size
    try:
        if compression == "zstd":
            with zstandard.ZstdDecompressor().stream_reader(
                io.BytesIO(payload), read_across_frames=True
            ) as stream:
                while left > 0 and (piece := stream.read(min(_PIECE, left))):
                    yield piece
                    left -= len(piece)
        elif compression == "lz4":
            decoder = lz4.frame.LZ4FrameDecompressor()
            piece = decoder.decompress(payload, max_length=min(_PIECE, left))
            while piece and left > 0:
                yield piece
                left -= len(piece)
                if decoder.needs_input or decoder.eof or left <= 0:
                    break
                piece = decoder.decompress(b"", max_length=min(_PIECE, left))
    except (zstandard.ZstdError, RuntimeError, EOFError, MemoryError):
        return  # what was decompressed before the cut stays
