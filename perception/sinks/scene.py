"""Positions as `foxglove.SceneUpdate`: an ellipsoid and a text for each object, in the base frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from foxglove_schemas_protobuf.SceneEntityDeletion_pb2 import SceneEntityDeletion
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from mcap_protobuf.schema import build_file_descriptor_set

from perception.geometry import quaternions_from_rotations
from perception.sinks.annotations import caption, worth_drawing
from perception.sinks.palette import class_colour
from perception.sinks.run_info import RunInfo
from perception.types import Detection, Float64, Output, Schema

SCHEMA = Schema(
    "foxglove.SceneUpdate",
    "protobuf",
    build_file_descriptor_set(SceneUpdate).SerializeToString(deterministic=True),
)
LIFETIME_NS = 500_000_000
"""How long an entity stays where no further update comes."""
_RADIUS_M = 0.25  # of an object whose covariance is not known
_UNKNOWN = ((np.nan,) * 3,) * 3
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
    placed = placed_items(output, min_score)
    spreads = zip(*map(np.ndarray.tolist, covariance_axes([item for _, item in placed])), strict=True)
    for (rank, item), (axes, stds) in zip(placed, spreads, strict=True):
        name = f"track/{item.track_id}" if item.track_id else f"object/{rank}"
        name = name if name not in ids else f"object/{rank}"
        ids.add(name)
        entity = message.entities.add(id=name, frame_id=head.position_frame)
        entity.timestamp.seconds, entity.timestamp.nanos = seconds, nanos
        entity.lifetime.seconds, entity.lifetime.nanos = divmod(LIFETIME_NS, 1_000_000_000)
        _fill(entity, item, axes, stds, run)
    return bytes(message.SerializeToString(deterministic=True))


def _fill(entity: Any, item: Detection, axes: list[float], stds: list[float], run: RunInfo) -> None:
    assert item.position_m is not None
    colour = {
        name: value / 255 for name, value in zip("rgb", class_colour(item.label, run.classes), strict=True)
    }
    position = dict(zip("xyz", map(float, item.position_m), strict=True))
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


def placed_items(output: Output, min_score: float) -> list[tuple[int, Detection]]:
    """Return the objects of an output worth drawing that have a position, with their rank by score."""
    return [
        (rank, item)
        for rank, item in enumerate(worth_drawing(output, min_score))
        if item.position_m is not None and np.isfinite(item.position_m).all()
    ]


def covariance_axes(items: Sequence[Detection]) -> tuple[Float64, Float64]:
    """Return the orientations [N, 4] (x, y, z, w) of the axes of covariances, and the stds [N, 3] in m."""
    covariances = np.array(
        [_UNKNOWN if item.position_cov_m2 is None else item.position_cov_m2 for item in items], np.float64
    ).reshape(-1, 3, 3)
    orientations, stds = np.tile([0.0, 0.0, 0.0, 1.0], (len(items), 1)), np.full((len(items), 3), _RADIUS_M)
    known = np.isfinite(covariances).all(axis=(1, 2))
    if known.any():
        found = covariances[known]
        variances, axes = np.linalg.eigh((found + found.transpose(0, 2, 1)) / 2)
        axes[:, :, 0] *= np.where(np.linalg.det(axes) < 0, -1.0, 1.0)[:, None]  # a reflection is none
        orientations[known] = quaternions_from_rotations(axes)
        stds[known] = np.sqrt(np.maximum(variances, 0.0))
    return orientations, stds
