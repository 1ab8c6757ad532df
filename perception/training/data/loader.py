"""Loading batches ahead of the model, in threads: reading and OpenCV release the interpreter lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perception.training.data.augmentation import Augmenter
from perception.training.data.dataset import Dataset, batch_indices
from perception.training.data.object_pasting import (
    MOST,
    PHOTOGRAPHED,
    RENDERED,
    Cutting,
    Piece,
    cut_out,
    varied,
    with_objects,
)
from perception.training.data.picture_mixing import as_picture, is_picture, mixed_picture
from perception.training.data.training_sample import Batch, FeatureBatch, TrainingSample, collate

AHEAD = 3
"""Batches that wait for the model, for each thread."""


class BatchSource(Protocol):
    """Gives the batch of every step."""

    @property
    def dataset(self) -> Dataset:
        """The data set that the ids of a batch refer to."""

    def running(self, start: int) -> AbstractContextManager[Iterator[Batch | FeatureBatch]]:
        """Yield batches from step `start` on, without end."""


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads and augments the batch of every step.

    Attributes:
        dataset: The samples.
        augmenter: Changes them; None: they stay as they are.
        batch: Samples of a step, over all processes.
        shard: The slice of the batch that this process loads.
        seed: Of order and augmentation.
        threads: Number of threads that prepare batches.
        rendered: Rendered objects, to be pasted into pictures.
        silhouettes: Objects of the pictures with their outlines, likewise: of each class that has any.
    """

    dataset: Dataset
    augmenter: Augmenter | None
    batch: int
    shard: slice
    seed: int
    threads: int = 1
    rendered: Sequence[Cutting] = ()
    silhouettes: Sequence[Sequence[Cutting]] = ()

    @contextmanager
    def running(self, start: int) -> Iterator[Iterator[Batch]]:
        """Yield batches from step `start` on, without end; the threads end with the context."""
        pool = ThreadPoolExecutor(self.threads, "perception-loader")
        try:
            yield self._ahead(pool, start)
        finally:
            pool.shutdown(cancel_futures=True)

    def prepared(self, step: int, indices: NDArray[np.intp]) -> Batch:
        """Return this process's shard of a step's batch."""
        return collate([self.augmented(int(indices[k]), step, k) for k in range(self.batch)[self.shard]])

    def augmented(self, index: int, step: int, position: int) -> TrainingSample:
        """Return a sample as a step sees it at a position of its batch.

        Its augmentation depends on seed, step and position alone.
        """
        sample = self.dataset[index]
        if self.augmenter is None:
            return sample
        # With numbers of its own: what other samples see does not depend on the changes of pictures.
        changes = np.random.default_rng([self.seed, step, position, 1])
        if is_picture(sample):
            sample = self._mixed(sample, changes, self.dataset.pictures)
        elif changes.random() < self.augmenter.config.pictures.drives:
            sample = as_picture(sample)
            if is_picture(sample):
                sample = self._mixed(sample, changes, np.arange(len(self.dataset)))
        rng = np.random.default_rng([self.seed, step, position])

        def before() -> tuple[TrainingSample, float] | None:
            earlier = self.dataset.before(sample)
            return None if earlier is None else (earlier, self.dataset.interval_s(sample))

        return self.augmenter(sample, rng, before)

    def _mixed(
        self, sample: TrainingSample, rng: np.random.Generator, others: NDArray[np.intp]
    ) -> TrainingSample:
        """Return a picture, possibly in a mosaic with some of `others`, zoomed, and with objects of other
        samples in it."""
        assert self.augmenter is not None
        config, dataset = self.augmenter.config.pictures, self.dataset

        def another(source: np.random.Generator) -> TrainingSample:
            picture = as_picture(dataset[int(source.choice(others))])
            return picture if is_picture(picture) else sample

        sample = mixed_picture(sample, config, rng, another)
        if rng.random() < config.paste:
            pieces = [self._piece(rng) for _ in range(rng.integers(1, MOST + 1))]
            sample = with_objects(sample, [piece for piece in pieces if piece is not None], rng)
        return sample

    def _piece(self, rng: np.random.Generator) -> Piece | None:
        """Return an object to paste: rendered, with its outline, or of another sample."""
        assert self.augmenter is not None
        config, draw = self.augmenter.config.pictures, rng.random()
        if self.rendered and draw < config.rendered:
            return varied(self.rendered[int(rng.integers(len(self.rendered)))], RENDERED, rng)
        if self.silhouettes and draw < config.rendered + config.silhouettes:
            same = self.silhouettes[int(rng.integers(len(self.silhouettes)))]
            return varied(same[int(rng.integers(len(same)))], PHOTOGRAPHED, rng)
        return cut_out(self.dataset[int(rng.integers(len(self.dataset)))], rng)

    def _ahead(self, pool: ThreadPoolExecutor, start: int) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        steps = enumerate(batch_indices(len(self.dataset), self.batch, self.seed, start), start)
        while True:
            for step, indices in islice(steps, AHEAD * self.threads - len(waiting)):
                waiting.append(pool.submit(self.prepared, step, indices))
            yield waiting.popleft().result()
