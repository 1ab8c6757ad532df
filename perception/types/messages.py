"""Messages: the raw record of a log, and what a sensor, rig or truth message decodes to.

A raw `Message` is one record of a log. `perception.logs.decode` turns it into one of the decoded messages.
Times are nanoseconds of the log's epoch: `log_time_ns` is arrival at the recorder, `stamp_ns` is when the
value was measured.

Dimension letters: N returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.types.message_checks import (
    check_array,
    check_image,
    check_values,
    column_copy,
    float_copy,
    hold_times,
)
from perception.types.rig_messages import RigMessage
from perception.types.truth import Cuboids, TruthBoxes
from perception.types.video_packet import VideoPacket

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Schema:
    """How the bytes of a channel are laid out."""

    name: str
    encoding: str  # protobuf, jsonschema, ros2msg, ros2idl, ros1msg, or empty
    data: bytes


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream of a log. Compared by identity where speed matters: one object per channel."""

    id: int
    topic: str
    encoding: str  # protobuf, json, cdr, ros1, or anything else (then undecodable)
    schema: Schema | None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One record of a log, as it was written."""

    channel: Channel
    log_time_ns: int
    publish_time_ns: int
    sequence: int
    data: bytes = field(repr=False)

    @property
    def topic(self) -> str:
        return self.channel.topic


# Every decoded message carries topic, stamp_ns, log_time_ns, and
# - `source`: the bytes it came from (shared, not copied), which make duplicates recognisable; empty where a
#   program makes the message;
# - `stamped`: whether `stamp_ns` is the message's own. False: it has none that can be used, and `stamp_ns` is
#   its publish time or its arrival;
# - `stamp_problem`: why a time that the message does carry could not be used; empty: it carries none.


@dataclass(frozen=True, slots=True, eq=False)
class CameraFrame:
    """An encoded image. Pixels are made later (`perception.models.preprocess`), at the scale asked for.

    `format` is `jpeg`, `png`, `webp`, or a raw layout with `step` bytes a row, little-endian
    (`perception.types.image_layouts`: `rgb8`, `mono16`, `bayer_rggb8`, `nv12`, ...). `width` and
    `height` come from an encoded image's own header. `mosaic` is the Bayer layout of an encoded image of one
    channel that is the mosaic of a colour sensor; else empty. `colours` is that of a decoded picture of a
    video, whose format is `i420` without padding (planes of Y, U and V; those of U and V have half
    the sides, rounded up): its matrix and range (`bt601`, `bt709 full`, ...); else empty.

    Raises:
        ValueError: The format is not read, the data are not bytes, or a size or time is not a whole number.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    data: bytes | memoryview = field(repr=False)
    format: str
    width: int
    height: int
    step: int = 0
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""
    mosaic: str = ""
    colours: str = ""

    def __post_init__(self) -> None:
        hold_times(self)
        check_image(self.data, self.format, self.width, self.height)

    @classmethod
    def from_array(
        cls,
        rgb: NDArray[np.uint8],
        *,
        stamp_ns: int = 0,
        log_time_ns: int | None = None,
        topic: str = "",
        frame_id: str = "camera",
    ) -> CameraFrame:
        """Return the frame of an image in memory.

        >>> frame = CameraFrame.from_array(np.zeros((480, 640, 3), np.uint8), stamp_ns=1)
        >>> frame.width, frame.height, frame.format
        (640, 480, 'rgb8')

        Args:
            rgb: uint8 [H, W, 3], red first; copied.
            stamp_ns: The time of the exposure.
            log_time_ns: The time of arrival; None: the stamp.
            topic, frame_id: Names, for outputs and transforms.

        Raises:
            ValueError: The array has another type or shape.
        """
        array = np.asarray(rgb)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            raise ValueError(f"rgb: expected uint8 [H, W, 3], found {array.dtype} {list(array.shape)}")
        height, width = array.shape[:2]
        arrival_ns = stamp_ns if log_time_ns is None else log_time_ns
        data = np.ascontiguousarray(array).tobytes()
        return cls(topic, stamp_ns, arrival_ns, frame_id, data, "rgb8", width, height, 3 * width)


