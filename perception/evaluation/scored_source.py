"""The interface by which an evaluation reads a recording, from its log or from its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from perception.align.status_readings import speed_channel
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.evaluation.slices.frame_conditions import FrameConditions, frame_conditions
from perception.logs import Log
from perception.logs.joined_path import named_log
from perception.sinks.tables.stored import StoredRecording
from perception.types import Float64


@dataclass(frozen=True, slots=True)
class ScoredSource:
    """A recording whose outputs are scored.

    Attributes:
        name: The log, as it was named.
        start_ns: The log time from which seconds count.
        camera: The topic of the pictures; empty: there are none.
        conditions: Returns the conditions of frames by their stamps [F], and whether to read brightness.
        incomplete: The classes of which not every object is labelled.
    """

    name: str
    start_ns: int
    camera: str
    conditions: Callable[[NDArray[np.int64], bool], FrameConditions]
    incomplete: tuple[str, ...] = ()


def source_of(log: Log, config: Config) -> ScoredSource:
    """Return the source that a log is."""
    conditions = partial(frame_conditions, log, config)
    return ScoredSource(
        named_log(log.path),
        sensor_start_ns(log, config),
        _camera_topic(config),
        conditions,
        config.truth.incomplete_classes,
    )


def source_of_tables(spans: Sequence[StoredRecording], config: Config) -> ScoredSource:
    """Return the source that the tables of a recording are: they have no pictures, and so no brightness.

    Args:
        spans: The recording, or the spans it was replayed in.
    """
    row = spans[0].row

    def conditions(stamps_ns: NDArray[np.int64], images: bool) -> FrameConditions:
        nothing = np.full(len(stamps_ns), np.nan)
        fields: dict[str, Float64] = {}
        for span in spans:
            for name, values in span.status_at(stamps_ns).items():
                known = fields.get(name, nothing)
                fields[name] = np.where(np.isnan(known), values, known)
        return FrameConditions(row["light"], nothing, fields, speed_channel(fields))

    return ScoredSource(
        row["log"],
        row["sensor_start_ns"],
        _camera_topic(config),
        conditions,
        config.truth.incomplete_classes,
    )


def _camera_topic(config: Config) -> str:
    camera = config.reference_camera
    return config.sensors.cameras[camera].topic if camera is not None else ""
