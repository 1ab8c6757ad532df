"""Faults of the range sensor's returns and of the status values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception.config.fault_plan import Fault
from perception.pipeline.faults.draws import episode, generator, uniform
from perception.types import DepthImage, Float32, RangeScan, StatusReading


class RangeFaults:
    """Applies the faults of the range sensor to its scans."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = {fault.kind: fault for fault in faults}

    def apply(self, measured: RangeScan | DepthImage) -> RangeScan | DepthImage:
        """Return the scan or depth image with the faults. A lost return becomes NaN and keeps its index."""
        if isinstance(measured, DepthImage):
            return self._depth(measured)
        return self._scan(measured)

    def _depth(self, image: DepthImage) -> DepthImage:
        """Return a depth image with the faults: metres along the optical axis, and a band of lost columns."""
        depth, key = image.depth_m, (image.topic, image.stamp_ns, image.log_time_ns)
        with np.errstate(invalid="ignore"):
            if fault := self._faults.get("bias"):
                depth = np.maximum(depth + np.float32(2 * fault.severity), np.float32(1e-3))
            if fault := self._faults.get("noise"):
                off = generator(fault, *key).standard_normal(depth.shape, np.float32)
                depth = np.maximum(depth + off * np.float32(fault.severity), np.float32(1e-3))
        gone = np.zeros(depth.shape, bool)
        if fault := self._faults.get("dropout"):
            gone |= generator(fault, *key).random(depth.shape) < fault.severity
        if fault := self._faults.get("sector_loss"):
            gone |= _lost_columns(depth.shape[1], fault)
        if gone.any():
            depth = np.where(gone, np.float32(np.nan), depth)
        return image if depth is image.depth_m else replace(image, depth_m=depth)

    def _scan(self, scan: RangeScan) -> RangeScan:
        points = scan.points_m
        key = (scan.topic, scan.stamp_ns, scan.log_time_ns)
        with np.errstate(invalid="ignore"):
            if fault := self._faults.get("bias"):
                points = _moved_outwards(points, np.float32(2 * fault.severity))
            if fault := self._faults.get("noise"):
                rng = generator(fault, *key)
                off = rng.standard_normal((len(points), 1), np.float32) * np.float32(fault.severity)
                points = _moved_outwards(points, off)
        gone = np.zeros(len(points), bool)
        if fault := self._faults.get("dropout"):
            gone |= generator(fault, *key).random(len(points)) < fault.severity
        if fault := self._faults.get("sector_loss"):
            gone |= _in_sector(scan.points_m, fault)
        if gone.any():
            points = np.where(gone[:, None], np.float32(np.nan), points)
        return scan if points is scan.points_m else replace(scan, points_m=points)


class _Shifted(Mapping[str, float]):
    """Values with an offset, whose sign is drawn for each name; read when they are asked for."""

    def __init__(self, values: Mapping[str, float], offset: Fault) -> None:
        self._values = values
        self._offset = offset

    def __getitem__(self, name: str) -> float:
        sign = 1 if uniform(self._offset, "sign", name) < 0.5 else -1
        return self._values[name] + self._offset.severity * sign

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _moved_outwards(points: Float32, by_m: Float32 | np.float32) -> Float32:
    """Return points [N, 3] moved along their rays, never behind the sensor."""
    ranges = np.linalg.norm(points, axis=1, keepdims=True)
    scale = np.maximum(ranges + by_m, np.float32(1e-3)) / np.maximum(ranges, np.float32(1e-6))
    moved: Float32 = (points * scale).astype(np.float32)
    return moved


def _lost_columns(width: int, fault: Fault) -> NDArray[np.bool_]:
    """Return a mask [W] of a band of columns: the severity is its share of the width."""
    middle = uniform(fault, "direction") * (width - 1)
    lost = round(fault.severity * width)
    first = min(max(round(middle - lost / 2), 0), width - lost)
    columns = np.arange(width)
    return (columns >= first) & (columns < first + lost)


def _in_sector(points: Float32, fault: Fault) -> NDArray[np.bool_]:
    """Return a mask [N] of the points in the lost sector; NaN points are not in it."""
    centre = (uniform(fault, "direction") - 0.5) * np.deg2rad(120)
    bearing = np.arctan2(points[:, 1], points[:, 0])
    off = np.abs((bearing - centre + np.pi) % (2 * np.pi) - np.pi)
    lost: NDArray[np.bool_] = off <= np.pi * fault.severity
    return lost


class StatusFaults:
    """Applies the faults of the status to its readings, in arrival order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = {fault.kind: fault for fault in faults}
        self._frozen: tuple[int, StatusReading] | None = None

    def apply(self, reading: StatusReading) -> StatusReading | None:
        """Return the reading with the faults, or None while the status is silent."""
        silence, freeze, offset = (self._faults.get(kind) for kind in ("silence", "freeze", "offset"))
        if silence is not None and episode(silence, reading.log_time_ns) is not None:
            return None
        if freeze is not None:
            reading = self._frozen_reading(reading, episode(freeze, reading.log_time_ns))
        if offset is not None:
            reading = replace(reading, values=_Shifted(reading.values, offset))
        return reading

    def forget(self) -> None:
        """Discard the frozen reading, after a backward jump of the clock."""
        self._frozen = None

    def _frozen_reading(self, reading: StatusReading, number: int | None) -> StatusReading:
        if number is None:
            return reading
        if self._frozen is None or self._frozen[0] != number:
            self._frozen = (number, reading)
        return replace(reading, values=self._frozen[1].values)
