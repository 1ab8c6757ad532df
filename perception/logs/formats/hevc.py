"""The pictures of an HEVC elementary stream (ITU-T H.265, Annex B), found without decoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perception.logs.formats.folder_files import read_file
from perception.logs.formats.streams import Findings

_MOST_BYTES = 1 << 30
_LAST_SLICE, _PARAMETERS_AND_DELIMITERS, _PREFIX_SEI = 31, range(32, 36), 39


class AccessUnits:
    """The access units of a stream: one picture each, with the parameter sets before it."""

    def __init__(self, data: bytes, starts: list[int]) -> None:
        self._data, self._bounds = data, [*starts, len(data)]

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def read(self, index: int) -> bytes:
        """Return the bytes of one access unit."""
        return self._data[self._bounds[index] : self._bounds[index + 1]]


def access_units(path: Path, findings: Findings) -> AccessUnits:
    """Return the access units of a file; none where it cannot be read: that is damage.

    A unit begins at a delimiter, parameter set or prefix message that follows a slice, and at a slice that is
    the first of its picture (H.265, 7.4.2.4.4).
    """
    try:
        data = read_file(path, _MOST_BYTES)
    except (OSError, ValueError) as error:
        findings.miss(f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}")
        return AccessUnits(b"", [])
    starts: list[int] = []
    begin, has_slice = -1, False
    for at in _start_codes(data):
        kind = (data[at + 3] >> 1) & 0x3F
        is_slice = kind <= _LAST_SLICE
        first = is_slice and at + 5 < len(data) and bool(data[at + 5] & 0x80)
        opens = kind in _PARAMETERS_AND_DELIMITERS or kind == _PREFIX_SEI or first
        if opens and (has_slice or begin < 0):
            if has_slice:
                starts.append(begin)
            begin, has_slice = at - (at > 0 and data[at - 1] == 0), False
        has_slice = has_slice or (is_slice and begin >= 0)
    if has_slice:
        starts.append(begin)
    if not starts:
        findings.miss(f"{path.name} holds no picture of HEVC", len(data))
    elif starts[0] > 0:
        findings.miss(f"{path.name}: bytes before the first picture", starts[0])
    return AccessUnits(data, starts)


def _start_codes(data: bytes) -> list[int]:
    """Return where 00 00 01 stands with a byte behind it."""
    if len(data) < 4:
        return []
    raw = np.frombuffer(data, np.uint8)
    ones = np.flatnonzero(raw[2:-1] == 1)
    ones = ones[(raw[ones] == 0) & (raw[ones + 1] == 0)]
    places: list[int] = ones.tolist()
    return places
