"""Samples and outputs as plain values: nothing is lost on the way, and a rig is sent once."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from perception.pipeline.isolation.plain_values import output_of, output_values
from perception.pipeline.isolation.shared_buffers import BufferReceiver, BufferSender
from perception.types import (
    Absent,
    CameraFrame,
    Control,
    ControlChannel,
    Detection,
    Detections,
    Input,
    Output,
    Placing,
    RangeScan,
    Reset,
    Rig,
    RigIssue,
    Sample,
    StatusWindow,
    Tick,
)

UNSENT = {"source", "entries"}
STAMP_NS = 7_000_000_000
BOX = Detection("car", 0.5, (0.0, 1.0, 2.0, 3.0), position_unknown="no_distance")


def frame(data: bytes | memoryview, **values: Any) -> CameraFrame:
    return CameraFrame(
        "/c", STAMP_NS, STAMP_NS + 1, "cam", data, "rgb8", 64, 48, 192, b"of the log", **values
    )


def scan(count: int, columns: bool = False) -> RangeScan:
    rng = np.random.default_rng(count)
    points = rng.normal(size=(count, 3)).astype(np.float32)
    more = {name: rng.normal(size=count).astype(np.float32) for name in ("intensity", "radial_speed_m_s")}
    return RangeScan("/r", STAMP_NS, STAMP_NS, "lidar", points, **(more if columns else {}), optical=columns)


def of(name: str, kind: str, value: Any, absence: Absent | None = None) -> Input[Any]:
    return Input(name, f"/{name}", value, STAMP_NS, 3.5, absence, kind=kind)


def window(names: tuple[str, ...]) -> StatusWindow:
    return StatusWindow(STAMP_NS, names, np.full((4, len(names)), np.nan))


def one_of_each(camera: Any = None, points: Any = None, **more: Any) -> Sample:
    lost = Absent.with_detail("stale", "250 ms old")
    sources = [
        of("camera", "camera", camera, None if camera else lost),
        of("range", "range", points, None if points is not None else lost),
        of("status", "status", window(("speed",))),
    ]
    return Sample(Tick(3, "substitute", STAMP_NS, STAMP_NS + 2), *sources, Rig(), **more)


def several() -> Sample:
    issue = (RigIssue("no_transform", "left: none", "left"),)
    cameras = {name: of(name, "camera", frame(bytes(9216))) for name in ("front", "left")}
    ranges = {name: of(name, "range", scan(900, columns=True)) for name in ("lidar", "radar")}
    statuses = {name: of(name, "status", window((name,))) for name in ("odom", "imu")}
    merged = of("status", "status", window(("odom", "imu")))
    return Sample(
        Tick(0, "reference", STAMP_NS, STAMP_NS),
        cameras["front"],
        ranges["radar"],
        merged,
        rig := Rig(picture_from_camera=np.eye(4)),
        issues=issue,
        cameras=cameras,
        ranges=ranges,
        statuses=statuses,
        placings={"front": Placing(rig, issue), "left": Placing(Rig())},
    )


SAMPLES = {
    "raw pixels": one_of_each(frame(bytes(range(256)) * 36), scan(2)),
    "a view of a message": one_of_each(frame(memoryview(bytes(9216)), colours="bt709"), scan(0)),
    "a small picture": one_of_each(frame(b"small", mosaic="bayer_rggb8"), scan(1000, columns=True)),
    "points in another order": one_of_each(
        points=replace(scan(1), points_m=np.asfortranarray(scan(700).points_m))
    ),
    "nothing but a status": one_of_each(reset=Reset("a seek"), issues=(RigIssue("silent", "none"),)),
    "several of each": several(),
}


def assert_same(found: Any, expected: Any) -> None:
    """Compare by the fields, the arrays by their bits, types and shapes."""
    if isinstance(expected, np.ndarray):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.flags.writeable
        assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, bytes | memoryview):
        assert bytes(found) == bytes(expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif hasattr(expected, "__dataclass_fields__"):
        assert type(found) is type(expected)
        for name in {field.name for field in fields(expected)} - UNSENT:
            assert_same(getattr(found, name), getattr(expected, name))
    elif isinstance(expected, Placing):
        assert_same(tuple(found), tuple(expected))
    elif isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(found) is type(expected)
        assert found == expected or found is expected or vars(found).keys() == vars(expected).keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_the_same_in_the_other_process(name: str) -> None:
    sender, receiver = BufferSender(), BufferReceiver()
    try:
        for _ in range(2):  # the second time without its rig
            found = receiver.unpack(sender.pack(SAMPLES[name]))
            assert_same(found, SAMPLES[name])
            assert found.camera is found.cameras[found.camera.name]
            assert found.range is found.ranges[found.range.name]
        del found
    finally:
        receiver.close()
        sender.close()


def test_a_rig_is_sent_once_and_is_one_object_there() -> None:
    sender, receiver = BufferSender(), BufferReceiver()
    first, again = (receiver.unpack(sender.pack(SAMPLES["raw pixels"])) for _ in range(2))
    assert again.rig is first.rig
    for _ in range(40):  # more than are kept: each new one is sent, the old one again
        assert receiver.unpack(sender.pack(replace(first, rig=Rig(), placings={}))).rig is not first.rig
    assert_same(receiver.unpack(sender.pack(SAMPLES["several of each"])).rig, SAMPLES["several of each"].rig)
    del first, again
    receiver.close()
    sender.close()


OUTPUTS = (
    Output(Tick(1, "reference", 5, 6), Detections(True, ("camera",), "", (BOX, BOX), "base"), None),
    Output(
        Tick(1, "reference", 5, 6),
        None,
        Control(True, ("status",), channels=(ControlChannel("speed", "m/s", np.float64(1.5)),)),
        {"input_range": "far"},
        {"grip": Control(False, error="none")},
        {"left": Detections(False, error="dark")},
    ),
)


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_output_is_the_same_in_the_host(output: Output) -> None:
    found = output_of(*pickle.loads(pickle.dumps(output_values(output))))
    assert found == output
    assert repr(found) == repr(output)  # types of numbers, too


@pytest.mark.parametrize("wrong", [None, (), 3, Output(Tick(1, "reference", 5, 6), (True, "x"), None)])
def test_what_is_no_output_comes_as_it_is(wrong: Any) -> None:
    assert output_of(*pickle.loads(pickle.dumps(output_values(wrong)))) == wrong
