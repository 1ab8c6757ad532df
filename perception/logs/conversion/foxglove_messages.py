"""ROS messages as messages of Foxglove's schemas, where these say the same.

Reference: docs.foxglove.dev schemas; the .msg files of common_interfaces and geometry2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage

from perception.logs.decoding.image_header import read_header

_POINT_TYPES = (0, 2, 1, 4, 3, 6, 5, 7, 8)  # sensor_msgs/PointField -> foxglove.NumericType


class Inexpressible(Exception):
    """Foxglove's schema says less than a message; the text says what it has no place for."""


class SchemaConversion(NamedTuple):
    """How messages of one ROS type become messages of a Foxglove schema.

    Attributes:
        schema: The class of the new messages.
        build: Returns one from a parsed ROS message. Raises Inexpressible.
        dropped: Fields that Foxglove has no place for and that change no value that is read.
    """

    schema: Any
    build: Callable[[Any], Any]
    dropped: str = ""


def raw_image(ros: Any) -> Any:
    if (
        ros.is_bigendian
        and ros.encoding[-2:] in ("16", "C1", "C3", "C4")
        and not ros.encoding.startswith("8")
    ):
        raise Inexpressible("samples with the high byte first")
    image = RawImage(
        frame_id=ros.header.frame_id,
        width=ros.width,
        height=ros.height,
        encoding=ros.encoding,
        step=ros.step,
        data=bytes(ros.data),
    )
    return _stamped(image, ros.header)


def compressed_image(ros: Any) -> Any:
    data = bytes(ros.data)
    image = CompressedImage(frame_id=ros.header.frame_id, format=read_header(data).format, data=data)
    return _stamped(image, ros.header)


def camera_calibration(ros: Any) -> Any:
    capital = hasattr(ros, "K")  # in ROS 1
    k, d, r, p = (getattr(ros, name if capital else name.lower()) for name in "KDRP")
    if getattr(ros, "binning_x", 0) > 1 or getattr(ros, "binning_y", 0) > 1:
        raise Inexpressible("binning")
    roi = getattr(ros, "roi", None)
    if roi is not None and (roi.x_offset or roi.y_offset or roi.height or roi.width or roi.do_rectify):
        raise Inexpressible("a region of interest")
    info = CameraCalibration(
        frame_id=ros.header.frame_id,
        width=ros.width,
        height=ros.height,
        distortion_model=ros.distortion_model,
        D=list(d),
        K=list(k),
        R=list(r),
        P=list(p),
    )
    return _stamped(info, ros.header)


def frame_transforms(ros: Any) -> Any:
    message = FrameTransforms()
    for transform in ros.transforms if hasattr(ros, "transforms") else [ros]:
        edge = message.transforms.add(
            parent_frame_id=transform.header.frame_id, child_frame_id=transform.child_frame_id
        )
        _stamped(edge, transform.header)
        translation, rotation = transform.transform.translation, transform.transform.rotation
        edge.translation.x, edge.translation.y, edge.translation.z = (
            translation.x,
            translation.y,
            translation.z,
        )
        edge.rotation.x, edge.rotation.y, edge.rotation.z = rotation.x, rotation.y, rotation.z
        edge.rotation.w = rotation.w
    return message


def point_cloud(ros: Any) -> Any:
    if ros.is_bigendian:
        raise Inexpressible("numbers with the high byte first")
    if any(field.count > 1 for field in ros.fields):
        raise Inexpressible("fields of several numbers")
    if ros.row_step != ros.width * ros.point_step or len(ros.data) != ros.height * ros.row_step:
        raise Inexpressible("rows with bytes between them")
    cloud = PointCloud(frame_id=ros.header.frame_id, point_stride=ros.point_step, data=bytes(ros.data))
    cloud.pose.orientation.w = 1.0
    for field in ros.fields:
        if not 1 <= field.datatype < len(_POINT_TYPES):
            raise Inexpressible(f"numbers of type {field.datatype}")
        cloud.fields.add(name=field.name, offset=field.offset, type=_POINT_TYPES[field.datatype])
    return _stamped(cloud, ros.header)


def _stamped(message: Any, header: Any) -> Any:
    """Set the timestamp from a ROS header; a zero stays unset, as it is no time."""
    if header.stamp.sec or header.stamp.nanosec:
        message.timestamp.seconds, message.timestamp.nanos = header.stamp.sec, header.stamp.nanosec
    return message


_TRANSFORMS = SchemaConversion(FrameTransforms, frame_transforms)

CONVERSIONS: dict[str, SchemaConversion] = {
    "sensor_msgs/Image": SchemaConversion(RawImage, raw_image),
    "sensor_msgs/CompressedImage": SchemaConversion(CompressedImage, compressed_image, "the text of format"),
    "sensor_msgs/CameraInfo": SchemaConversion(CameraCalibration, camera_calibration),
    "sensor_msgs/PointCloud2": SchemaConversion(PointCloud, point_cloud, "height and width, is_dense"),
    "tf2_msgs/TFMessage": _TRANSFORMS,
    "tf/tfMessage": _TRANSFORMS,
    "geometry_msgs/TransformStamped": _TRANSFORMS,
}
"""ROS type -> the conversion. Other types have no schema of Foxglove, or one that says less: that of a laser
scan has no limits of range and no times of beams."""
