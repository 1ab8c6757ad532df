"""Statistics of the numbers that a model was trained on, for normalising and for warnings. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from perception.errors import ConfigError
from perception.models.config import ModelConfig
from perception.models.tensors import RETURN_CHANNELS

GROUPS = ("image", "returns", "status", "control", "log_distance")


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """One channel. `minimum` and `maximum` are None where nobody has measured them."""

    mean: float
    std: float
    minimum: float | None = None
    maximum: float | None = None


Group = Mapping[str, ChannelStats]


@dataclass(frozen=True, slots=True)
class InputStats:
    """Statistics by channel name: the inputs, and the targets that the heads regress.

    Attributes:
        image: red, green, blue; 0 to 255.
        returns: The channels of `tensors.RETURN_CHANNELS`, in their units.
        status, control: The model's channels, in their units.
        log_distance: One channel `log_distance`, of metres.
    """

    image: Group
    returns: Group
    status: Group
    control: Group
    log_distance: Group

    def to_dict(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """Return the statistics as plain values for JSON."""
        return {
            group: {
                name: {f.name: getattr(c, f.name) for f in fields(c)}
                for name, c in getattr(self, group).items()
            }
            for group in GROUPS
        }

    @classmethod
    def from_dict(cls, data: object) -> InputStats:
        """Return the statistics of plain values from JSON.

        Raises:
            ConfigError: The values do not have the form that `to_dict` returns.
        """
        if not isinstance(data, Mapping) or set(data) != set(GROUPS):
            raise ConfigError(
                [f"expected the groups {', '.join(GROUPS)}, found {_keys(data)}"], "of the statistics"
            )
        return cls(**{group: _group(group, data[group]) for group in GROUPS})


def channel_names(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Return the channels of each group for a model."""
    return {
        "image": ("red", "green", "blue"),
        "returns": RETURN_CHANNELS,
        "status": tuple(q.name for q in config.status),
        "control": tuple(q.name for q in config.control),
        "log_distance": ("log_distance",),
    }


def default_stats(config: ModelConfig) -> InputStats:
    """Return the assumptions of an untrained model: images as in ImageNet, ranges of some 10 m."""
    image = {"red": (123.7, 58.4), "green": (116.3, 57.1), "blue": (103.5, 57.4)}
    returns = {
        "u": (config.input_width / 2, config.input_width / 4),
        "v": (config.input_height / 2, config.input_height / 4),
        "bearing": (0.0, 0.5),
        "elevation": (0.0, 0.1),
        "range_m": (10.0, 10.0),
        "radial_speed": (0.0, 3.0),
        "intensity": (0.0, 1.0),
        "in_image": (0.5, 0.5),
    }
    return InputStats(
        image={name: ChannelStats(*pair) for name, pair in image.items()},
        returns={name: ChannelStats(*returns[name]) for name in RETURN_CHANNELS},
        status={q.name: ChannelStats(0.0, 1.0) for q in config.status},
        control={q.name: ChannelStats(0.0, 1.0) for q in config.control},
        log_distance={"log_distance": ChannelStats(math.log(15.0), 1.0)},
    )


def _group(group: str, data: object) -> Group:
    if not isinstance(data, Mapping):
        raise ConfigError([f"{group}: expected channels, found {type(data).__name__}"], "of the statistics")
    return {str(name): _channel(f"{group}.{name}", item) for name, item in data.items()}


def _channel(path: str, item: object) -> ChannelStats:
    keys = tuple(f.name for f in fields(ChannelStats))
    if not isinstance(item, Mapping) or set(item) != set(keys):
        raise ConfigError([f"{path}: expected {', '.join(keys)}; found {_keys(item)}"], "of the statistics")
    for key in keys:
        value: Any = item[key]
        unknown = value is None and key in ("minimum", "maximum")
        if not unknown and (
            isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
        ):
            raise ConfigError(
                [f"{path}.{key}: expected a finite number, found {value!r:.100}"], "of the statistics"
            )
    if not item["std"] > 0:
        raise ConfigError(
            [f"{path}.std: expected a number above 0, found {item['std']}"], "of the statistics"
        )
    return ChannelStats(**item)


def _keys(data: object) -> str:
    return ", ".join(str(k) for k in list(data)[:10]) if isinstance(data, Mapping) else type(data).__name__
