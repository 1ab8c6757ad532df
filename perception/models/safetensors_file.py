"""The file around a checkpoint: safetensors, validated when read and written atomically. No torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from perception import files
from perception.errors import CheckpointError
from perception.files import read_regular

MAX_HEADER = 8 << 20
MAX_FILE = 2 << 30


def read_whole(path: Path) -> bytes:
    """Return all bytes of a file that is not larger than a checkpoint may be.

    Raises:
        CheckpointError: It cannot be read, or is too large.
    """
    try:
        return read_regular(path, MAX_FILE)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def read_header(data: bytes, path: str) -> dict[str, Any]:
    """Return the JSON header of safetensors, checked against the size of the file.

    Raises:
        CheckpointError: The bytes are something else, or cut short.
    """
    if len(data) < 8:
        raise CheckpointError(f"{path}: expected a safetensors file, found {len(data)} bytes")
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER or data[8:9] != b"{":
        raise CheckpointError(f"{path}: expected a safetensors file, found something else")
    if length > len(data) - 8:
        raise CheckpointError(
            f"{path} is cut short: expected a header of {length} bytes, found {len(data) - 8}; copy it again"
        )
    header = parse_json(data[8 : 8 + length], f"{path}: header")
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: expected a safetensors header, found {type(header).__name__}")
    try:
        end = max((t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"), default=0)
        short = end - (len(data) - 8 - length)
    except (TypeError, KeyError, IndexError):
        raise CheckpointError(f"{path}: its list of tensors is damaged; copy the file again") from None
    if short > 0:
        raise CheckpointError(f"{path} is cut short: {short} bytes are missing at its end; copy it again")
    return header


def parse_json(text: object, what: str) -> Any:
    """Parse untrusted JSON; `what` names it in the error.

    Raises:
        CheckpointError: It is not JSON.
    """
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError):
        raise CheckpointError(f"{what}: expected JSON, found {text!r:.60}; the file is damaged") from None


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file atomically; see `perception.files.write_whole`.

    Raises:
        CheckpointError: It cannot be written; the previous file is unchanged.
    """
    try:
        files.write_whole(Path(path), data)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {files.write_problem(Path(path), error)}") from None
