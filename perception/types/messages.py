"""Messages: the raw record of a log, and what a sensor, rig or truth message decodes to.

A raw `Message` is one record of a log. `perception.logs.decode` turns it into one of the decoded messages.
Times are nanoseconds of the log's epoch: `log_time_ns` is arrival at the recorder, `stamp_ns` is when the
value was measured.

Dimension letters: N returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix, lens_problem
from perception.types.message_checks import check_array, check_image, check_times, check_values
from perception.types.placement import RigIssue
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
    data: bytes

    @property
    def topic(self) -> str:
        return self.channel.topic


TimeUnit = Literal["s", "ms", "us", "ns"]


class StampRule(NamedTuple):
    """How a user wants stamps to be read: the dotted path of the time, and the unit of a bare number."""

    field: str | None = None
    unit: TimeUnit | None = None


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
    data: bytes | memoryview
    format: str
    width: int
    height: int
    step: int = 0
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""
    mosaic: str = ""
    colours: str = ""

    def __post_init__(self) -> None:
        check_times(stamp_ns=self.stamp_ns, log_time_ns=self.log_time_ns)
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
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""

    def __post_init__(self) -> None:
        check_times(stamp_ns=self.stamp_ns, log_time_ns=self.log_time_ns)
        check_array("depth_m", self.depth_m, None, None)


@dataclass(frozen=True, slots=True, eq=False)
class RangeScan:
    """Returns of a range sensor in its own frame; a planar scan, a point cloud or radar tracks.

    `points_m` is [N, 3] float32 (x forward, y left, z up; `optical`: x right, y down, z forward, as a depth
    camera). A return that the sensor did not get is not finite: its place in the array is kept.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    points_m: Float32
    intensity: Float32 | None = None  # [N], the sensor's own unit
    radial_speed_m_s: Float32 | None = None  # [N], positive away from the sensor
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""
    optical: bool = False

    def __post_init__(self) -> None:
        check_times(stamp_ns=self.stamp_ns, log_time_ns=self.log_time_ns)
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
            points_m: [N, 3] in the sensor's frame, metres; not finite where nothing was measured.
            intensity: [N] in the sensor's unit.
            radial_speed_m_s: [N], positive away from the sensor.
            stamp_ns: The time of the measurement.
            log_time_ns: The time of arrival; None: the stamp.
            topic, frame_id: Names, for outputs and transforms.

        Raises:
            ValueError: An array has another shape, or does not hold numbers.
        """
        points = np.asarray(points_m)
        if points.dtype.kind not in "fiu" or points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"points_m: expected numbers [N, 3], found {points.dtype} {list(points.shape)}")
        columns = (
            _column("intensity", intensity, len(points)),
            _column("radial_speed_m_s", radial_speed_m_s, len(points)),
        )
        arrival_ns = stamp_ns if log_time_ns is None else log_time_ns
        return cls(topic, stamp_ns, arrival_ns, frame_id, points.astype(np.float32), *columns)


def _column(name: str, values: NDArray[np.floating[Any]] | None, count: int) -> Float32 | None:
    if values is None:
        return None
    column = np.asarray(values, np.float32)
    if column.shape != (count,):
        raise ValueError(f"{name}: expected [{count}], found {list(column.shape)}")
    return column


@dataclass(frozen=True, slots=True, eq=False)
class StatusReading:
    """Scalars measured at one moment, by dotted path (`twist.linear.x`, `wheel_speeds.0`)."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    values: Mapping[str, float]
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""

    def __post_init__(self) -> None:
        check_times(stamp_ns=self.stamp_ns, log_time_ns=self.log_time_ns)
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
        wrong = {k: v for k, v in values.items() if isinstance(v, bool) or not isinstance(v, int | float)}
        if wrong or not values:
            raise ValueError(f"expected numbers by name, such as speed=3.1; found {wrong or 'none'}")
        arrival_ns = stamp_ns if log_time_ns is None else log_time_ns
        return cls(topic, stamp_ns, arrival_ns, {name: float(value) for name, value in values.items()})


