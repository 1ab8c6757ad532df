"""What comes in: raw messages, decoded sensor, rig and truth messages, and samples.

A raw `Message` is one record of a log. `perception.logs.decode` turns it into one of the decoded
messages below. The aligner turns those into `Sample`s. Times are nanoseconds of the log's epoch:
`log_time_ns` is arrival at the recorder, `stamp_ns` is when the value was measured.

Dimension letters: N returns, T status steps, S status channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from perception.geometry import Matrix, TransformTree, is_known

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
T = TypeVar("T")

SENSORS = ("camera", "range", "status")
"""Names of the inputs, in the order of every `present` vector."""


# --- raw -----------------------------------------------------------------------------------------


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


# --- decoded -------------------------------------------------------------------------------------
# Every decoded message carries topic, stamp_ns, log_time_ns, and `source`: the bytes it came from
# (shared, not copied), which make duplicates recognisable. A program without bytes leaves it empty.


@dataclass(frozen=True, slots=True, eq=False)
class CameraFrame:
    """An encoded image. Pixels are made later (`perception.models.preprocess`), at the scale asked for.

    `format` is `jpeg`, `png`, `webp`, or a raw layout with `step` bytes a row: `rgb8`, `bgr8`, `rgba8`,
    `bgra8`, `mono8`, `mono16`, `bayer_rggb8` and its like, `uyvy`, `yuyv`, `yuv422`, `yuv422_yuy2`, or depth
    as `16UC1` (mm) or `32FC1` (m), all little-endian. `width` and `height` come from an encoded image's own
    header.
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


@dataclass(frozen=True, slots=True, eq=False)
class RangeScan:
    """Returns of a range sensor in its own frame; a planar scan, a point cloud or radar tracks.

    `points_m` is [N, 3] float32 (x forward, y left, z up for a scan). A return that the sensor did not
    get is not finite: its place in the array is kept.
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    points_m: Float32
    intensity: Float32 | None = None  # [N], the sensor's own unit
    radial_speed_m_s: Float32 | None = None  # [N], positive away from the sensor
    source: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class StatusReading:
    """Scalars measured at one moment, by dotted path (`twist.linear.x`, `wheel_speeds.0`)."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    values: Mapping[str, float]
    source: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class CameraInfo:
    """Intrinsics of a camera. `intrinsics` is K [3, 3]; `distortion` as `geometry.project` takes it."""

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

    @property
    def can_project(self) -> bool:
        """Whether points can be projected: a known lens, an image size, and focal lengths."""
        return _can_project(self)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTransforms:
    """Poses of frames. `edges`: child frame -> (parent frame, 4x4 `parent_from_child`)."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    edges: Mapping[str, tuple[str, Matrix]]
    source: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Cuboid:
    """A 3D truth box: `frame_from_box` [4, 4] puts its centre and axes into `frame_id`."""

    label: str
    track_id: str
    frame_id: str
    frame_from_box: Matrix
    size_m: tuple[float, float, float]  # along the axes


@dataclass(frozen=True, slots=True, eq=False)
class Cuboids:
    """Truth as 3D boxes, in the words of its own log (labels are mapped by the configuration)."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    items: tuple[Cuboid, ...]
    source: bytes = b""


@dataclass(frozen=True, slots=True)
class TruthBox:
    """A 2D truth box: `xyxy` in source pixels, clipped to the image; `visible` is a fraction 0 to 1."""

    label: str
    xyxy: tuple[float, float, float, float]
    distance_m: float
    visible: float
    track_id: str


