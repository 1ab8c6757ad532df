"""Positions as `foxglove.SceneUpdate`: an ellipsoid and a text for each object, in the base frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from foxglove_schemas_protobuf.SceneEntityDeletion_pb2 import SceneEntityDeletion
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from mcap_protobuf.schema import build_file_descriptor_set

from perception.geometry import quaternion_from_rotation
from perception.sinks.annotations import caption, worth_drawing
from perception.sinks.palette import class_colour
from perception.sinks.run_info import RunInfo
from perception.types import Detection, Output, Schema

SCHEMA = Schema(
    "foxglove.SceneUpdate",
    "protobuf",
    build_file_descriptor_set(SceneUpdate).SerializeToString(deterministic=True),
)
LIFETIME_NS = 500_000_000
"""How long an entity stays where no further update comes."""
_RADIUS_M = 0.25  # of an object whose covariance is not known
_TEXT_M = 0.5


def encode_scene(output: Output, run: RunInfo, min_score: float = 0.0) -> bytes:
    """Return the objects of an output that have a position; each update deletes those of the one before.

    An entity is an ellipsoid of one standard deviation along each axis of the covariance. Its id is the
    track, else the rank by score; `metadata` has class, score, distance, and the deviations of the position.
    """
    message, head = SceneUpdate(), output.detections
    assert head is not None
    seconds, nanos = divmod(int(output.tick.stamp_ns), 1_000_000_000)
    deletion = message.deletions.add(type=SceneEntityDeletion.ALL)
    deletion.timestamp.seconds, deletion.timestamp.nanos = seconds, nanos
    ids: set[str] = set()
    for rank, item in enumerate(worth_drawing(output, min_score)):
        if item.position_m is None or not np.isfinite(item.position_m).all():
            continue
        name = f"track/{item.track_id}" if item.track_id else f"object/{rank}"
        name = name if name not in ids else f"object/{rank}"
        ids.add(name)
        entity = message.entities.add(id=name, frame_id=head.position_frame)
        entity.timestamp.seconds, entity.timestamp.nanos = seconds, nanos
        entity.lifetime.seconds, entity.lifetime.nanos = divmod(LIFETIME_NS, 1_000_000_000)
        _fill(entity, item, item.position_m, run)
    return bytes(message.SerializeToString(deterministic=True))


def _fill(entity: Any, item: Detection, position_m: tuple[float, ...], run: RunInfo) -> None:
    colour = {
        name: value / 255 for name, value in zip("rgb", class_colour(item.label, run.classes), strict=True)
    }
    axes, stds = covariance_axes(item)
    position = dict(zip("xyz", map(float, position_m), strict=True))
    orientation = dict(zip("xyzw", axes, strict=True))
    entity.spheres.add(
        pose={"position": position, "orientation": orientation},
        size=dict(zip("xyz", (2 * std for std in stds), strict=True)),
        color={**colour, "a": 0.5},
    )
    entity.texts.add(
        pose={"position": position, "orientation": {"w": 1.0}},
        billboard=True,
        font_size=_TEXT_M,
        color={**colour, "a": 1.0},
        text=caption(item),
    )
    for key, value in _metadata(item).items():
        entity.metadata.add(key=key, value=value)


def _metadata(item: Detection) -> dict[str, str]:
    values = {"class": item.label, "score": f"{item.score:.6g}"}
    if item.distance_m is not None:
        values["distance_m"] = f"{item.distance_m:.6g}"
    if item.position_cov_m2 is not None:
        for name, row in zip("xyz", range(3), strict=True):
            values[f"{name}_std_m"] = f"{max(item.position_cov_m2[row][row], 0.0) ** 0.5:.6g}"
    if item.track_id:
        values["track_id"] = item.track_id
    return values


def covariance_axes(item: Detection) -> tuple[tuple[float, ...], list[float]]:
    """Return the orientation (x, y, z, w) of the axes of a covariance and the deviations along them, m."""
    unknown = (0.0, 0.0, 0.0, 1.0), [_RADIUS_M] * 3
    if item.position_cov_m2 is None:
        return unknown
    covariance = np.array(item.position_cov_m2, dtype=np.float64)
    if not np.isfinite(covariance).all():
        return unknown
    variances, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    if np.linalg.det(axes) < 0:  # a reflection is no orientation
        axes[:, 0] = -axes[:, 0]
    return quaternion_from_rotation(axes), np.sqrt(np.maximum(variances, 0.0)).tolist()
