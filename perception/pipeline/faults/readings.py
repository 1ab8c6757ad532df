"""Faults that change numbers: returns of the range sensor and values of the status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception.config.fault_plan import Fault
from perception.pipeline.faults.draws import episode, generator, uniform
from perception.types import Float32, RangeScan, StatusReading


class RangeFaults:
    """What the range sensor's faults make of its scans."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = {fault.kind: fault for fault in faults}

    def apply(self, scan: RangeScan) -> RangeScan:
        """The scan as the broken sensor sends it. A return that is gone is not finite; its place stays."""
        points = scan.points_m
        key = (scan.topic, scan.stamp_ns, scan.log_time_ns)
        with np.errstate(invalid="ignore"):
            if fault := self._faults.get("bias"):
                points = _lengthened(points, np.float32(2 * fault.severity))
            if fault := self._faults.get("noise"):
                rng = generator(fault, *key)
                off = rng.standard_normal((len(points), 1), np.float32) * np.float32(fault.severity)
                points = _lengthened(points, off)
        gone = np.zeros(len(points), bool)
        if fault := self._faults.get("dropout"):
            gone |= generator(fault, *key).random(len(points)) < fault.severity
        if fault := self._faults.get("sector_loss"):
            gone |= _in_sector(scan.points_m, fault)
        if gone.any():
            points = np.where(gone[:, None], np.float32(np.nan), points)
        return scan if points is scan.points_m else replace(scan, points_m=points)


def _lengthened(points: Float32, by_m: Float32 | np.float32) -> Float32:
    """[N, 3] moved along their rays; none goes behind the sensor."""
    ranges = np.linalg.norm(points, axis=1, keepdims=True)
    scale = np.maximum(ranges + by_m, np.float32(1e-3)) / np.maximum(ranges, np.float32(1e-6))
    moved: Float32 = (points * scale).astype(np.float32)
    return moved


def _in_sector(points: Float32, fault: Fault) -> NDArray[np.bool_]:
    """[N]: whose bearing lies in the lost sector. A return without a bearing is missing already."""
    centre = (uniform(fault, "direction") - 0.5) * np.deg2rad(120)
    bearing = np.arctan2(points[:, 1], points[:, 0])
    off = np.abs((bearing - centre + np.pi) % (2 * np.pi) - np.pi)
    lost: NDArray[np.bool_] = off <= np.pi * fault.severity
    return lost


class StatusFaults:
    """What the status's faults make of its readings, in arrival order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = {fault.kind: fault for fault in faults}
        self._frozen: tuple[int, StatusReading] | None = None

    def apply(self, reading: StatusReading) -> StatusReading | None:
        """The reading as the broken sender sends it; None while it is silent."""
        silence, freeze, offset = (self._faults.get(kind) for kind in ("silence", "freeze", "offset"))
        if silence is not None and episode(silence, reading.log_time_ns) is not None:
            return None
        if freeze is not None:
            reading = self._stand_still(reading, episode(freeze, reading.log_time_ns))
        if offset is not None:
            values = {
                name: value + offset.severity * (1 if uniform(offset, "sign", name) < 0.5 else -1)
                for name, value in reading.values.items()
            }
            reading = replace(reading, values=values)
        return reading

    def forget(self) -> None:
        """Time is broken: what was read before is not sent again."""
        self._frozen = None

    def _stand_still(self, reading: StatusReading, number: int | None) -> StatusReading:
        if number is None:
            return reading
        if self._frozen is None or self._frozen[0] != number:
            self._frozen = (number, reading)
        return replace(reading, values=self._frozen[1].values)
