"""What the numbers of a training set look like: measured once, kept in the checkpoint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.models.config import ModelConfig
from perception.models.stats import ChannelStats, InputStats, default_stats
from perception.models.tensors import RETURN_CHANNELS
from perception.training.data.dataset import Dataset

_LEAST = 1e-3
"""A channel that hardly changes is not blown up to unit variance."""

_LEAST_OF = {"curvature": 1e-3, "acceleration": 0.05, "image": 10.0, "returns": 0.05, "log_distance": 0.1}


def measure_stats(dataset: Dataset, model: ModelConfig) -> InputStats:
    """Mean, standard deviation and extremes of every channel over the samples of a data set.

    What nothing is known of keeps its default: a sensor that is absent throughout, truth that is not there.
    Pixels are taken from every eighth row and column. Extremes are those of values, and warn of inputs
    unlike those of training.
    """
    default = default_stats(model)
    images, returns, status, distances, controls = [], [], [], [], []
    for index in range(len(dataset)):
        (image, rows, valid, window, present, _), truth, _ = dataset[index]
        if present[0]:
            images.append(image[:, ::8, ::8].reshape(3, -1))
        if present[1]:
            returns.append(rows[valid > 0])
        if present[2]:
            status.append(window)
        distances.append(truth.distance_m)
        controls.append(truth.control)
    distance = np.concatenate(distances)
    distance = np.log(distance[np.isfinite(distance) & (distance > 0)])
    control = np.array(controls)
    return InputStats(
        image=_group(default.image, np.concatenate(images, 1) if images else None, _LEAST_OF["image"]),
        returns=_returns(default, np.concatenate(returns) if returns else None),
        status=_group(default.status, np.concatenate(status).T if status else None),
        control=_group(default.control, control.T),
        log_distance=_group(default.log_distance, distance[None], _LEAST_OF["log_distance"]),
    )


def _returns(default: InputStats, rows: NDArray[np.float32] | None) -> dict[str, ChannelStats]:
    """Pixels only of what lies in the image, the rest of all returns. `in_image` keeps its default."""
    found = dict(default.returns)
    if rows is None or not len(rows):
        return found
    inside = rows[rows[:, RETURN_CHANNELS.index("in_image")] > 0]
    for index, name in enumerate(RETURN_CHANNELS):
        if name == "in_image":
            continue
        values = inside[:, index] if name in ("u", "v") else rows[:, index]
        found[name] = _channel(found[name], values, _LEAST_OF["returns"])
    return found


def _group(
    default: object, rows: NDArray[np.generic] | None, least: float | None = None
) -> dict[str, ChannelStats]:
    """One row of values for each channel, in the order of the default's."""
    names: dict[str, ChannelStats] = dict(default)  # type: ignore[call-overload]
    if rows is None:
        return names
    return {
        name: _channel(names[name], np.asarray(row, np.float64), least or _LEAST_OF.get(name, _LEAST))
        for name, row in zip(names, rows, strict=True)
    }


def _channel(default: ChannelStats, values: NDArray[np.floating], least: float) -> ChannelStats:
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return default
    if values.min() == values.max():  # a sensor that does not measure it; another one may
        return ChannelStats(default.mean, default.std, float(values.min()), float(values.max()))
    std = max(float(values.std()), least)
    return ChannelStats(float(values.mean()), std, float(values.min()), float(values.max()))
