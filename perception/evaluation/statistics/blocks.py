"""Blocks of frames, and their weights in the draws of a two-stage bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception.types import Float32

Int64 = NDArray[np.int64]

FEWEST_BLOCKS = 10
"""The minimum number of blocks for an interval."""
FEWEST_LOGS = 5
"""The minimum number of logs for draws of logs."""


class Blocks:
    """Blocks: time spans of equal length of every log that contain at least one frame.

    Args:
        stamps_ns: The stamps of the frames of each log, in any order; a log may have none.
        length_s: The length of a block.
    """

    def __init__(self, stamps_ns: Sequence[Int64], length_s: float) -> None:
        if not length_s > 0:
            raise ValueError(f"length_s: expected more than 0, found {length_s}")
        self.length_s = length_s
        self._length_ns = length_s * 1e9
        self._begins = [int(stamps.min()) if len(stamps) else 0 for stamps in stamps_ns]
        self._filled = [
            np.unique(self._places(log, np.asarray(stamps, dtype=np.int64)))
            for log, stamps in enumerate(stamps_ns)
        ]
        counts = [len(filled) for filled in self._filled]
        self._first = np.cumsum([0, *counts])
        self.log = np.repeat(np.arange(len(counts)), counts)

    def __len__(self) -> int:
        return len(self.log)

    @property
    def logs(self) -> int:
        """Return the number of logs with a block."""
        return len(np.unique(self.log))

    @property
    def why_not(self) -> str:
        """Return the reason why no interval can be computed; empty if one can."""
        if len(self) >= FEWEST_BLOCKS:
            return ""
        return f"{len(self)} blocks of {self.length_s:.3g} s; {FEWEST_BLOCKS} are needed"

    def of(self, log: int, stamps_ns: Int64) -> NDArray[np.intp]:
        """Return the block of each stamp of a log.

        Raises:
            ValueError: A stamp belongs to no frame.
        """
        places, filled = self._places(log, stamps_ns), self._filled[log]
        at = np.searchsorted(filled, places)
        if len(places) and not np.array_equal(filled[np.minimum(at, len(filled) - 1)], places):
            raise ValueError("expected stamps of frames that the blocks were made from, found another")
        return np.asarray(self._first[log] + at, np.intp)

    def _places(self, log: int, stamps_ns: Int64) -> Int64:
        places: Int64 = np.floor((stamps_ns - self._begins[log]) / self._length_ns).astype(np.int64)
        return places


class Draws:
    """Weights of blocks, a row for each draw.

    `blocks` [D, B]: within each log as many blocks as it has are drawn with replacement; every log is there
    once. `logs` [D, B], None with fewer than five logs: as many logs as there are, drawn with replacement,
    each with all its blocks. `BootstrapSpread` combines the two stages.
    """

    def __init__(self, blocks: Blocks, count: int = 1000, seed: int = 0) -> None:
        if count < 100:
            raise ValueError(f"count: expected 100 draws or more, found {count}")
        rng = np.random.default_rng(seed)
        self.count = count
        self.blocks: Float32 = np.zeros((count, len(blocks)), dtype=np.float32)
        present = np.unique(blocks.log)
        for log in present:
            own = np.flatnonzero(blocks.log == log)
            self.blocks[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=count)
        self.logs: Float32 | None = None
        if len(present) >= FEWEST_LOGS:
            often = rng.multinomial(len(present), np.full(len(present), 1 / len(present)), size=count)
            self.logs = often[:, np.searchsorted(present, blocks.log)].astype(np.float32)
