"""Compressed messages and files of ROS 2 bags."""

from __future__ import annotations

from pathlib import Path

import zstandard

from perception.logs.mcap.limits import CHUNK_BYTES, LOG_RATIO, chunk_limit
from perception.logs.message_table import Unreadable

ZSTD = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 12  # a frame can unpack to many thousand times as much


def zstd_message(data: bytes, encoding: str) -> bytes:
    """Return a message without its compression. Plain CDR starts with a zero, so the two differ.

    Raises:
        Unreadable: It does not decompress.
    """
    if encoding != "cdr" or not data.startswith(ZSTD):
        return data
    limit = chunk_limit(len(data))
    try:
        size = zstandard.frame_content_size(data)
        if size > limit:
            raise Unreadable("a message decompresses to more than the limit (docs/limits.md)")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit if size < 0 else 0)
    except zstandard.ZstdError as error:
        raise Unreadable(f"a message does not decompress ({error})") from None


def is_zstd(path: Path) -> bool:
    """Return whether a file is compressed as a whole. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(ZSTD)) == ZSTD


def unpack_file(path: Path, folder: Path) -> tuple[Path, str]:
    """Decompress a file into a folder; return its path there, and why it is not whole, if it is not.

    Raises:
        OSError: It cannot be read or written.
    """
    target = folder / path.name.removesuffix(".zstd").removesuffix(".zst")
    left = CHUNK_BYTES + LOG_RATIO * path.stat().st_size
    with path.open("rb") as file, target.open("wb") as out:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        try:
            while piece := decompressor.unused_data or file.read(_PIECE):
                if decompressor.eof:  # another frame follows
                    decompressor = zstandard.ZstdDecompressor().decompressobj()
                data = decompressor.decompress(piece)
                left -= len(data)
                if left < 0:
                    return target, "it decompresses to more than the limit (docs/limits.md)"
                out.write(data)
        except zstandard.ZstdError as error:
            return target, f"it does not decompress to its end ({error})"
    return target, "" if decompressor.eof else "the compressed file is cut off"
