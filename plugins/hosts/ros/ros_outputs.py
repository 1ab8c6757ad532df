"""Outputs of a plugin as messages of ROS: `vision_msgs`, and a drive command.

Reference: vision_msgs 4.1 (ROS 2) and 0.0.2 (ROS 1), ackermann_msgs, geometry_msgs. Boxes are pixels of the
image as recorded, positions are metres in the frame of the header; a value that is unknown is left out, and
an invalid head is not published at all: who waits for it times out, instead of reading zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from perception.types import Control, Detection, Detections, Output, Sample, camera_views
from perception_plugins.hosts.ros.message_types import MessageTypes

ControlMessage = Literal["ackermann", "twist", "none"]

DETECTIONS_2D = "vision_msgs/msg/Detection2DArray"
DETECTIONS_3D = "vision_msgs/msg/Detection3DArray"
ACKERMANN = "ackermann_msgs/msg/AckermannDriveStamped"
TWIST = "geometry_msgs/msg/TwistStamped"
_COVARIANCE = 36  # of a pose: x, y, z and three rotations
_ANY_ANGLE_RAD2 = math.pi**2 / 3
"""The variance of a rotation of which nothing is known: that of a uniform angle."""


class Outgoing(NamedTuple):
    """One message to publish; `topic` is relative to the node (`detections`, `left/detections`)."""

    topic: str
    type_name: str
    message: Any


class ControlOptions(NamedTuple):
    """How a drive command is made.

    Attributes:
        message: The type of the message, or none.
        wheelbase_m: Between the axles: with it a curvature becomes a steering angle.
        ahead_s: How far ahead of the tick the command of the control head is.
    """

    message: ControlMessage = "twist"
    wheelbase_m: float | None = None
    ahead_s: float = 0.5


class RosOutputs:
    """Turns samples and outputs into messages.

    Args:
        types: The message types of the ROS version.
        control: How drive commands are made.

    Attributes:
        unsent: Why a head was not published the last time, by topic; empty text: it was.
    """

    def __init__(self, types: MessageTypes, control: ControlOptions | None = None) -> None:
        self._types = types
        self._control = control or ControlOptions()
        self._classes: dict[str, int] = {}
        self.unsent: dict[str, str] = {}

    def number_classes(self, classes: Sequence[str]) -> None:
        """Number the plugin's classes: ROS 1 has no room for their names, which get an `id` (-1: unknown)."""
        self._classes = {name: index for index, name in enumerate(classes) if name}

    def topics(self, cameras: Sequence[str] = ()) -> dict[str, str]:
        """Return the type of each relative topic that outputs may be published on."""
        heads = {"detections": DETECTIONS_2D, "detections_3d": DETECTIONS_3D}
        names = cameras if len(cameras) > 1 else ("",)
        found = {f"{name}/{head}".lstrip("/"): kind for name in names for head, kind in heads.items()}
        if self._control.message != "none":
            found["control"] = ACKERMANN if self._control.message == "ackermann" else TWIST
        return found

    def messages(self, sample: Sample, output: Output) -> Iterator[Outgoing]:
        """Yield the messages of one tick, detections before control."""
        for view in camera_views(sample, output):
            prefix = f"{view.camera}/" if output.cameras else ""
            detections = view.output.detections
            if detections is not None:
                yield from self._detections(prefix, view.sample, detections)
        if output.control is not None and self._control.message != "none":
            yield from self._drive(sample, output.control)

    # --- detections ------------------------------------------------------------------------------

    def _detections(self, prefix: str, sample: Sample, head: Detections) -> Iterator[Outgoing]:
        flat, placed = f"{prefix}detections", f"{prefix}detections_3d"
        if not head.valid:
            self.unsent[flat] = self.unsent[placed] = head.error or "the head is invalid"
            return
        frame = sample.camera.value
        stamp_ns = sample.tick.stamp_ns if frame is None else frame.stamp_ns
        calibration = sample.rig.calibration
        frame_id = frame.frame_id if frame else calibration.frame_id if calibration else ""
        header = self._header(stamp_ns, frame_id)
        items = [self._flat(item, header) for item in head.items]
        yield self._sent(flat, DETECTIONS_2D, header=header, detections=items)
        if not head.position_frame:
            self.unsent[placed] = (
                "no positions are stated (they need base_frame, a camera info and transforms)"
            )
            return
        header = self._header(stamp_ns, head.position_frame)
        items = [self._placed(item, header) for item in head.items if item.position_m is not None]
        yield self._sent(placed, DETECTIONS_3D, header=header, detections=items)

    def _flat(self, item: Detection, header: Any) -> Any:
        x1, y1, x2, y2 = item.xyxy
        box = self._make("BoundingBox2D", center=self._centre((x1 + x2) / 2, (y1 + y2) / 2))
        box.size_x, box.size_y = x2 - x1, y2 - y1
        return self._detection("Detection2D", item, header, box)

    def _placed(self, item: Detection, header: Any) -> Any:
        box = self._make("BoundingBox3D", center=self._pose(item))
        return self._detection("Detection3D", item, header, box)

    def _detection(self, name: str, item: Detection, header: Any, box: Any) -> Any:
        track = {"id": item.track_id} if self._is_ros2 else {}
        results = [self._hypothesis(item)]
        return self._make(name, header=header, results=results, bbox=box, **track)

    def _hypothesis(self, item: Detection) -> Any:
        pose: dict[str, Any] = {}
        if item.position_m is not None:
            covariance = _pose_covariance(item)
            pose["pose"] = self._geometry("PoseWithCovariance", pose=self._pose(item), covariance=covariance)
        if not self._is_ros2:
            number = self._classes.get(item.label, -1)
            return self._make("ObjectHypothesisWithPose", id=number, score=float(item.score), **pose)
        hypothesis = self._make("ObjectHypothesis", class_id=item.label, score=float(item.score))
        return self._make("ObjectHypothesisWithPose", hypothesis=hypothesis, **pose)

    def _pose(self, item: Detection) -> Any:
        x, y, z = (float(value) for value in item.position_m or (0.0, 0.0, 0.0))
        upright = self._geometry("Quaternion", w=1.0)
        return self._geometry("Pose", position=self._geometry("Point", x=x, y=y, z=z), orientation=upright)

    def _centre(self, x: float, y: float) -> Any:
        if not self._is_ros2:
            return self._geometry("Pose2D", x=x, y=y)
        return self._make("Pose2D", position=self._make("Point2D", x=x, y=y))

    # --- control ---------------------------------------------------------------------------------

    def _drive(self, sample: Sample, head: Control) -> Iterator[Outgoing]:
        if not head.valid:
            self.unsent["control"] = head.error or "the head is invalid"
            return
        values = {channel.name: channel.value for channel in head.channels}
        try:
            command = drive_command(values, _speed_now(sample), self._control)
        except ValueError as error:
            self.unsent["control"] = str(error)
            return
        header = self._header(sample.tick.stamp_ns, "base_link")
        if self._control.message == "ackermann":
            drive = self._types.make("ackermann_msgs/msg/AckermannDrive", **command)
            yield self._sent("control", ACKERMANN, header=header, drive=drive)
            return
        linear = self._geometry("Vector3", x=command["speed"])
        angular = self._geometry("Vector3", z=command["yaw_rate"])
        twist = self._geometry("Twist", linear=linear, angular=angular)
        yield self._sent("control", TWIST, header=header, twist=twist)

    # --- parts -----------------------------------------------------------------------------------

    @property
    def _is_ros2(self) -> bool:
        return self._types.encoding == "cdr"

    def _sent(self, topic: str, name: str, **fields: Any) -> Outgoing:
        self.unsent[topic] = ""
        return Outgoing(topic, name, self._types.make(name, **fields))

    def _make(self, name: str, **fields: Any) -> Any:
        return self._types.make(f"vision_msgs/msg/{name}", **fields)

    def _geometry(self, name: str, **fields: Any) -> Any:
        return self._types.make(f"geometry_msgs/msg/{name}", **fields)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        return header(self._types, stamp_ns, frame_id)


