"""Small logs to order: any topics, schemas, rates and clocks, with the messages of real formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.LaserScan_pb2 import LaserScan
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from mcap_protobuf.schema import build_file_descriptor_set

from perception.logs import LogWriter
from perception.logs.perception_proto import SCHEMAS, encode_control, encode_truth
from perception.types import Control, ControlChannel, Schema, Tick, TruthBox

START_NS = 1_700_000_000_000_000_000
Make = Callable[[int, int], bytes]  # index, stamp -> payload


def foxglove_schema(message: type) -> Schema:
    """Return the schema of a Foxglove message."""
    data = build_file_descriptor_set(message).SerializeToString(deterministic=True)
    return Schema(message.DESCRIPTOR.full_name, "protobuf", data)  # type: ignore[attr-defined]


class SmallLog:
    """Collects streams, then writes them in order of arrival."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, bytes, Schema | None, str]] = []

    def stream(
        self,
        topic: str,
        schema: Schema | None,
        encoding: str,
        make: Make,
        *,
        hz: float = 10.0,
        seconds: float = 2.0,
        start_s: float = 0.0,
        delay_s: float = 0.0,
        drop: range | tuple[int, ...] = (),
    ) -> SmallLog:
        """Messages at a rate; `delay_s` from stamp to arrival; indices in `drop` are left out."""
        for i in range(round(seconds * hz)):
            stamp = START_NS + round((start_s + i / hz) * 1e9)
            if i not in drop:
                self.rows.append((stamp + round(delay_s * 1e9), topic, make(i, stamp), schema, encoding))
        return self

    def image(
        self,
        topic: str = "/camera/image",
        frame: str = "camera",
        size: tuple[int, int] = (64, 48),
        noisy: bool = False,
        frozen: bool = False,
        **how: object,
    ) -> SmallLog:
        pixels = np.empty((size[1], size[0], 3), np.uint8)
        pixels[:] = np.linspace(80, 100, size[0])[:, None]  # of one colour it would count as absent
        if noisy:  # as large as a JPEG of that size gets
            pixels = np.random.default_rng(0).integers(0, 255, pixels.shape, np.uint8)
        if frozen:  # else no picture equals the one before
            pictures = [cv2.imencode(".jpg", pixels)[1].tobytes()]
        else:
            pictures = [cv2.imencode(".jpg", pixels + shade)[1].tobytes() for shade in (0, 4)]

        def make(i: int, stamp: int) -> bytes:
            data = pictures[i % len(pictures)]
            message = CompressedImage(frame_id=frame, format="jpeg", data=data)
            message.timestamp.FromNanoseconds(stamp)
            return message.SerializeToString()

        return self.stream(topic, foxglove_schema(CompressedImage), "protobuf", make, **how)  # type: ignore[arg-type]

    def raw_image(
        self,
        topic: str,
        encoding: str,
        frame: str = "camera",
        size: tuple[int, int] = (64, 48),
        **how: object,
    ) -> SmallLog:
        """A raw image of an encoding; depth is 2 m everywhere in millimetres."""
        sample = {"16UC1": 2, "mono16": 2, "mono8": 1}.get(encoding, 3)
        row = np.full(size[0], 2000, "<u2").tobytes() if sample == 2 else bytes(size[0] * sample)

        def make(i: int, stamp: int) -> bytes:
            message = RawImage(frame_id=frame, width=size[0], height=size[1], encoding=encoding)
            message.step, message.data = size[0] * sample, row * size[1]
            message.timestamp.FromNanoseconds(stamp)
            return message.SerializeToString()

        return self.stream(topic, foxglove_schema(RawImage), "protobuf", make, **how)  # type: ignore[arg-type]

    def scan(
        self,
        topic: str = "/scan",
        frame: str = "laser",
        ranges: Callable[[int], list[float]] | None = None,
        **how: object,
    ) -> SmallLog:
        def make(i: int, stamp: int) -> bytes:
            held = ranges(i) if ranges else [5.0] * 8
            message = LaserScan(frame_id=frame, start_angle=-1, end_angle=1, ranges=held)
            message.timestamp.FromNanoseconds(stamp)
            message.pose.orientation.w = 1.0
            return message.SerializeToString()

        return self.stream(topic, foxglove_schema(LaserScan), "protobuf", make, **how)  # type: ignore[arg-type]

    def json(
        self, topic: str, values: Callable[[int], Mapping[str, object]], name: str = "", **how: object
    ) -> SmallLog:
        def make(i: int, stamp: int) -> bytes:
            return json.dumps({"timestamp_ns": stamp, **values(i)}).encode()

        schema = Schema(name or "Status", "jsonschema", b"{}")
        return self.stream(topic, schema, "json", make, **how)  # type: ignore[arg-type]

    def status(self, topic: str = "/vehicle/state", **how: object) -> SmallLog:
        return self.json(
            topic, lambda i: {"speed": 3 + 0.1 * i, "yaw_rate": 0.01 * i, "acceleration": -0.1 * i}, **how
        )

    def calibration(
        self,
        topic: str = "/camera/calibration",
        frame: str = "camera",
        size: tuple[int, int] = (64, 48),
        focal: float = 50.0,
        **how: object,
    ) -> SmallLog:
        def make(i: int, stamp: int) -> bytes:
            k = [focal, 0, size[0] / 2, 0, focal, size[1] / 2, 0, 0, 1]
            message = CameraCalibration(frame_id=frame, width=size[0], height=size[1], K=k)
            message.timestamp.FromNanoseconds(stamp)
            return message.SerializeToString()

        return self.stream(topic, foxglove_schema(CameraCalibration), "protobuf", make, **{"hz": 1.0, **how})  # type: ignore[arg-type]

    def transforms(
        self,
        topic: str = "/tf",
        edges: tuple[tuple[str, str], ...] = (("base", "camera"), ("base", "laser")),
        **how: object,
    ) -> SmallLog:
        def make(i: int, stamp: int) -> bytes:
            message = FrameTransforms()
            for parent, child in edges:
                edge = message.transforms.add(parent_frame_id=parent, child_frame_id=child)
                edge.timestamp.FromNanoseconds(stamp)
                edge.rotation.w = 1.0
                if child == "camera":  # an optical frame: x right, y down, z forward
                    rotation = edge.rotation
                    rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5
            return message.SerializeToString()

        return self.stream(topic, foxglove_schema(FrameTransforms), "protobuf", make, **{"hz": 1.0, **how})  # type: ignore[arg-type]

    def truth(self, topic: str = "/truth/detections", apart_m: float = 0.0, **how: object) -> SmallLog:
        """A box in each message, each as much farther away than the one before."""

        def make(i: int, stamp: int) -> bytes:
            box = TruthBox("car", (1.0, 2.0, 3.0, 4.0), 5.0 + apart_m * i, 1.0, "1")
            return encode_truth(stamp, "camera", [box])

        return self.stream(topic, SCHEMAS["perception.Detections"], "protobuf", make, **how)  # type: ignore[arg-type]

    def cuboids(self, topic: str = "/annotations/cuboids", **how: object) -> SmallLog:
        return self.stream(topic, foxglove_schema(SceneUpdate), "protobuf", lambda i, s: b"", **how)  # type: ignore[arg-type]

    def control(self, topic: str = "/truth/control", **how: object) -> SmallLog:
        channels = (
            ControlChannel("curvature", "1/m", 0.1),
            ControlChannel("acceleration", "m/s2", 0.2),
        )

        def make(i: int, stamp: int) -> bytes:
            return encode_control(Tick(0, "reference", stamp, stamp), Control(True, channels=channels))

        return self.stream(topic, SCHEMAS["perception.Control"], "protobuf", make, **how)  # type: ignore[arg-type]

    def sound(self) -> SmallLog:
        """A log with everything and nothing wrong."""
        return self.image(delay_s=0.03).calibration().transforms().scan().status(hz=50.0).truth().control()

    def write(self, path: Path) -> Path:
        with LogWriter(path, flush_by="log") as log:
            for log_time, topic, data, schema, encoding in sorted(self.rows, key=lambda row: row[:2]):
                log.write(topic, data, schema=schema, encoding=encoding, log_time_ns=log_time)
        return path
