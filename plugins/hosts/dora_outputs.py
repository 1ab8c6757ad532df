"""Outputs of a plugin as arrays of dora; boxes as dora's own detectors send them, with what more is known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from perception.pipeline.host_job import HostHealth
from perception.types import Control, Detections, camera_views
from perception_plugins.hosts.outcomes import HostFrame

_FLOATS, _TEXTS = pa.list_(pa.float64()), pa.list_(pa.string())
BOXES = pa.struct(
    {
        "bbox": _FLOATS,  # xyxy of each box
        "conf": _FLOATS,
        "labels": _TEXTS,
        "box_std": pa.list_(_FLOATS),
        "distance_m": _FLOATS,
        "distance_std_m": _FLOATS,
        "visible": _FLOATS,
        "track_id": _TEXTS,
        "position_m": pa.list_(_FLOATS),
        "position_cov_m2": pa.list_(_FLOATS),
        "position_unknown": _TEXTS,
    }
)
"""One row: the detections of one picture, highest score first; null where a value is unknown."""
CHANNELS = pa.struct({"name": pa.string(), "unit": pa.string(), "value": pa.float64(), "std": pa.float64()})
"""A row for each value of control, or of a further head."""


class DoraOutput(NamedTuple):
    """What `Node.send_output` takes."""

    output_id: str
    data: Any
    metadata: Mapping[str, Any]


def outputs_of(frame: HostFrame) -> Iterator[DoraOutput]:
    """Yield `detections` (of each camera) and `control` (of each further head, too) of one tick."""
    output, tick = frame.output, frame.output.tick
    common = {"stamp_ns": tick.stamp_ns, "log_time_ns": tick.log_time_ns, "tick": tick.kind}
    for view in camera_views(frame.sample, output):
        detections = view.output.detections
        if detections is not None:
            more = {"camera": view.camera, "format": "xyxy", "primitive": "boxes2d"}
            more["position_frame"] = detections.position_frame
            yield DoraOutput("detections", boxes_array(detections), {**common, **_head(detections), **more})
    heads = {} if output.control is None else {"control": output.control}
    for name, head in (heads | dict(output.extra)).items():
        yield DoraOutput("control", channels_array(head), {**common, **_head(head), "head": name})


def boxes_array(detections: Detections) -> Any:
    """Return detections as an array of `BOXES`."""
    items = detections.items
    row = {
        "bbox": [number for item in items for number in item.xyxy],
        "conf": [item.score for item in items],
        "labels": [item.label for item in items],
        "box_std": [item.box_std for item in items],
        "distance_m": [item.distance_m for item in items],
        "distance_std_m": [item.distance_std_m for item in items],
        "visible": [item.visible for item in items],
        "track_id": [item.track_id for item in items],
        "position_m": [item.position_m for item in items],
        "position_cov_m2": [
            None if item.position_cov_m2 is None else [n for line in item.position_cov_m2 for n in line]
            for item in items
        ],
        "position_unknown": [item.position_unknown for item in items],
    }
    return pa.array([row], type=BOXES)


def channels_array(head: Control) -> Any:
    """Return the values of a head as an array of `CHANNELS`."""
    rows = [{"name": c.name, "unit": c.unit, "value": c.value, "std": c.std} for c in head.channels]
    return pa.array(rows, type=CHANNELS)


def health_output(health: HostHealth) -> DoraOutput:
    """Return the health as one JSON text, with its level in the metadata."""
    return DoraOutput("health", pa.array([json.dumps(health.to_json())]), {"level": health.level})


def _head(head: Detections | Control) -> dict[str, Any]:
    return {"valid": head.valid, "based_on": ",".join(head.based_on), "error": head.error}