def header(types: MessageTypes, stamp_ns: int, frame_id: str = "") -> Any:
    """Return a `std_msgs/Header`."""
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    stamp = types.make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return types.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def drive_command(values: dict[str, float], speed_m_s: float | None, how: ControlOptions) -> dict[str, float]:
    """Return the fields of a drive command from the values of a control head.

    The head's own `speed` is taken where it has one; else the present speed plus the acceleration over
    the time that the command lies ahead. A `steering_angle` (rad) is taken as it is, or made of
    `curvature` (1/m) by the kinematic bicycle model, atan(wheelbase * curvature).

    Returns:
        For `ackermann` steering_angle, speed and acceleration; for `twist` speed and yaw_rate.

    Raises:
        ValueError: A value that the message needs is not known; says which and what to do.
    """
    acceleration = values.get("acceleration", 0.0)
    speed = values.get("speed")
    if speed is None:
        if speed_m_s is None:
            raise ValueError("the speed is not known: configure a status sensor with a channel `speed`")
        speed = speed_m_s + acceleration * how.ahead_s
    curvature = _curvature(values, how)
    if how.message == "twist":
        command = {"speed": speed, "yaw_rate": values.get("yaw_rate", speed * curvature)}
    else:
        if "steering_angle" not in values and how.wheelbase_m is None:
            raise ValueError(
                "a steering angle needs the wheelbase: --set wheelbase_m=..., or --set control=twist"
            )
        angle = values.get("steering_angle", math.atan((how.wheelbase_m or 0.0) * curvature))
        command = {"steering_angle": angle, "speed": speed, "acceleration": acceleration}
    if unknown := [name for name, value in command.items() if not math.isfinite(value)]:
        raise ValueError(f"not a number: {', '.join(unknown)}")
    return {name: float(value) for name, value in command.items()}


def _curvature(values: dict[str, float], how: ControlOptions) -> float:
    if "curvature" in values:
        return values["curvature"]
    if "steering_angle" in values:
        return math.tan(values["steering_angle"]) / how.wheelbase_m if how.wheelbase_m else math.nan
    names = ", ".join(values) or "no channel"
    raise ValueError(f"expected a channel curvature or steering_angle in the control head, found {names}")


def _speed_now(sample: Sample) -> float | None:
    """Return the newest measured speed of a sample's status, m/s; None where there is none."""
    window = sample.status.value
    if window is None or "speed" not in window.names:
        return None
    column = np.asarray(window.values)[:, list(window.names).index("speed")]
    known = column[np.isfinite(column)]
    return float(known[-1]) if len(known) else None


def _pose_covariance(item: Detection) -> Any:
    """Return the 6x6 covariance of a pose, row by row; a position's is zero where it is not stated."""
    matrix = np.zeros((6, 6))
    if item.position_cov_m2 is not None:
        matrix[:3, :3] = item.position_cov_m2
    matrix[3, 3] = matrix[4, 4] = matrix[5, 5] = _ANY_ANGLE_RAD2
    return matrix.reshape(_COVARIANCE)
