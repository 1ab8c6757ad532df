"""Measures what a process of its own adds to a frame: `python -m tests.pipeline.isolation.bench`.

The same plugin, which does nothing, answers the same 720p samples in this process and in one of its own, in
turn: once with 70 kB of JPEG, once with raw pixels. The bytes of each are new, as those of a message are that
has just arrived, and the rig is that of the sample before.
"""

from __future__ import annotations

import json
import time
from statistics import median

import numpy as np

from perception.pipeline.isolation import IsolatedPlugin
from perception.plugin import Context, Plugin
from perception.types import CameraFrame, Input, RangeScan, Rig, Sample, StatusWindow, Tick
from tests.plugins.hosts.loopback.plugins import NOTHING, NothingPlugin

FRAMES = 400
RIG = Rig()  # as of an aligner, where nothing has moved
RAW = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8).tobytes()


def sample(index: int, pixels: str) -> Sample:
    stamp_ns = index * 50_000_000
    size, stride = (len(RAW), 3 * 1280) if pixels == "rgb8" else (70_000, 0)
    data = bytes(memoryview(RAW)[:size])
    frame = CameraFrame("", stamp_ns, stamp_ns, "camera", data, pixels, 1280, 720, stride)
    scan = RangeScan.from_array(np.zeros((400, 3)), stamp_ns=stamp_ns)
    window = StatusWindow(stamp_ns, ("speed",), np.zeros((16, 1)))
    return Sample(
        Tick(index, "reference", stamp_ns, stamp_ns),
        Input("camera", "/camera", frame, stamp_ns, 0.0),
        Input("range", "/range", scan, stamp_ns, 0.0),
        Input("status", "/status", window, stamp_ns, 0.0),
        RIG,
    )


def answer_ms(plugin: Plugin, given: Sample) -> float:
    began_s = time.perf_counter()
    plugin.step([plugin.prepare(given)])
    return (time.perf_counter() - began_s) * 1e3


def main() -> None:
    isolated = IsolatedPlugin(NOTHING, in_order=True)
    isolated.open(Context())
    plugins: dict[str, Plugin] = {"here": NothingPlugin(), "isolated": isolated}
    for pixels in ("jpeg", "rgb8"):
        times: dict[str, list[float]] = {name: [] for name in plugins}
        for index in range(FRAMES):
            time.sleep(0.005)
            for name, plugin in plugins.items():
                times[name].append(answer_ms(plugin, sample(index, pixels)))
        row = {name: round(median(values), 3) for name, values in times.items()}
        print(json.dumps({"pixels": pixels, **row, "added_ms": round(row["isolated"] - row["here"], 3)}))
    isolated.close()


if __name__ == "__main__":
    main()
