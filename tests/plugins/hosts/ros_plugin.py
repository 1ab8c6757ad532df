"""A plugin for tests of ROS hosts: a box at the nearest return, with a position, and a curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from perception.plugin import Prepared, register_plugin
from perception.types import ControlChannel, Output
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin

ROS_MANIFEST = replace(MANIFEST, name="ros_memory")


class RosPlugin(MemoryPlugin):
    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return [_placed(output) for output in super().step(prepared)]


def _placed(output: Output) -> Output:
    if output.detections is None or output.control is None or not output.control.valid:
        return output
    covariance = ((0.04, 0.01, 0.0), (0.01, 0.09, 0.0), (0.0, 0.0, 0.16))
    items = tuple(
        replace(item, position_m=(item.distance_m, 0.5, 1.0), position_cov_m2=covariance, position_unknown="")
        for item in output.detections.items
    )
    channels = (*output.control.channels, ControlChannel("curvature", "1/m", 0.1, 0.01))
    return replace(
        output,
        detections=replace(output.detections, items=items, position_frame="base_link"),
        control=replace(output.control, channels=channels),
    )


def register(config: Path) -> None:
    """Make the plugin known, and that of a configuration file."""
    register_plugin(ROS_MANIFEST, RosPlugin)
    values = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**values, "plugin": {"name": "ros_memory"}}))
