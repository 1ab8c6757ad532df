"""A small real plugin that remembers: it answers with running means, so a seek without warm-up shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from perception.plugin import Context, Manifest, Plugin, Prepared
from perception.types import Control, ControlChannel, Detection, Detections, Output, Reset, Sample

MANIFEST = Manifest(
    api=1,
    name="memory",
    factory="tests.pipeline.memory_plugin:MemoryPlugin",
    inputs=("camera", "range", "status"),
    heads=("class", "box", "control"),
    preroll_s=1.0,
    max_batch=8,
)


class MemoryPlugin(Plugin):
    """The nearest return as a box; the mean speed and number of frames of the last second as control."""

    def __init__(self, manifest: Manifest = MANIFEST, fail_at: Sequence[int] = ()) -> None:
        self.manifest = manifest
        self.events: list[str] = []
        self._fail_at = set(fail_at)
        self._steps = 0
        self._past: deque[tuple[int, float, int]] = deque()

    def open(self, context: Context) -> None:
        self.events.append(f"open {context.device}")

    def prepare(self, sample: Sample) -> Prepared:
        near = np.inf
        if sample.range.value is not None:
            ranges = np.linalg.norm(sample.range.value.points_m, axis=1)
            near = float(np.min(ranges[np.isfinite(ranges)], initial=np.inf))
        size = len(sample.camera.value.data) if sample.camera.value is not None else 0
        speed = float(sample.status.value.values[-1, 0]) if sample.status.value is not None else 0.0
        return Prepared(sample, (near, size, speed))

    def step(self, prepared: Sequence[Prepared]) -> list[Output]:
        return [self._one(item) for item in prepared]

    def _one(self, item: Prepared) -> Output:
        near, size, speed = item.payload
        tick = item.sample.tick
        self._steps += 1
        if self._steps - 1 in self._fail_at:
            raise ValueError("as asked")
        self._past.append((tick.stamp_ns, speed, size))
        while self._past[0][0] <= tick.stamp_ns - 1_000_000_000:
            self._past.popleft()
        based_on = tuple(given.name for given in item.sample.inputs if given.present)
        if not based_on:
            return Output(tick, Detections(False, error="nothing"), Control(False, error="nothing"))
        found = ()
        if np.isfinite(near):
            found = (Detection("thing", 0.5, (0.0, 0.0, 1.0 + near, 2.0), (1.0,) * 4, near, 0.1),)
        mean = sum(v for _, v, _ in self._past) / len(self._past)
        total = float(sum(n for _, _, n in self._past))
        channels = (ControlChannel("mean", "m/s", mean, 1.0), ControlChannel("bytes", "B", total, 1.0))
        return Output(
            tick, Detections(True, based_on, items=found), Control(True, based_on, channels=channels)
        )

    def reset(self, reason: Reset) -> None:
        self.events.append(f"reset {reason.reason}")
        self._past.clear()

    def close(self) -> None:
        self.events.append("close")
