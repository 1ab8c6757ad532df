"""The interface by which an evaluation reads a recording, from its log or from its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from perception.align.status_readings import speed_channel
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.evaluation.slices.frame_conditions import FrameConditions, frame_conditions
from perception.logs import Log
from perception.sinks.tables.stored import StoredRecording


@dataclass(frozen=True, slots=True)
class ScoredSource:
    """A recording whose outputs are scored.

    Attributes:
        name: The log, as it was named.
        start_ns: The log time from which seconds count.
        camera: The topic of the pictures; empty: there are none.
        conditions: Returns the conditions of frames by their stamps [F], and whether to read brightness.
    """

    name: str
    start_ns: int
    camera: str
    conditions: Callable[[NDArray[np.int64], bool], FrameConditions]


def source_of(log: Log, config: Config) -> ScoredSource:
    """Return the source that a log is."""
    conditions = partial(frame_conditions, log, config)
    return ScoredSource(str(log.path), sensor_start_ns(log, config), _camera_topic(config), conditions)


def source_of_tables(recording: StoredRecording, config: Config) -> ScoredSource:
    """Return the source that the tables of a recording are: they have no pictures, and so no brightness."""

    def conditions(stamps_ns: NDArray[np.int64], images: bool) -> FrameConditions:
        fields = recording.status_at(stamps_ns)
        nothing = np.full(len(stamps_ns), np.nan)
        return FrameConditions(recording.row["light"], nothing, fields, speed_channel(fields))

    row = recording.row
    return ScoredSource(row["log"], row["sensor_start_ns"], _camera_topic(config), conditions)


def _camera_topic(config: Config) -> str:
    camera = config.reference_camera
    return config.sensors.cameras[camera].topic if camera is not None else ""
