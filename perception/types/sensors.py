"""Kinds of sensors as data: one specification for each of camera, range and status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class KindSpec:
    """The specification of one kind of sensor.

    Attributes:
        name: The kind's name, in configurations, samples and tables.
        message: The class in `perception.types` that its messages decode to.
        policies: Alignment policies that its configuration accepts.
        arrays: The fields of `perception.models.tensors.Inputs` that hold its data.
        encoder: Import name of the network that encodes it, called with the `ModelConfig`.
        absence: What follows for the heads where it is absent.
    """

    name: str
    message: str
    policies: tuple[str, ...]
    arrays: tuple[str, ...]
    encoder: str
    absence: str


KINDS: Mapping[str, KindSpec] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            KindSpec(
                "camera",
                "CameraFrame",
                ("latest", "nearest"),
                ("image",),
                "perception.models.camera_encoder:CameraEncoder",
                "objects are placed by the returns of the range sensor alone, where the rig places those",
            ),
            KindSpec(
                "range",
                "RangeScan",
                ("latest", "nearest"),
                ("returns", "returns_valid"),
                "perception.models.range_encoder:RangeEncoder",
                "distances are estimated from the image, with larger standard deviations",
            ),
            KindSpec(
                "status",
                "StatusWindow",
                ("window",),
                ("status",),
                "perception.models.status_encoder:StatusEncoder",
                "control is estimated from what the other sensors see",
            ),
        )
    }
)
"""The specification of each kind, in the order of every `present` vector."""

SENSORS = tuple(KINDS)
"""Names of the kinds, in the order of every `present` vector."""
