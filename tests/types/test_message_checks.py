"""Messages that a program makes are checked where they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from perception.types import CameraFrame, CameraInfo, DepthImage, FrameTransform, RangeScan, StatusReading
from perception.types.image_layouts import ENCODED, LAYOUTS


def frame(**changes: Any) -> CameraFrame:
    values: dict[str, Any] = {
        "topic": "/camera",
        "stamp_ns": 1,
        "log_time_ns": 1,
        "frame_id": "camera",
        "data": bytes(12),
        "format": "rgb8",
        "width": 2,
        "height": 2,
    }
    return CameraFrame(**{**values, **changes})


def info(**changes: Any) -> CameraInfo:
    values: dict[str, Any] = {"intrinsics": np.eye(3), "distortion": np.zeros(5), **changes}
    return CameraInfo("/info", 1, 1, "camera", 64, 48, **values)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a layout that nobody reads": (
        lambda: frame(format="bgr9"),
        r"format: .*found 'bgr9'; did you mean bgr8",
    ),
    "no format": (lambda: frame(format=""), "format: expected one of jpeg"),
    "pixels as data": (lambda: frame(data=np.zeros((2, 2, 3), np.uint8)), "data: expected bytes.*from_array"),
    "a width below 0": (lambda: frame(width=-1), "width: expected a number of pixels"),
    "a height that is no number": (lambda: frame(height=2.5), "height: .*2.5"),
    "seconds as a stamp": (lambda: frame(stamp_ns=1.5), "stamp_ns: expected whole nanoseconds, found 1.5"),
    "arrival missing": (lambda: frame(log_time_ns=None), "log_time_ns"),
    "points of two": (
        lambda: RangeScan("/s", 1, 1, "s", np.zeros((4, 2))),
        r"points_m: .*\[N, 3\].*4, 2",
    ),
    "points as a list": (lambda: RangeScan("/s", 1, 1, "s", [[1, 2, 3]]), "points_m: .*found list"),
    "a short column": (
        lambda: RangeScan("/s", 1, 1, "s", np.zeros((4, 3)), intensity=np.zeros(3)),
        r"intensity: .*\[4\], found float64 \[3\]",
    ),
    "values as a list": (lambda: StatusReading("/v", 1, 1, [1.0]), "values: expected numbers by name"),
    "text as a value": (lambda: StatusReading("/v", 1, 1, {"speed": "3"}), "'speed', found '3'"),
    "a flat depth": (lambda: DepthImage("/d", 1, 1, "d", np.zeros(4, np.float32)), "depth_m"),
    "intrinsics of a line": (
        lambda: info(intrinsics=np.zeros(9)),
        r"intrinsics: .*\[3, 3\], found",
    ),
    "projection without translation": (lambda: info(projection=np.eye(3)), r"projection: .*\[3, 4\]"),
    "a rotation for a transform": (lambda: FrameTransform("a", "b", np.eye(3), 1), "parent_from_child"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_where_the_message_is_made(name: str) -> None:
    make, text = WRONG[name]
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("image_format", [*ENCODED, *LAYOUTS, "JPEG", "bgr", "RGB8"])
def test_every_format_that_is_read_is_taken(image_format: str) -> None:
    assert frame(format=image_format).format == image_format


def test_numbers_of_numpy_are_numbers() -> None:
    made = frame(stamp_ns=np.int64(1), width=np.int32(2))
    assert made.stamp_ns == 1
    assert StatusReading("/v", 1, 1, {"speed": np.float32(2.0)}).values["speed"] == 2.0


def test_a_scan_shares_no_array_with_the_program() -> None:
    points, intensity, speed = np.ones((2, 3), np.float32), np.ones(2, np.float32), np.ones(2, np.float32)
    scan = RangeScan.from_array(points, intensity=intensity, radial_speed_m_s=speed)
    for array in (points, intensity, speed):
        array[:] = 9
    assert scan.intensity is not None
    assert scan.radial_speed_m_s is not None
    assert scan.points_m.max() == scan.intensity.max() == scan.radial_speed_m_s.max() == 1


def test_what_is_masked_was_not_measured() -> None:
    points = np.ma.masked_equal(np.array([[1, 2, 3], [4, -1, 6]]), -1)
    intensity = np.ma.masked_greater(np.array([5.0, 80.0]), 50)
    scan = RangeScan.from_array(points, intensity=intensity)
    assert type(scan.points_m) is np.ndarray
    np.testing.assert_array_equal(scan.points_m, [[1, 2, 3], [4, np.nan, 6]])
    np.testing.assert_array_equal(scan.intensity, [5, np.nan])


@pytest.mark.parametrize("kind", [np.uint64, np.int64, np.int32])
def test_times_of_numpy_are_held_as_whole_numbers(kind: Callable[[int], Any]) -> None:
    messages = [
        CameraFrame.from_array(np.zeros((2, 2, 3), np.uint8), stamp_ns=kind(7)),
        RangeScan.from_array(np.zeros((1, 3)), stamp_ns=kind(7)),
        StatusReading.of(stamp_ns=kind(7), speed=1.0),
        frame(stamp_ns=kind(7), log_time_ns=kind(7)),
    ]
    for message in messages:
        assert (type(message.stamp_ns), type(message.log_time_ns)) == (int, int)
        assert (message.stamp_ns, message.log_time_ns) == (7, 7)


def test_a_reading_takes_numbers_of_numpy() -> None:
    given = {"a": np.float32(3.5), "b": np.int64(3), "c": np.float16(1), "d": 2}
    assert StatusReading.of(**given).values == {"a": 3.5, "b": 3.0, "c": 1.0, "d": 2.0}  # type: ignore[arg-type]
    for wrong in (True, np.bool_(True), "3", None):
        with pytest.raises(ValueError, match="expected numbers by name"):
            StatusReading.of(speed=wrong)  # type: ignore[arg-type]
