"""A sample from the inputs of all sensors: by kind, and each camera with the rig as it sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception.align.rig_tracks import RigTracks
from perception.config import Config
from perception.types import SENSORS, Absent, Input, RangeScan, Reset, Sample, Tick
from perception.types.inputs import first_present, one_window


class SampleContents:
    """Puts the inputs of a tick into a sample.

    Args:
        config: The sensors by name.
    """

    def __init__(self, config: Config) -> None:
        self._names = {kind: tuple(config.sensors.of_kind(kind)) for kind in SENSORS}
        self._reference_camera = config.reference_camera

    def sample(
        self, tick: Tick, inputs: Mapping[str, Input[Any]], rig: RigTracks, reset: Reset | None
    ) -> Sample:
        """Return the sample of a tick.

        Args:
            tick: The tick.
            inputs: Sensor -> its input.
            rig: What is known of the rig.
            reset: Why time is broken before this sample; None: it is not.
        """
        cameras, ranges, statuses = (self._of_kind(kind, inputs) for kind in SENSORS)
        scans = [source.value for source in ranges.values() if isinstance(source.value, RangeScan)]
        images = {name: source.value for name, source in cameras.items()}
        placings = rig.at(tick.stamp_ns, images, scans)
        reference = self._reference_camera or next(iter(cameras))
        own = placings[self._reference_camera or ""]
        several = len(placings) > 1
        return Sample(
            tick,
            cameras[reference],
            first_present(ranges),
            one_window(statuses, tick.stamp_ns),
            own.rig,
            reset,
            tuple(i.of(name) for name, p in placings.items() for i in p.issues) if several else own.issues,
            cameras,
            ranges,
            statuses,
            placings if several else {},
        )

    def _of_kind(self, kind: str, inputs: Mapping[str, Input[Any]]) -> dict[str, Input[Any]]:
        """Return the inputs of a kind; where none is configured, one that says so."""
        names = self._names[kind]
        if not names:
            return {kind: Input(kind, "", None, absence=Absent("not_configured", "not configured"))}
        return {name: inputs[name] for name in names}
