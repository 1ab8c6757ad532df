"""Lines of text files, compressed or not, in whatever encoding, within limits."""

from __future__ import annotations

import bz2
import codecs
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from perception.logs.formats.folder_files import read_file, read_start
from perception.logs.formats.streams import Findings

_LEAST_BYTES, _RATIO = 32 << 20, 32
"""A compressed text unpacks to as much, plus as many times its size; text of numbers to ten times."""
_LINES, _BYTES_PER_LINE = 50_000, 8
"""A text has as many lines, plus one for as many bytes of its file."""
_PIECE = 1 << 16
_BZIP2_BLOCK = 1_000_000
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def text_start(path: Path, length: int = 4096) -> bytes:
    """Return the first bytes of a text file, unpacked; empty where it holds none or cannot be read."""
    start = read_start(path, length)
    if start.startswith(b"BZh"):
        start = read_start(path, _BZIP2_BLOCK)  # nothing unpacks before a block is whole
    return plain(_unpack(start, length)[0])[:length]


def text_lines(path: Path, findings: Findings) -> list[bytes]:
    """Return the lines of a text file without their ends; what cannot be unpacked or is too much is damage.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no regular file, or too large.
    """
    data = read_file(path)
    findings.size_bytes += len(data)
    text, problem = _unpack(data, _LEAST_BYTES + _RATIO * len(data))
    if problem:
        findings.miss(f"{path.name}: {problem}")
    text = plain(text)
    if zeros := text.count(b"\0"):
        findings.miss(
            f"{path.name}: {zeros} bytes of zero, as a disk leaves them that was not written", zeros
        )
        text = re.sub(b"\0+", b"\n", text)  # what stands before and behind them is not one line
    if text and not text.endswith((b"\n", b"\r")):
        findings.notes.append(f"{path.name}: the last line has no end; it may be cut off")
    lines = text.splitlines()
    most = _LINES + len(data) // _BYTES_PER_LINE
    if len(lines) > most:
        findings.miss(f"{path.name} holds more lines than the limit (docs/limits.md) of {most}")
    return lines[:most]


def plain(text: bytes) -> bytes:
    """Return a text as UTF-8 without a mark at its start; text of one byte a letter stays as it is."""
    if text.startswith(_UTF16):
        return text.decode("utf-16", "replace").encode()
    return text.removeprefix(codecs.BOM_UTF8)


def _unpack(data: bytes, limit: int) -> tuple[bytes, str]:
    """Return the unpacked text, up to a limit, and why it is not whole, if it is not."""
    if data.startswith(b"\x1f\x8b"):
        source = _gzip_pieces(data)
    elif data.startswith(b"BZh"):
        source = _bzip2_pieces(data)
    else:
        return data, ""
    pieces: list[bytes] = []
    try:
        for piece in source:
            pieces.append(piece)
            limit -= len(piece)
            if limit <= 0:
                return b"".join(pieces), "it unpacks to more than the limit (docs/limits.md)"
    except (OSError, ValueError, EOFError, zlib.error) as error:
        return b"".join(pieces), f"it does not unpack to its end ({error})"
    return b"".join(pieces), ""


def _gzip_pieces(data: bytes) -> Iterator[bytes]:
    while data:
        state = zlib.decompressobj(31)
        while not state.eof:
            piece = state.decompress(data, _PIECE)
            data = state.unused_data if state.eof else state.unconsumed_tail
            if not piece and not state.eof:
                raise EOFError("cut off")
            yield piece
        data = data.lstrip(b"\0")  # tapes and some tools fill files up


def _bzip2_pieces(data: bytes) -> Iterator[bytes]:
    while data:
        state = bz2.BZ2Decompressor()
        while not state.eof:
            yield state.decompress(data, _PIECE)
            data = state.unused_data
            if not state.eof and state.needs_input:
                raise EOFError("cut off")
