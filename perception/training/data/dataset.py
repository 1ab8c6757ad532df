"""Samples of several cached logs as one sequence, and in which order training sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.training.data.sample_cache import CachedLog, CacheSpec, Progress, cached_log
from perception.training.data.training_sample import TrainingSample
from perception.training.train_config import DataConfig
from perception.types import Tick

MAX_GAP_NS = 500_000_000
"""Samples farther apart are not neighbours."""

PIECE = 50
"""How many neighbours stay together where only some of the samples are taken."""


class Dataset:
    """Samples of cached logs.

    Args:
        logs: Not empty.
        chosen: For each log, which of its samples.

    Attributes:
        logs: As given.
        places: Log and sample of it, for each of the samples in order.
    """

    def __init__(self, logs: Sequence[CachedLog], chosen: Sequence[NDArray[np.intp]]) -> None:
        self.logs = list(logs)
        self.places = [(which, int(i)) for which, rows in enumerate(chosen) for i in rows]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> TrainingSample:
        which, row = self.places[index]
        return self.logs[which].example(row, which)

    def before(self, example: TrainingSample) -> TrainingSample | None:
        """The sample before one in its log; None at the log's begin and after a gap."""
        which, row = example.place
        log = self.logs[which]
        if row == 0:
            return None
        stamps = log.column("stamp_ns")
        if not 0 < int(stamps[row]) - int(stamps[row - 1]) <= MAX_GAP_NS:
            return None
        return log.example(row - 1, which)

    def interval_s(self, example: TrainingSample) -> float:
        """Seconds since the sample before."""
        which, row = example.place
        stamps = self.logs[which].column("stamp_ns")
        return float(int(stamps[row]) - int(stamps[row - 1])) / 1e9

    def name(self, place: tuple[int, int]) -> str:
        """A place in words: `yard.mcap sample 17`."""
        return f"{self.logs[place[0]].log.name} sample {place[1]}"

    def some(self, most: int) -> Dataset:
        """At most so many of the samples, evenly spaced."""
        if len(self) <= most:
            return self
        kept = np.unique(np.linspace(0, len(self) - 1, most).round().astype(int))
        places = [self.places[i] for i in kept]
        rows = [np.array([i for w, i in places if w == which], int) for which in range(len(self.logs))]
        return Dataset(self.logs, rows)

    def pieces(self, most: int) -> Dataset:
        """At most so many of the samples, in evenly spaced pieces of up to `PIECE` neighbours."""
        count = most // PIECE
        if len(self) <= most or not count:
            return self.some(most)
        starts = np.linspace(0, len(self) - PIECE, count).round().astype(int)
        places = [self.places[i] for i in np.unique(starts[:, None] + np.arange(PIECE))]
        rows = [np.array([i for w, i in places if w == which], int) for which in range(len(self.logs))]
        return Dataset(self.logs, rows)

    def tick(self, example: TrainingSample) -> Tick:
        """When a sample was; its arrival is not known."""
        which, row = example.place
        stamp_ns = int(self.logs[which].column("stamp_ns")[row])
        return Tick(row, "reference", stamp_ns, stamp_ns)

    def knows(self) -> dict[str, int]:
        """How many samples have truth, for `boxes` and for each control channel."""
        found = {"boxes": 0}
        for which, row in self.places:
            log = self.logs[which]
            found["boxes"] += int(log.column("boxes_known")[row] > 0)
        return found | {"control": int(np.isfinite(self._column("control")).any(-1).sum())}

    def sources(self) -> list[dict[str, object]]:
        """What a checkpoint says it was trained on."""
        counts = np.bincount([w for w, _ in self.places], minlength=len(self.logs))
        return [
            {"log": log.log.name, "cache": log.folder.name, "samples": int(count)}
            for log, count in zip(self.logs, counts, strict=True)
            if count
        ]

    def _column(self, name: str) -> NDArray[np.float32]:
        return np.stack([np.asarray(self.logs[w].column(name)[i]) for w, i in self.places])


def open_dataset(
    logs: Sequence[Path], data: DataConfig, recipe: CacheSpec, cache: Path, progress: Progress | None = None
) -> Dataset:
    """The samples of these logs, decoded first where they are not yet.

    Raises:
        ConfigError: None of the samples is left by `data.stride`, `start_s` and `end_s`.
        LogError, OutputError: As `cached_log`.
    """
    opened = [cached_log(log, recipe, cache, progress) for log in logs]
    chosen = [_chosen(log, data) for log in opened]
    if not sum(len(rows) for rows in chosen):
        raise ConfigError(
            [f"data: start_s {data.start_s}, end_s {data.end_s} leave no sample of {len(logs)} logs"]
        )
    return Dataset(opened, chosen)


def batches(size: int, batch: int, seed: int, start: int = 0) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Epoch and indices of each step's batch, from step `start` on, without end.

    Each epoch is a permutation that depends on seed and epoch alone, so any step's batch is known without
    those before. A batch may span two epochs: no sample is left out, and all batches are of one size.
    """
    epoch, order = -1, np.empty(0, int)
    step = start
    while True:
        indices = np.empty(batch, int)
        for k in range(batch):
            position = step * batch + k
            if position // size != epoch:
                epoch = position // size
                order = np.random.default_rng([seed, epoch]).permutation(size)
            indices[k] = order[position % size]
        yield epoch, indices
        step += 1


def _chosen(log: CachedLog, data: DataConfig) -> NDArray[np.intp]:
    stamps = np.asarray(log.column("stamp_ns"))
    at_s = (stamps - stamps[0]) / 1e9
    kept = np.ones(len(log), bool)
    if data.start_s is not None:
        kept &= at_s >= data.start_s
    if data.end_s is not None:
        kept &= at_s < data.end_s
    rows: NDArray[np.intp] = np.flatnonzero(kept)[:: data.stride]
    return rows
