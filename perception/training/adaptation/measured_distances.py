"""Distances of boxes by the returns inside them: all returns of the log, not those that a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from perception.logs import open_log
from perception.models.placed_returns import placed_returns
from perception.models.returns_distance import Distances, sure_distances
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.cache_writer import samples_with_truth
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import SampleId
from perception.types import Float64, views_of


def measured_distances(
    dataset: Dataset,
    spec: CacheSpec,
    boxes: Mapping[SampleId, Float64],
    labels: Mapping[SampleId, Sequence[str]],
) -> dict[SampleId, Distances]:
    """Return the distances of the boxes of each sample; NaN where no returns say them.

    Args:
        dataset: Its logs are read once, without decoding pictures.
        spec: How they are read.
        boxes: [K, 4] `xyxy` in recorded pixels, for some samples.
        labels: [K] the class names of the same.
    """
    found: dict[SampleId, Distances] = {}
    for number, cached in enumerate(dataset.logs):
        wanted = {sample.row for sample in boxes if sample.log == number}
        if not wanted or not np.asarray(cached.column("present"))[sorted(wanted), 1].any():
            continue
        with open_log(cached.log) as log:
            row = 0
            for sample, _ in samples_with_truth(log, spec.config_for(log)):
                for view in views_of(sample):
                    here = SampleId(number, row)
                    returns = placed_returns(view, np.inf) if row in wanted else None
                    if returns is not None:
                        found[here] = sure_distances(returns, boxes[here], labels[here])
                    row += 1
    return found
