"""A memoised plugin: replays of one log under many faults share the outputs of unchanged samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from perception.plugin import Context, Plugin, Prepared
from perception.types import Absent, Output, Reset, Sample


class _Known(NamedTuple):
    """A stored output, and the inputs that could not be used, with their reasons."""

    absences: Mapping[str, Absent]
    output: Output


class _Fresh(NamedTuple):
    key: bytes
    prepared: Prepared


class MemoisedPlugin(Plugin):
    """A plugin wrapper that reuses stored outputs for samples equal to those of earlier replays of one log.

    Only the outputs of a stateless plugin (`preroll_s` 0) are kept; any other runs each time.
    The plugin stays open from one replay to the next; `release` closes it.

    Args:
        load: Returns the plugin, not opened.
        most: The greatest number of stored outputs.
    """

    def __init__(self, load: Callable[[], Plugin], most: int = 50_000) -> None:
        self._plugin = load()
        self.manifest = self._plugin.manifest
        self._memoises = self.manifest.preroll_s == 0
        self._most = most
        self._context: Context | None = None
        self._known: dict[bytes, _Known] = {}
        self.asked = self.recalled = 0

    def open(self, context: Context) -> None:
        if self._context == context:
            self._plugin.reset(Reset("another replay"))
            return
        self.release()
        self._plugin.open(context)
        self.manifest = self._plugin.manifest  # its weights may bring further heads
        self._context = context

    def prepare(self, sample: Sample) -> Prepared:
        if not self._memoises:
            return Prepared(sample, _Fresh(b"", self._plugin.prepare(sample)))
        key = sample_key(sample)
        known = self._known.get(key)
        if known is not None:
            return Prepared(sample.with_absent(known.absences), known)
        prepared = self._plugin.prepare(sample)
        return Prepared(prepared.sample, _Fresh(key, prepared))

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        fresh = [item.payload for item in prepared if isinstance(item.payload, _Fresh)]
        outputs = list(self._plugin.step([item.prepared for item in fresh])) if fresh else []
        if len(outputs) != len(fresh):
            raise ValueError(f"step returned {len(outputs)} outputs for {len(fresh)} samples")
        self.asked += len(fresh)
        self.recalled += len(prepared) - len(fresh)
        computed = iter(outputs)
        results = []
        for item in prepared:
            if isinstance(item.payload, _Known):
                results.append(replace(item.payload.output, tick=item.sample.tick))
                continue
            results.append(output := next(computed))
            if self._memoises and len(self._known) < self._most:
                absent = {i.name: i.absence for i in item.sample.sensors if i.absence}
                self._known[item.payload.key] = _Known(absent, output)
        return results

    def forget(self) -> None:
        """Drop the stored outputs; they do not match samples of another log."""
        self._known.clear()

    def reset(self, reason: Reset) -> None:
        self._plugin.reset(reason)

    def close(self) -> None:
        """Keep the plugin open for the next replay; `release` closes it."""

    def release(self) -> None:
        """Close the plugin. May be called twice."""
        if self._context is not None:
            self._context = None
            self._known.clear()
            self._plugin.close()

    def describe(self) -> Mapping[str, str]:
        return self._plugin.describe()


def sample_key(sample: Sample) -> bytes:
    """Return a digest of a sample; equal samples have equal digests."""
    digest = blake2b(digest_size=16)
    for part in _parts(sample):
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
        digest.update(b"\0")
    return digest.digest()


def _parts(sample: Sample) -> Iterator[object]:
    tick, camera, status = sample.tick, sample.camera.value, sample.status.value
    scans = [source.value for source in sample.ranges.values() if source.value is not None]
    yield (tick.kind, tick.stamp_ns, tick.log_time_ns, sample.reset)
    for entry in sample.sensors:
        yield (
            entry.name,
            entry.present,
            entry.topic,
            entry.stamp_ns,
            entry.age_ms,
            entry.absence,
        )
    if camera is not None:
        yield (camera.frame_id, camera.format, camera.width, camera.height, camera.step)
        yield bytes(camera.data)
    for scan in scans:
        yield (scan.frame_id, len(scan.points_m))
        for array in (scan.points_m, scan.intensity, scan.radial_speed_m_s):
            yield b"" if array is None else np.ascontiguousarray(array).tobytes()
    if status is not None:
        yield (status.names, status.values.shape)
        yield status.values.tobytes()
    calibration = sample.rig.calibration
    if calibration is not None:
        yield (calibration.frame_id, calibration.width, calibration.height, calibration.distortion_model)
        yield calibration.intrinsics.tobytes() + calibration.distortion.tobytes()
    for scan in scans:
        camera_from_scan = sample.rig.camera_from(scan.frame_id, scan.stamp_ns)
        yield b"" if camera_from_scan is None else np.ascontiguousarray(camera_from_scan).tobytes()
    for child, (parent, pose) in sorted(sample.rig.transforms.edges.items()):
        yield (child, parent)
        yield np.ascontiguousarray(pose).tobytes()