@dataclass(frozen=True, slots=True, eq=False)
class DepthImage:
    """Distances along the optical axis, a pixel each: `depth_m` [H, W] float32, NaN where none was measured.

    What a depth image decodes to where it is configured as a range sensor. With the intrinsics of its camera
    it becomes a `RangeScan`.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    depth_m: Float32
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""

    def __post_init__(self) -> None:
        hold_times(self)
        check_array("depth_m", self.depth_m, None, None)


@dataclass(frozen=True, slots=True, eq=False)
class RangeScan:
    """Returns of a range sensor in its own frame; a planar scan, a point cloud or radar tracks.

    `points_m` is [N, 3] float32 (x forward, y left, z up; `optical`: x right, y down, z forward, as a depth
    camera). A return that the sensor did not get is not finite: its place in the array is kept. `doubt` says
    how the message contradicts itself; empty: it does not.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    points_m: Float32
    intensity: Float32 | None = None  # [N], the sensor's own unit
    radial_speed_m_s: Float32 | None = None  # [N], positive away from the sensor
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""
    optical: bool = False
    doubt: str = ""

    def __post_init__(self) -> None:
        hold_times(self)
        check_array("points_m", self.points_m, None, 3)
        for name in ("intensity", "radial_speed_m_s"):
            if (column := getattr(self, name)) is not None:
                check_array(name, column, len(self.points_m))

    @classmethod
    def from_array(
        cls,
        points_m: NDArray[np.floating[Any]],
        *,
        intensity: NDArray[np.floating[Any]] | None = None,
        radial_speed_m_s: NDArray[np.floating[Any]] | None = None,
        stamp_ns: int = 0,
        log_time_ns: int | None = None,
        topic: str = "",
        frame_id: str = "range",
    ) -> RangeScan:
        """Return the scan of points in memory.

        >>> RangeScan.from_array(np.array([[4.0, 0.5, 0.0]])).points_m.shape
        (1, 3)

        Args:
            points_m: [N, 3] in the sensor's frame, metres; not finite where nothing was measured. Arrays are
                copied; what is masked in them becomes NaN.
            intensity: [N] in the sensor's unit.
            radial_speed_m_s: [N], positive away from the sensor.
            stamp_ns: The time of the measurement.
            log_time_ns: The time of arrival; None: the stamp.
            topic, frame_id: Names, for outputs and transforms.

        Raises:
            ValueError: An array has another shape, or does not hold numbers.
        """
        points = np.asanyarray(points_m)
        if points.dtype.kind not in "fiu" or points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"points_m: expected numbers [N, 3], found {points.dtype} {list(points.shape)}")
        columns = (
            column_copy("intensity", intensity, len(points)),
            column_copy("radial_speed_m_s", radial_speed_m_s, len(points)),
        )
        arrival_ns = stamp_ns if log_time_ns is None else log_time_ns
        return cls(topic, stamp_ns, arrival_ns, frame_id, float_copy(points), *columns)


@dataclass(frozen=True, slots=True, eq=False)
class StatusReading:
    """Scalars measured at one moment, by dotted path (`twist.linear.x`, `wheel_speeds.0`)."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    values: Mapping[str, float]
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""

    def __post_init__(self) -> None:
        hold_times(self)
        check_values(self.values)

    @classmethod
    def of(
        cls, *, stamp_ns: int = 0, log_time_ns: int | None = None, topic: str = "", **values: float
    ) -> StatusReading:
        """Return the reading of some scalars.

        >>> StatusReading.of(stamp_ns=1, speed=3.1, yaw_rate=0.02).values["speed"]
        3.1

        Raises:
            ValueError: There is no value, or one is not a number.
        """
        wrong = {k: v for k, v in values.items() if isinstance(v, bool) or not isinstance(v, Real)}
        if wrong or not values:
            raise ValueError(f"expected numbers by name, such as speed=3.1; found {wrong or 'none'}")
        arrival_ns = stamp_ns if log_time_ns is None else log_time_ns
        return cls(topic, stamp_ns, arrival_ns, {name: float(value) for name, value in values.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Undecodable:
    """A message that was read but cannot be understood; it is counted and named, never raised."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    reason: str
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""
    code: str = ""  # of a picture of a video that is lost, or a depth image that is not placed: why


SensorMessage = CameraFrame | RangeScan | DepthImage | StatusReading
TruthMessage = Cuboids | TruthBoxes
Decoded = SensorMessage | RigMessage | TruthMessage | VideoPacket | Undecodable
