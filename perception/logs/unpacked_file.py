"""Files that are compressed as a whole, decompressed into another file as far as a limit allows."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame  # type: ignore[import-untyped]
import zstandard

_PIECE = 1 << 12  # of zstd: a frame can unpack to many thousand times as much
_READ = 1 << 16
XZ_MEMORY = 256 << 20
"""Most bytes that the decoder of xz may hold: four times what its strongest preset needs."""

_MAGICS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
SUFFIXES = {"zstd": (".zst", ".zstd"), "gzip": (".gz",), "bzip2": (".bz2",), "xz": (".xz",), "lz4": (".lz4",)}
_ERRORS = (EOFError, OSError, zlib.error, lzma.LZMAError, RuntimeError, ValueError)


class UnpackedTooLarge(Exception):
    """A file decompresses to more than a limit."""


def compression_of(path: Path) -> str:
    """Return how a file is compressed as a whole, by its first bytes; else nothing. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((name for magic, name in _MAGICS.items() if start.startswith(magic)), "")


def plain_name(path: Path, compression: str) -> str:
    """Return the name of a file without the suffix of its compression."""
    name = path.name
    for suffix in SUFFIXES.get(compression, ()):
        name = name.removesuffix(suffix)
    return name


def unpack_file(path: Path, target: Path, most: int, compression: str = "") -> str:
    """Decompress a file into another; return why it is not whole, empty where it is.

    Args:
        path: The file.
        target: What to write.
        most: The most bytes to write.
        compression: As `compression_of` says it; empty: that is asked.

    Raises:
        OSError: The file cannot be read, or the other one not written.
        UnpackedTooLarge: There is more; so much has been written.
    """
    kind = compression or compression_of(path)
    with path.open("rb") as file, target.open("wb") as out:
        pieces = _READERS[kind](file) if kind in _READERS else _standard(file, kind)
        left = most
        while True:
            try:
                piece = next(pieces, b"")
            except (*_ERRORS, zstandard.ZstdError) as error:
                return _problem(error)
            out.write(piece[:left])
            left -= len(piece)
            if left < 0:
                raise UnpackedTooLarge
            if not piece:
                return ""


def _problem(error: Exception) -> str:
    if isinstance(error, EOFError) or "end-of-stream" in str(error) or "cut off" in str(error):
        return "the compressed file is cut off"
    if "Memory usage limit" in str(error):
        return f"it needs more than {XZ_MEMORY >> 20} MiB of memory to decompress"
    return f"it does not decompress to its end ({' '.join(str(error).split())[:120]})"


def _standard(file: BinaryIO, kind: str) -> Iterator[bytes]:
    openers: dict[str, Callable[[BinaryIO], Any]] = {
        "gzip": lambda raw: gzip.GzipFile(fileobj=raw),
        "bzip2": bz2.BZ2File,
        "lz4": lambda raw: lz4.frame.LZ4FrameFile(raw),
    }
    with openers[kind](file) as stream:
        while piece := stream.read1(_READ):
            yield piece


def _zstd(file: BinaryIO) -> Iterator[bytes]:
    decoder = zstandard.ZstdDecompressor().decompressobj()
    while piece := decoder.unused_data or file.read(_PIECE):
        if decoder.eof:  # another frame follows
            decoder = zstandard.ZstdDecompressor().decompressobj()
        if data := decoder.decompress(piece):
            yield data
    if not decoder.eof:
        raise EOFError


def _xz(file: BinaryIO) -> Iterator[bytes]:
    data = file.read(_READ)
    while data:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        while not decoder.eof:
            if decoder.needs_input and not (data := data or file.read(_READ)):
                raise EOFError
            if piece := decoder.decompress(data, _READ):
                yield piece
            data = b""
        data = decoder.unused_data.lstrip(b"\0")
        while not data and (more := file.read(_READ)):  # another stream may follow, after padding
            data = more.lstrip(b"\0")


_READERS: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {"zstd": _zstd, "xz": _xz}
