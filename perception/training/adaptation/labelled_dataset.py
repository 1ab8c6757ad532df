"""Samples with other truth than their logs', and which of them are neighbours in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.training.data.dataset import MAX_GAP_NS, Dataset
from perception.training.data.training_sample import SampleId, SampleTruth, TrainingSample


class LabelledDataset(Dataset):
    """The samples of a data set with the labels that are given; the truth in the logs is not used.

    Args:
        dataset: The samples.
        labels: Of each of them.
    """

    def __init__(self, dataset: Dataset, labels: Mapping[SampleId, SampleTruth]) -> None:
        super().__init__(dataset.logs, [])
        self.ids, self.labels = list(dataset.ids), labels

    def __getitem__(self, index: int) -> TrainingSample:
        sample = super().__getitem__(index)
        given = self.labels[sample.id]
        truth = SampleTruth._make(np.array(array) for array in given)  # augmentation may write into them
        return sample._replace(truth=truth._replace(extra=np.full_like(sample.truth.extra, np.nan)))

    def truth_counts(self) -> dict[str, int]:
        """Return the number of samples that have labels of `boxes` and of `control`."""
        truths = [self.labels[sample] for sample in self.ids]
        return {
            "boxes": sum(int(truth.boxes_known > 0) for truth in truths),
            "control": sum(int(np.isfinite(truth.control).any()) for truth in truths),
        }

    def _subset(self, indices: NDArray[np.intp]) -> Dataset:
        return LabelledDataset(super()._subset(indices), self.labels)


def neighbours_of(dataset: Dataset) -> list[list[int]]:
    """Return for each sample the places of those of the same camera just before and just after it."""
    places = {sample: place for place, sample in enumerate(dataset.ids)}
    stamps: dict[int, Any] = {log: data.column("stamp_ns") for log, data in enumerate(dataset.logs)}
    found = []
    for log, row in dataset.ids:
        step = dataset.logs[log].rows_per_tick
        near = [
            places.get(SampleId(log, other))
            for other in (row - step, row + step)
            if 0 <= other < len(stamps[log])
            and 0 < abs(int(stamps[log][other]) - int(stamps[log][row])) <= MAX_GAP_NS
        ]
        found.append([place for place in near if place is not None])
    return found
