"""Samples and outputs that the tests of sinks share; all values are functions of the tick's index."""

from __future__ import annotations

import cv2
import numpy as np

from perception.geometry import TransformTree, pose_matrix
from perception.types import (
    Absent,
    CameraFrame,
    CameraInfo,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Input,
    Output,
    RangeScan,
    Rig,
    Sample,
    StatusWindow,
    Tick,
    TruthBox,
    TruthFrame,
)

START_NS = 1_700_000_000_123_456_789
STEP_NS = 100_000_000
WIDTH, HEIGHT = 320, 240


def tick_of(index: int, kind: str = "reference") -> Tick:
    stamp_ns = START_NS + index * STEP_NS
    return Tick(index, kind, stamp_ns, stamp_ns + 7_000_000)


def jpeg_of(index: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A flat image whose grey level tells the index."""
    done, data = cv2.imencode(".jpg", np.full((height, width, 3), 40 + 10 * (index % 16), np.uint8))
    assert done
    return data.tobytes()


def sample_of(index: int, kind: str = "reference", *, width: int = WIDTH, height: int = HEIGHT) -> Sample:
    """All inputs are there; on substitute ticks the camera is silent. The lidar sits at the camera."""
    tick = tick_of(index, kind)
    stamp = tick.stamp_ns
    camera = Input("camera", "/camera/image", None, absence=Absent("silent", "silent for 150 ms"))
    if kind == "reference":
        frame = CameraFrame(
            "/camera/image",
            stamp,
            tick.log_time_ns,
            "cam",
            jpeg_of(index, width, height),
            "jpeg",
            width,
            height,
        )
        camera = Input("camera", "/camera/image", frame, stamp, 0.0)
    points = np.array([[5.0, 0.0, 0.0], [20.0, -4.0, 0.5], [np.nan, 0.0, 0.0], [-3.0, 0.0, 0.0]], np.float32)
    scan = RangeScan("/scan", stamp - 12_000_000, tick.log_time_ns, "lidar", points)
    status = StatusWindow(stamp, ("speed",), np.full((4, 1), 3.0))
    k = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]])
    calibration = CameraInfo("/cal", stamp, stamp, "cam", width, height, k, np.zeros(5), "plumb_bob")
    # cam: x right, y down, z forward, seen from a lidar with x forward, y left, z up
    edges = {"cam": ("lidar", pose_matrix((0, 0, 0), (-0.5, 0.5, -0.5, 0.5)))}
    return Sample(
        tick,
        camera,
        Input("range", "/scan", scan, stamp - 12_000_000, 12.0),
        Input("status", "/vehicle/state", status, stamp, 0.0),
        Rig(calibration, TransformTree(edges)),
    )


def output_of(index: int, kind: str = "reference") -> Output:
    tick = tick_of(index, kind)
    based_on = ("camera", "range", "status") if kind == "reference" else ("range", "status")
    items = (
        Detection(
            "car", 0.9, (40.0, 60.0, 120.0, 160.0), (1.0, 2.0, 3.0, 4.0), 12.5 + index, 0.75, 0.8, "t1"
        ),
        Detection("person", 0.6, (200.25, 80.0, 230.0, 170.5), (2.0,) * 4, 7.0, 0.5),
        Detection("car", 0.05, (10.0, 10.0, 30.0, 30.0), (2.0,) * 4, 30.0, 9.0),
    )
    channels = (
        ControlChannel("curvature", "1/m", 0.01 * (1 + index % 3), 0.002),
        ControlChannel("acceleration", "m/s2", -0.5, 0.25),
    )
    return Output(
        tick,
        Detections(True, based_on, "", items),
        Control(True, based_on, "", channels),
        {"input_range": "far"},
    )


def truth_of(index: int) -> TruthFrame:
    box = TruthBox("car", (44.0, 64.0, 124.0, 164.0), 12.0, 0.9, "t1")
    return TruthFrame(tick_of(index).stamp_ns, (box,))