@dataclass(frozen=True, slots=True, eq=False)
class TruthBoxes:
    """Truth as 2D boxes of one camera frame."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    items: tuple[TruthBox, ...]
    source: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class TruthFrame:
    """What is true at one tick. Never part of a sample: metrics and training join it by stamp.

    Attributes:
        boxes: None: nothing is known about objects at this moment, it is not scored. Empty: there are none.
        control: Channel -> what the driver commands 0.5 s ahead; None: not known.
        measured: Channel -> the last value of the same quantity that was measured by this moment (the command
            in force, not the one to come): what the persistence baseline predicts; None: not known.
    """

    stamp_ns: int
    boxes: tuple[TruthBox, ...] | None = None
    control: Mapping[str, float] | None = None
    measured: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Undecodable:
    """A message that was read but cannot be understood; it is counted and named, never raised."""

    topic: str
    stamp_ns: int
    log_time_ns: int
    reason: str
    source: bytes = b""


SensorMessage = CameraFrame | RangeScan | StatusReading
RigMessage = CameraInfo | FrameTransforms
TruthMessage = Cuboids | TruthBoxes
Decoded = SensorMessage | RigMessage | TruthMessage | Undecodable


# --- samples -------------------------------------------------------------------------------------


class Entry:
    """The account of one message: `row` says what became of it. Only `perception.align.ledger` writes it."""

    __slots__ = ("considered", "held", "log_time_ns", "missed", "row", "sampled", "stamp_ns", "topic")

    def __init__(self, topic: str, log_time_ns: int, stamp_ns: int, row: str) -> None:
        self.topic = topic
        self.log_time_ns = log_time_ns
        self.stamp_ns = stamp_ns
        self.row = row
        self.sampled = False  # part of at least one sample
        self.considered = False  # within reach of a tick that preferred another message
        self.missed = False  # within reach of a tick that had closed when it came
        self.held = 1  # the buffer it waits in, and each sample that is not done yet


@dataclass(frozen=True, slots=True)
class Tick:
    """The moment of a sample. `kind` is `substitute` when the reference sensor was silent.

    `index` counts the samples of one run; it is no part of what a tick is, since a run may start anywhere.
    """

    index: int = field(compare=False)
    kind: Literal["reference", "substitute"]
    stamp_ns: int
    log_time_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class StatusWindow:
    """The status over the last T steps, oldest first.

    `values` is [T, S] float64; NaN where nothing recent enough was known. `names` gives the S channels.
    """

    stamp_ns: int
    names: tuple[str, ...]
    values: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Input(Generic[T]):
    """One input of a sample: its value, or the reason why it is absent (then `value` is None)."""

    name: str
    topic: str
    value: T | None
    stamp_ns: int | None = None
    age_ms: float | None = None  # tick stamp less input stamp; negative for one measured after the tick
    reason: str = ""
    entries: tuple[Entry, ...] = ()

    @property
    def present(self) -> bool:
        return self.value is not None

    def absent(self, reason: str) -> Input[T]:
        """The same input, found unusable."""
        return replace(self, value=None, reason=reason)


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """Where the sensors sit, as far as it was known at the tick."""

    calibration: CameraInfo | None = None
    transforms: TransformTree = field(default_factory=TransformTree)

    def camera_from(self, frame_id: str) -> Matrix | None:
        """4x4 `camera_from_frame`, read-only, or None where calibration or transforms do not say."""
        return _camera_from(self, frame_id)


@lru_cache(maxsize=16)  # by identity: a calibration holds for many frames
def _can_project(camera_info: CameraInfo) -> bool:
    known = is_known(camera_info.distortion_model, camera_info.distortion)
    sized = camera_info.width > 0 and camera_info.height > 0
    k = camera_info.intrinsics
    return known and sized and bool(k[0, 0] > 0 and k[1, 1] > 0)


@lru_cache(maxsize=64)  # by identity: a rig holds for many frames
def _camera_from(rig: Rig, frame_id: str) -> Matrix | None:
    if rig.calibration is None:
        return None
    found = rig.transforms.target_from_source(rig.calibration.frame_id, frame_id)
    if found is not None:
        found.flags.writeable = False
    return found


@dataclass(frozen=True, slots=True)
class Reset:
    """Time is broken here: what was remembered before must not be used."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Everything known at one tick. `reset` is set on the first sample after a break in time."""

    tick: Tick
    camera: Input[CameraFrame]
    range: Input[RangeScan]
    status: Input[StatusWindow]
    rig: Rig
    reset: Reset | None = None

    @property
    def inputs(self) -> tuple[Input[Any], ...]:
        """The inputs in the order of `SENSORS`."""
        return (self.camera, self.range, self.status)

    def with_absent(self, reasons: Mapping[str, str]) -> Sample:
        """The same sample with the named inputs found unusable."""
        changed = {name: getattr(self, name).absent(reason) for name, reason in reasons.items()}
        return replace(self, **changed) if changed else self


def absent_sample(tick: Tick, reason: str, names: Sequence[str] = ("", "", "")) -> Sample:
    """A sample without any input: what short batches are padded with."""
    inputs: list[Input[Any]] = [
        Input(name, topic, None, reason=reason) for name, topic in zip(SENSORS, names, strict=True)
    ]
    camera, scan, status = inputs
    return Sample(tick, camera, scan, status, Rig())
