"""A layout for Foxglove: the panels that show a run, for the topics of its configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perception.config import Config, parse_config
from perception.config.safe_yaml import parse_yaml
from perception.errors import OutputError
from perception.output_file import OutputFile
from perception.path_guard import marked
from perception.sinks import RunInfo
from perception.sinks.mcap_sink import (
    ANNOTATIONS_TOPIC,
    CONTROL,
    HEALTH,
    INPUTS,
    SCENE,
    TIMING,
    camera_topic,
    topic_of,
)
from perception.sinks.protocol import refuse_input
from perception.types import Output, Sample, TruthFrame

LOG = "/perception/log"
"""Topic of texts about the run, as `foxglove.Log`."""
MARK = '"made_by": "perception replay"'
_RANGE_POINTS = {
    "visible": True,
    "colorField": "range",  # of a laser scan
    "colorFieldComputed": "distance",  # of a cloud, which has no field of that name
    "colorMode": "colormap",
    "pointSize": 4,
}


def foxglove_layout(
    config: Config, channels: Mapping[str, Sequence[str]], stages: Sequence[str] = (), live: bool = False
) -> dict[str, Any]:
    """Return a layout as Foxglove exports and imports it.

    Args:
        config: Complete.
        channels: Topic of control or of a further head -> the names of its channels.
        stages: The stages of the latency.
        live: Of a server, which also has texts; an output log has none.
    """
    pictures = _pictures(config)
    plots = {
        "Plot!control": _plot("Control", _paths(channels)),
        "Plot!ages": _plot("Age of inputs, ms", _of_inputs(config, "age_ms")),
        "Plot!latency": _plot("Latency, ms", _paths({TIMING: stages})),
    }
    states = [
        {"value": path, "label": name, "timestampMethod": "receiveTime"}
        for path, name in _of_inputs(config, "present")
    ]
    rest = {
        "3D!scene": _scene(config),
        "StateTransitions!inputs": {"foxglovePanelTitle": "Inputs", "isSynced": True, "paths": states},
        **_texts(live),
    }
    above = [part for part in (_stacked(list(pictures)), "3D!scene") if part is not None]
    below = [*plots, "StateTransitions!inputs", list(rest)[-1]]
    return {
        "configById": {**pictures, **plots, **rest},
        "globalVariables": {"made_by": "perception replay"},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": {
            "direction": "column",
            "splitPercentage": 62,
            "first": _stacked(above),
            "second": _stacked(below),
        },
    }


def _texts(live: bool) -> dict[str, Any]:
    """Return the monitor's values and, of a server, the log in tabs with them; the panel to place is last."""
    health = {"RawMessages!health": {"foxglovePanelTitle": "Monitor", "topicPath": HEALTH}}
    if not live:
        return health
    tabs = [{"title": "Log", "layout": "RosOut!log"}, {"title": "Monitor", "layout": "RawMessages!health"}]
    log = {"topicToRender": LOG, "minLogLevel": 1, "searchTerms": []}
    return {**health, "RosOut!log": log, "Tab!texts": {"activeTabIdx": 0, "tabs": tabs}}


def _pictures(config: Config) -> dict[str, Any]:
    """Return a panel for each camera, with boxes and returns over its picture."""
    panels: dict[str, Any] = {}
    for number, (name, camera) in enumerate(config.sensors.cameras.items()):
        annotations = camera_topic(ANNOTATIONS_TOPIC, _prefix(config, name))
        mode = {"imageTopic": camera.topic, "annotations": {annotations: {"visible": True}}}
        panels[f"Image!camera{number}"] = {
            "foxglovePanelTitle": name,
            "imageMode": mode | ({"calibrationTopic": camera.calibration} if camera.calibration else {}),
            "topics": {scan.topic: _RANGE_POINTS for scan in config.sensors.ranges.values()},
        }
    return panels


def _prefix(config: Config, camera: str) -> str:
    return camera if len(config.sensors.cameras) > 1 else ""


def _of_inputs(config: Config, name: str) -> list[tuple[str, str]]:
    """Return message path and label of a field of each input."""
    return [(f'{INPUTS}.inputs[:]{{name=="{sensor}"}}.{name}', sensor) for sensor in config.sensors.named]


def _scene(config: Config) -> dict[str, Any]:
    topics: dict[str, Any] = {scan.topic: _RANGE_POINTS for scan in config.sensors.ranges.values()}
    for name, camera in config.sensors.cameras.items():
        topics[camera_topic(SCENE, _prefix(config, name))] = {"visible": True}
        if camera.calibration:
            topics[camera.calibration] = {"visible": True}
    frame = {"followTf": config.base_frame} if config.base_frame else {}
    grid = {"layerId": "foxglove.Grid", "instanceId": "grid", "visible": True, "label": "Grid"}
    return {"foxglovePanelTitle": "Scene", **frame, "topics": topics, "layers": {"grid": grid}}


def _paths(channels: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [
        (f'{topic}.channels[:]{{name=="{name}"}}.value', name)
        for topic, names in channels.items()
        for name in names
    ]


def _plot(title: str, paths: Sequence[tuple[str, str]]) -> dict[str, Any]:
    rows = [
        {"value": path, "label": label, "enabled": True, "timestampMethod": "receiveTime"}
        for path, label in paths
    ]
    return {"title": title, "foxglovePanelTitle": title, "isSynced": True, "paths": rows}


def _stacked(parts: Sequence[Any]) -> Any:
    """Return parts of equal width beside each other; None: there are none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    share = 100 / len(parts)
    return {"direction": "row", "first": parts[0], "second": _stacked(parts[1:]), "splitPercentage": share}


class LayoutSink:
    """Writes the layout for a run to a file, once its outputs tell the channels of its heads.

    Args:
        path: The file.
        live: The layout is for a server.

    Raises:
        OutputError: The file cannot be written; names the path.
    """

    is_ours = staticmethod(marked(within=MARK.encode()))

    def __init__(self, path: str | Path, *, live: bool = False) -> None:
        self.path = Path(path)
        self._live = live
        self._run: RunInfo | None = None
        self._written = False

    def open(self, run: RunInfo) -> None:
        refuse_input(self.path, run)
        self._run, self._written = run, False

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        if self._run is None:
            raise OutputError(f"this sink is not open: {self.path}")
        heads = {CONTROL: output.control} if output.control is not None else {}
        heads |= {topic_of(name): head for name, head in output.extra.items()}
        channels = {topic: [channel.name for channel in head.channels] for topic, head in heads.items()}
        if not self._written and all(channels.values()):  # an invalid head does not tell its channels
            self._write(self._run, channels, list(timing_ms or {}))

    def close(self) -> None:
        if self._run is not None and not self._written:
            self._write(self._run, {}, [])
        self._run = None

    def _write(self, run: RunInfo, channels: Mapping[str, Sequence[str]], stages: Sequence[str]) -> None:
        self._written = True
        layout = foxglove_layout(parse_config(parse_yaml(run.config)), channels, stages, self._live)
        file = OutputFile(self.path, "layout")
        try:
            file.write(json.dumps(layout, indent=1).encode())
        finally:
            file.close()
