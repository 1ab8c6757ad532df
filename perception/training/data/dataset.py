"""Data sets: samples of several cached logs as one sequence, and the order in which training sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.text import plural
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.cache_writer import Progress
from perception.training.data.sample_cache import CachedLog, cached_log
from perception.training.data.training_sample import SampleId, TrainingSample
from perception.training.train_config import DataConfig
from perception.types import Tick

T = TypeVar("T")

MAX_GAP_NS = 500_000_000
"""Samples farther apart are not neighbours."""

PIECE = 50
"""Neighbours that stay together where only some of the samples are taken."""


class Dataset:
    """Samples of cached logs.

    Args:
        logs: Not empty.
        chosen: For each log, the rows of its cache that are used.
        complete: For each log, [C], whether every object of a class has a box; None: of every class.

    Attributes:
        logs: The logs.
        ids: One for each sample, in order.
    """

    def __init__(
        self,
        logs: Sequence[CachedLog],
        chosen: Sequence[NDArray[np.intp]],
        complete: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        self.logs, self.complete = list(logs), complete
        self.ids = [SampleId(log, int(row)) for log, rows in enumerate(chosen) for row in rows]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> TrainingSample:
        log, row = self.ids[index]
        sample = self.logs[log].sample(row, log)
        if self.complete is None:
            return sample
        return sample._replace(truth=sample.truth._replace(complete=self.complete[log].copy()))

    def before(self, sample: TrainingSample) -> TrainingSample | None:
        """Return the sample of the same camera before one; None at the log's start and after a gap."""
        log, row = sample.id
        rows = self.logs[log].rows_per_tick
        if row < rows or not 0 < self.interval_s(sample) <= MAX_GAP_NS / 1e9:
            return None
        return self.logs[log].sample(row - rows, log)

    def interval_s(self, sample: TrainingSample) -> float:
        """Return the seconds since the sample before."""
        log, row = sample.id
        stamps = self.logs[log].column("stamp_ns")
        return float(int(stamps[row]) - int(stamps[row - self.logs[log].rows_per_tick])) / 1e9

    def name(self, sample: SampleId) -> str:
        """Return a sample's name for texts: `yard.mcap sample 17`."""
        return f"{self.logs[sample.log].log.name} sample {sample.row}"

    def some(self, most: int) -> Dataset:
        """Return at most so many of the samples, evenly spaced; of a tick of several cameras all, or none.

        Evenly spaced rows would be of one camera for a long time, and then of the next one.
        """
        if len(self) <= most:
            return self
        begins = self._ticks()
        sizes = np.diff(begins, append=len(self))
        count = max(most * len(begins) // len(self), 1)
        while True:  # logs of one camera and of several may lie beside each other
            chosen = np.unique(np.linspace(0, len(begins) - 1, count).round().astype(int))
            if count == 1 or (total := int(sizes[chosen].sum())) <= most:
                break
            count = max(min(count - 1, count * most // total), 1)
        rows = [np.arange(begins[tick], begins[tick] + sizes[tick]) for tick in chosen]
        return self._subset(np.concatenate(rows)[:most])

    def pieces(self, most: int) -> Dataset:
        """Return at most so many of the samples, in evenly spaced pieces of up to `PIECE` neighbours."""
        count = most // PIECE
        if len(self) <= most or not count:
            return self.some(most)
        starts = np.linspace(0, len(self) - PIECE, count).round().astype(int)
        return self._subset(np.unique(starts[:, None] + np.arange(PIECE)))

    def by_camera(self) -> list[int]:
        """Return the places of all samples, those of each camera of a log one after the other."""
        keys = [(log, row % self.logs[log].rows_per_tick, row) for log, row in self.ids]
        return sorted(range(len(self)), key=keys.__getitem__)

    def tick(self, sample: TrainingSample) -> Tick:
        """Return the tick of a sample; its arrival time is not known."""
        stamp_ns = int(self.logs[sample.id.log].column("stamp_ns")[sample.id.row])
        return Tick(sample.id.row, "reference", stamp_ns, stamp_ns)

    @cached_property
    def pictures(self) -> NDArray[np.intp]:
        """Return the indices of the samples that have an image and no other sensor."""
        present = np.stack([np.asarray(self.logs[log].column("present")[row]) for log, row in self.ids])
        return np.flatnonzero((present[:, 0] > 0) & ~present[:, 1:].any(1))

    def repeated(self, rules: Mapping[str, int]) -> Dataset:
        """Return the samples, those of a log whose name fits a pattern of `rules` as often as it says."""
        times = [first_fitting(rules, log.log.name, 1) for log in self.logs]
        return self._subset(np.repeat(np.arange(len(self)), [times[sample.log] for sample in self.ids]))

    def truth_counts(self) -> dict[str, int]:
        """Return the number of samples that have truth of `boxes` and of `control`."""
        boxes = sum(int(self.logs[log].column("boxes_known")[row] > 0) for log, row in self.ids)
        control = np.stack([np.asarray(self.logs[log].column("control")[row]) for log, row in self.ids])
        return {"boxes": boxes, "control": int(np.isfinite(control).any(-1).sum())}

    def trained_on(self) -> list[dict[str, object]]:
        """Return each log with its cache and number of samples, as a checkpoint records them."""
        counts = np.bincount([sample.log for sample in set(self.ids)], minlength=len(self.logs))
        return [
            {"log": log.log.name, "cache": log.folder.name, "samples": int(count)}
            for log, count in zip(self.logs, counts, strict=True)
            if count
        ]

    def _ticks(self) -> NDArray[np.intp]:
        """Return the place of the first sample of each tick; of one camera, of each sample."""
        keys = [(log, row // self.logs[log].rows_per_tick) for log, row in self.ids]
        alone = [self.logs[log].rows_per_tick == 1 for log, _ in self.ids]
        new = [k for k in range(len(keys)) if k == 0 or alone[k] or keys[k] != keys[k - 1]]
        return np.array(new, np.intp)

    def _subset(self, indices: NDArray[np.intp]) -> Dataset:
        subset = Dataset(self.logs, [], self.complete)
        subset.ids = [self.ids[i] for i in indices]
        return subset


Part = Literal["all", "first", "last"]
"""All samples of a log, or those before or after the time from which `data.validate_last` holds them out."""


def open_dataset(
    logs: Sequence[Path],
    data: DataConfig,
    spec: CacheSpec,
    cache: Path,
    progress: Progress | None = None,
    part: Part = "all",
) -> Dataset:
    """Return the samples of these logs; logs without a cache are decoded first.

    Raises:
        ConfigError: `data.stride`, `start_s`, `end_s` and `validate_last` leave none of the samples.
        LogError, OutputError: As `cached_log`.
    """
    opened = [cached_log(log, spec, cache, progress) for log in logs]
    chosen = [_chosen(log, data, part) for log in opened]
    if not sum(len(rows) for rows in chosen):
        raise ConfigError([_none_left(opened, data, part)])
    complete = [complete_classes(log.log, data, spec.model.classes).astype(np.float32) for log in opened]
    return Dataset(opened, chosen, complete)


def _none_left(logs: Sequence[CachedLog], data: DataConfig, part: Part) -> str:
    held = sum(map(len, logs))
    given = {"data.start_s": data.start_s, "data.end_s": data.end_s}
    if part != "all":
        given["data.validate_last"] = data.validate_last
    cuts = [f"{name} {value:g}" for name, value in given.items() if value is not None]
    purpose = "validate on" if part == "last" else "learn from"
    left = f", none of them with {' and '.join(cuts)}" if held and cuts else ""
    return (
        f"data: expected samples to {purpose}, found {held} in {plural(len(logs), 'log')}{left}; "
        "give longer logs, or another part of them"
    )


def batch_indices(size: int, batch: int, seed: int, start: int = 0) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of each step's batch, from step `start` on, without end.

    Each epoch is a permutation that depends on seed and epoch alone, so any step's batch is known without
    those before. A batch may span two epochs: no sample is left out, and all batches are of one size.

    Args:
        size: Samples of the data set.
        batch: Samples of a batch.
        seed: Of the permutations.
        start: The first step.
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
        yield indices
        step += 1


def held_out_from_ns(log: CachedLog, data: DataConfig) -> int | None:
    """Return the time of arrival from which the samples of a log are held out to validate on."""
    if data.validate_last is None:
        return None
    arrival_ns = np.asarray(log.column("log_time_ns"))[_chosen(log, data, "all")]
    if not len(arrival_ns):
        return None
    return int(arrival_ns[0] + (1 - data.validate_last) * float(arrival_ns[-1] - arrival_ns[0]))


def first_fitting(rules: Mapping[str, T], name: str, default: T) -> T:
    """Return the value of the first pattern that fits the name of a log."""
    return next((value for pattern, value in rules.items() if fnmatch(name, pattern)), default)


def complete_classes(log: Path, data: DataConfig, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Return [C]: whether every object of a class has a box in a log."""
    return np.isin(classes, first_fitting(data.complete_classes, log.name, classes))


def _chosen(log: CachedLog, data: DataConfig, part: Part) -> NDArray[np.intp]:
    arrival_ns = np.asarray(log.column("log_time_ns"))
    at_s = (arrival_ns - log.about["start_ns"]) / 1e9
    kept = np.ones(len(log), bool)
    if data.start_s is not None:
        kept &= at_s >= data.start_s
    if data.end_s is not None:
        kept &= at_s < data.end_s
    cut_ns = None if part == "all" else held_out_from_ns(log, data)
    if cut_ns is not None:
        kept &= (arrival_ns < cut_ns) == (part == "first")
    rows = np.flatnonzero(kept)
    ticks = np.unique(rows // log.rows_per_tick, return_inverse=True)[1]  # all cameras of a tick, or none
    chosen: NDArray[np.intp] = rows[ticks % data.stride == 0]
    return chosen
