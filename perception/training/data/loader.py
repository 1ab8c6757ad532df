"""Batches prepared ahead of the model, by threads: reading, copying and OpenCV release the interpreter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perception.training.data.augmentation import Augmenter
from perception.training.data.dataset import Dataset, batches
from perception.training.data.training_sample import Batch, FeatureBatch, TrainingSample, collate

AHEAD = 3
"""Batches that wait for the model, for each thread."""


class Batches(Protocol):
    """Gives the batch of every step."""

    @property
    def dataset(self) -> Dataset:
        """What the places of a batch are places in."""

    def running(self, start: int) -> AbstractContextManager[Iterator[Batch | FeatureBatch]]:
        """Batches from step `start` on, without end."""


@dataclass(frozen=True, slots=True)
class Loader:
    """Gives the batch of every step from one on.

    Attributes:
        dataset: Where samples come from.
        augmenter: Changes them; None: as they are.
        batch: Samples of a step, over all processes.
        part: Which of them are this process's.
        seed: Of order and chance.
        threads: That prepare.
    """

    dataset: Dataset
    augmenter: Augmenter | None
    batch: int
    part: slice
    seed: int
    threads: int = 1

    @contextmanager
    def running(self, start: int) -> Iterator[Iterator[Batch]]:
        """Batches from step `start` on, without end; threads end with the context."""
        pool = ThreadPoolExecutor(self.threads, "perception-loader")
        try:
            yield self._ahead(pool, start)
        finally:
            pool.shutdown(cancel_futures=True)

    def prepared(self, step: int, indices: NDArray[np.intp]) -> Batch:
        """The batch of a step. What happens to a sample depends on seed, step and its place in the batch."""
        places = range(self.batch)[self.part]
        return collate([self.changed(int(indices[k]), step, k) for k in places])

    def _ahead(self, pool: ThreadPoolExecutor, start: int) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        steps = enumerate(batches(len(self.dataset), self.batch, self.seed, start), start)
        while True:
            for step, (_, indices) in islice(steps, AHEAD * self.threads - len(waiting)):
                waiting.append(pool.submit(self.prepared, step, indices))
            yield waiting.popleft().result()

    def changed(self, index: int, step: int, place: int) -> TrainingSample:
        """A sample as a step sees it at a place of its batch."""
        example = self.dataset[index]
        if self.augmenter is None:
            return example
        rng = np.random.default_rng([self.seed, step, place])

        def before() -> tuple[TrainingSample, float] | None:
            earlier = self.dataset.before(example)
            return None if earlier is None else (earlier, self.dataset.interval_s(example))

        return self.augmenter(example, rng, before)
