"""Status windows with the channels and steps of a model."""

from __future__ import annotations

import numpy as np

from perception.models.preprocess.spec import InputSpec
from perception.types import Float32, StatusWindow


def status_array(window: StatusWindow, spec: InputSpec) -> Float32:
    """Return a window as [T, S], channels by name in the order of the spec, oldest step first.

    Unknown values, channels and steps are NaN: a shorter window lacks its oldest steps; of a longer one the
    newest T are taken. Infinite values count as unknown.
    """
    steps = min(len(window.values), spec.status_steps)
    array = np.full((spec.status_steps, len(spec.status)), np.nan, dtype=np.float32)
    newest = window.values[len(window.values) - steps :]
    with np.errstate(over="ignore"):  # what float32 cannot hold counts as infinite
        for column, name in enumerate(spec.status):
            if name in window.names:
                array[spec.status_steps - steps :, column] = newest[:, window.names.index(name)]
    array[~np.isfinite(array)] = np.nan
    return array