@dataclass(frozen=True, slots=True)
class RegionOfInterest:
    """The part of the full sensor that an image shows, in pixels of the full sensor, before binning."""

    x: int
    y: int
    width: int
    height: int
    do_rectify: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CameraInfo:
    """Intrinsics of a camera, as the message has them: nothing is scaled to an image here.

    `intrinsics` is K [3, 3] of the raw image of the full sensor, `width` x `height`; `distortion` and
    `distortion_model` are written as in the message. `rectification` R [3, 3] and `projection` P [3, 4] are
    None where the message leaves them at zero, `binning` is (1, 1) and `roi` None where it has none.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    width: int
    height: int
    intrinsics: Matrix
    distortion: Float64
    distortion_model: str = ""
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""
    rectification: Matrix | None = None
    projection: Matrix | None = None
    binning: tuple[int, int] = (1, 1)
    roi: RegionOfInterest | None = None

    def __post_init__(self) -> None:
        check_times(stamp_ns=self.stamp_ns, log_time_ns=self.log_time_ns)
        check_array("intrinsics", self.intrinsics, 3, 3)
        check_array("distortion", self.distortion, None)
        if self.rectification is not None:
            check_array("rectification", self.rectification, 3, 3)
        if self.projection is not None:
            check_array("projection", self.projection, 3, 4)

    @property
    def can_project(self) -> bool:
        """Whether points can be projected: a known lens, an image size, and focal lengths."""
        return self.problem is None

    @property
    def problem(self) -> RigIssue | None:
        """Why no point can be projected; None where points can."""
        return _problem(self)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTransform:
    """The pose of one frame in another: `parent_from_child` [4, 4], measured at `stamp_ns`."""

    parent: str
    child: str
    parent_from_child: Matrix
    stamp_ns: int

    def __post_init__(self) -> None:
        check_times(stamp_ns=self.stamp_ns)
        check_array("parent_from_child", self.parent_from_child, 4, 4)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTransforms:
    """Poses of frames, in the order of the message; `ignored` transforms of it could not be used."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    items: tuple[FrameTransform, ...]
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""
    ignored: int = 0
    ignored_reason: str = ""  # of the first

    @property
    def edges(self) -> dict[str, tuple[str, Matrix]]:
        """Child frame -> (parent frame, 4x4 `parent_from_child`), the last of each child."""
        return {item.child: (item.parent, item.parent_from_child) for item in self.items}


@dataclass(frozen=True, slots=True, eq=False)
class Undecodable:
    """A message that was read but cannot be understood; it is counted and named, never raised."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    reason: str
    source: bytes = b""
    stamped: bool = True
    stamp_problem: str = ""
    code: str = ""  # of a picture of a video: why it is lost (`perception.logs.video.losses`)


SensorMessage = CameraFrame | RangeScan | DepthImage | StatusReading
RigMessage = CameraInfo | FrameTransforms
TruthMessage = Cuboids | TruthBoxes
Decoded = SensorMessage | RigMessage | TruthMessage | VideoPacket | Undecodable


_LEAST_PIXEL = 1e-3


@lru_cache(maxsize=16)  # by identity: a calibration holds for many frames
def _problem(camera_info: CameraInfo) -> RigIssue | None:
    k, place = camera_info.intrinsics, f"the camera info {camera_info.topic}".rstrip()
    if reason := lens_problem(camera_info.distortion_model, camera_info.distortion):
        return RigIssue("unknown_lens", f"{place}: {reason}")
    if not (camera_info.width > 0 and camera_info.height > 0):
        return RigIssue("bad_camera_info", f"{place} has no image size")
    if not (k[0, 0] > 0 and k[1, 1] > 0):
        return RigIssue("bad_camera_info", f"{place} has no focal lengths")
    if max(abs(k[1, 0]), abs(k[2, 0]), abs(k[2, 1])) > _LEAST_PIXEL:
        return RigIssue("bad_camera_info", f"{place}: K is no camera matrix, or is written by columns")
    return None
