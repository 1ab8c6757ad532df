"""Compressed messages of ROS 2 bags."""

from __future__ import annotations

import zstandard

from perception.logs.mcap.limits import chunk_limit
from perception.logs.message_table import Unreadable

ZSTD = b"\x28\xb5\x2f\xfd"


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
