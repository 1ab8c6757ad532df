"""RVL: run lengths and variable-length differences of a depth image of 16 bits.

Source: A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017, listing 1. A number is a chain of
nibbles, the first of a word in its highest bits: three bits of value, the lowest first, and a bit that says
whether another nibble follows. The image is a sequence of: how many zeros, how many values, and for each
value its zigzag-coded difference from the one before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.logs.decoding.checks import DecodeError

_MOST_NIBBLES = 10  # of a number: 30 bits


def decode_rvl(data: bytes | memoryview, count: int) -> NDArray[np.uint16]:
    """Return the `count` values of a compressed depth image.

    Raises:
        DecodeError: The data end early, or say more than `count` values.
    """
    numbers = _numbers(data)
    differences = np.zeros(count, np.int32)
    measured = np.zeros(count, np.bool_)
    at = row = 0
    while at < count:
        if row + 2 > len(numbers):
            raise DecodeError(f"RVL data that end after {at} of {count} pixels")
        zeros, run = int(numbers[row]), int(numbers[row + 1])
        row, at = row + 2, at + zeros
        if at + run > count or row + run > len(numbers):
            raise DecodeError(f"RVL data that do not fit {count} pixels: a run of {run} at pixel {at}")
        coded = numbers[row : row + run]
        differences[at : at + run] = (coded >> 1) ^ -(coded & 1)
        measured[at : at + run] = True
        row, at = row + run, at + run
    values: NDArray[np.uint16] = np.where(measured, np.cumsum(differences, dtype=np.int32), 0).astype(
        np.uint16
    )
    return values


def _numbers(data: bytes | memoryview) -> NDArray[np.int64]:
    """Return the numbers of a stream of nibbles, in little-endian words; one that is cut is left out."""
    words = np.frombuffer(data, "<u4", len(data) // 4)
    nibbles = (words[:, None] >> np.arange(28, -4, -4, dtype=np.uint32)).astype(np.uint8).ravel() & 15
    ends = np.flatnonzero(nibbles < 8)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    if not len(ends):
        return np.zeros(0, np.int64)
    length = ends - starts + 1
    if length.max() > _MOST_NIBBLES:
        raise DecodeError(f"RVL data with a number of {length.max()} nibbles")
    place = np.arange(ends[-1] + 1) - np.repeat(starts, length)
    parts = (nibbles[: ends[-1] + 1] & 7).astype(np.int64) << (3 * place)
    return np.add.reduceat(parts, starts)
