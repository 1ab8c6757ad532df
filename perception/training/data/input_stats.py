"""Statistics of a training set's inputs and targets: measured once, kept in the checkpoint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.models.config import ModelConfig
from perception.models.stats import ChannelStats, InputStats, default_stats
from perception.models.tensors import RETURN_CHANNELS
from perception.training.data.dataset import Dataset
from perception.training.data.picture_mixing import CAMERA_ASPECTS
from perception.training.train_config import PictureConfig

LEAST_STD = {"curvature": 1e-3, "acceleration": 0.05, "image": 10.0, "returns": 0.05, "log_distance": 0.1}
"""Lower limits, so that a channel that hardly changes is not scaled up to unit variance; others: 1e-3."""

BEYOND = 1.15
"""Pictures may be stretched by this factor more than in training.

Measured on crops of the yard (16:10; 4:3) with weights that had seen 2:1 alone: mAP@50:95 0.571; 0.562,
mAP@50 0.883; 0.867. Not stretched: 0.572; 0.570, 0.860; 0.853. To the whole input: 0.554; 0.467, 0.885;
0.852.
"""


def measure_stats(dataset: Dataset, model: ModelConfig, known: InputStats | None = None) -> InputStats:
    """Return mean, standard deviation and extremes of every channel over the samples of a data set.

    A channel without values stays as it is known: a sensor that is absent throughout, missing truth. Pixels
    are taken from every eighth row and column. The extremes serve to warn of inputs unlike those of training.

    Args:
        dataset: The samples.
        model: Its channels.
        known: Of the weights that training starts from; None: those of an untrained model.
    """
    default = known if known is not None else default_stats(model)
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
        image=_group(default.image, np.concatenate(images, 1) if images else None, LEAST_STD["image"]),
        returns=_returns(default, np.concatenate(returns) if returns else None),
        status=_group(default.status, np.concatenate(status).T if status else None),
        control=_group(default.control, control.T),
        log_distance=_group(default.log_distance, distance[None], LEAST_STD["log_distance"]),
    )


def seen_stretch(dataset: Dataset, model: ModelConfig, pictures: PictureConfig) -> tuple[float, float]:
    """Return the least and the most that pictures are stretched (`InputSpec.stretch`) in training.

    The outermost tenth of the recorded pictures does not count: a model learns little from a few. It may be
    a little more than they are: less of the input is then grey, and objects are larger.

    Args:
        dataset: The samples.
        model: The size of its input.
        pictures: Pictures that are cut or put together have the shapes of several cameras.
    """
    seen = []
    for log, row in dataset.ids:
        if dataset.logs[log].column("present")[row, 0]:
            across, down = dataset.logs[log].area(row).scale
            seen.append(down / across)
    low, high = np.quantile(seen, [0.05, 0.95]) if seen else (1.0, 1.0)
    limits = [1.0, low, BEYOND * high]
    if pictures.mosaic + pictures.zoomed and (pictures.drives or len(dataset.pictures)):
        limits += [model.input_width / model.input_height / aspect for aspect in CAMERA_ASPECTS]
    return round(float(min(limits)), 3), round(float(max(limits)), 3)


def _returns(default: InputStats, rows: NDArray[np.float32] | None) -> dict[str, ChannelStats]:
    """Return the statistics of returns: `u` and `v` of those in the image, other channels of all returns.

    `in_image` keeps its default.
    """
    stats = dict(default.returns)
    if rows is None or not len(rows):
        return stats
    inside = rows[rows[:, RETURN_CHANNELS.index("in_image")] > 0]
    for index, name in enumerate(RETURN_CHANNELS):
        if name == "in_image":
            continue
        values = inside[:, index] if name in ("u", "v") else rows[:, index]
        stats[name] = _channel(stats[name], values, LEAST_STD["returns"])
    return stats


def _group(
    default: object, rows: NDArray[np.generic] | None, least: float | None = None
) -> dict[str, ChannelStats]:
    """Return the statistics of a group; `rows` holds one row of values for each channel of the default."""
    channels: dict[str, ChannelStats] = dict(default)  # type: ignore[call-overload]
    if rows is None:
        return channels
    return {
        name: _channel(channels[name], np.asarray(row, np.float64), least or LEAST_STD.get(name, 1e-3))
        for name, row in zip(channels, rows, strict=True)
    }


def _channel(default: ChannelStats, values: NDArray[np.floating], least: float) -> ChannelStats:
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return default
    if values.min() == values.max():  # this sensor does not measure it; another may
        return ChannelStats(default.mean, default.std, float(values.min()), float(values.max()))
    std = max(float(values.std()), least)
    return ChannelStats(float(values.mean()), std, float(values.min()), float(values.max()))
