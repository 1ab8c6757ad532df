"""Arrays in numpy's .npy format, never unpickled, whatever their file is called."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.logs.formats.folder_files import read_file
from perception.logs.formats.streams import Findings

_MAGIC = b"\x93NUMPY"
_MOST_DIMENSIONS = 4
_HEADER_BYTES = 10_000


def load_array(path: Path, findings: Findings, kinds: str = "fiub") -> NDArray[Any] | None:
    """Return an array of numbers of one to four dimensions; None where it cannot be read: that is damage.

    A file that is cut off gives its whole rows.

    Args:
        kinds: The numpy kinds that are taken; `S` for bytes.
    """
    name = "/".join(path.parts[-2:])
    try:
        data = read_file(path)
        shape, by_columns, dtype, start = _header(data)
    except FileNotFoundError:
        findings.miss(f"{name} is missing")
        return None
    except (OSError, ValueError) as error:
        findings.miss(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")
        return None
    if dtype.kind not in kinds or not 1 <= len(shape) <= _MOST_DIMENSIONS:
        findings.miss(f"{name}: expected numbers in rows, found {dtype} {list(shape)[:8]}", len(data))
        return None
    width = int(np.prod(shape[1:], dtype=object))
    held = min(shape[0], (len(data) - start) // (width * dtype.itemsize)) if width else 0
    rows = held if not by_columns or held == shape[0] else 0  # cut by columns, no row is whole
    if rows < shape[0]:
        findings.miss(f"{name} is cut off after {rows} of {shape[0]} rows")
    array = np.frombuffer(data, dtype, rows * width, start)
    return array.reshape(rows, *shape[1:], order="F" if by_columns else "C")


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return the shape, whether it is stored by columns, the type, and where the numbers start.

    Raises:
        ValueError: It is no array, or one of objects.
    """
    if not data.startswith(_MAGIC):
        raise ValueError(f"expected an array of numpy, found bytes {data[:6].hex(' ') or 'none'}")
    file = io.BytesIO(data[: _HEADER_BYTES + 12])
    try:
        version = np.lib.format.read_magic(file)
        is_first = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of Python 2 are sound
            shape, by_columns, dtype = read(file, max_header_size=_HEADER_BYTES)
    except Exception as error:  # a damaged header brings errors of Python's own parser out of numpy
        raise ValueError(f"its header is damaged ({type(error).__name__})") from None
    if dtype.hasobject or dtype.itemsize < 1 or any(size < 0 for size in shape):
        raise ValueError(f"an array of {dtype}: objects are never unpickled")
    return shape, by_columns, dtype, file.tell()
