"""The readings of the status topics, and the last value of each channel at given stamps."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from perception.config import Config
from perception.logs import decoder
from perception.types import Float64, Message, StatusReading
from perception.types.times import bounded_ns

OLDEST_NS = 1_000_000_000
"""A value counts for so long after its stamp."""


def channel_paths(config: Config) -> dict[str, dict[str, str]]:
    """Return for the topic of each status the channel names by the paths of their fields."""
    return {
        section.topic: {path: name for name, path in section.fields.items()}
        for section in config.sensors.statuses.values()
    }


class StatusReadings:
    """The readings of the status topics of a log: 16 bytes for each value.

    Args:
        config: Names the topics and channels.
    """

    def __init__(self, config: Config) -> None:
        self._paths = channel_paths(config)
        self._decode = decoder(config)
        self._readings: dict[str, tuple[array[int], array[float]]] = {}

    @property
    def topics(self) -> frozenset[str]:
        """Return the topics of the statuses."""
        return frozenset(self._paths)

    def add(self, message: Message) -> None:
        """Add a message of the log; those of other topics are left out."""
        if message.topic in self._paths:
            decoded = self._decode(message)
            if isinstance(decoded, StatusReading):
                self.add_reading(decoded)

    def add_reading(self, reading: StatusReading) -> None:
        """Add a decoded message of a status topic."""
        names, stamp_ns = self._paths[reading.topic], bounded_ns(reading.stamp_ns)
        for path, value in reading.values.items():
            stamps, values = self._readings.setdefault(names.get(path, path), (array("q"), array("d")))
            stamps.append(stamp_ns)
            values.append(value)

    def at(self, stamps_ns: NDArray[np.int64]) -> Mapping[str, Float64]:
        """Return for each channel its last value by each stamp [F], at most a second old; NaN where there is
        none."""
        return {
            name: _latest(np.array(stamps, np.int64), np.array(values, np.float64), stamps_ns)
            for name, (stamps, values) in self._readings.items()
        }


def speed_channel(names: Mapping[str, object]) -> str:
    """Return the name of the channel that is the speed over ground; empty: none is."""
    known = ("speed", "velocity", "speed_m_s")
    return next((name for name in names if name.lower().rpartition(".")[2] in known), "")


def _latest(stamps: NDArray[np.int64], values: Float64, at_ns: NDArray[np.int64]) -> Float64:
    order = np.lexsort((values, stamps))
    stamps, values = stamps[order], values[order]
    place = np.searchsorted(stamps, at_ns, side="right") - 1
    known = (place >= 0) & (at_ns - stamps[np.maximum(place, 0)] <= OLDEST_NS)
    return np.where(known, values[np.maximum(place, 0)], np.nan)
