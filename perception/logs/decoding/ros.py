"""Common ROS messages to the classes of `perception.types`. ROS 1 and 2 share the fields.

Reference: the .msg files of common_interfaces, vision_msgs, radar_msgs and geometry2. A leading `/` of a
frame id is dropped, as tf2 does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perception.logs.decoding import images
from perception.logs.decoding.checks import (
    MAX_ITEMS,
    Envelope,
    checked_distortion,
    checked_intrinsics,
    frame_transforms_of,
    limited,
    projection_of,
    rectification_of,
)
from perception.logs.decoding.ros_fields import frame_of, head_of, transform_of
from perception.logs.decoding.ros_ranges import (
    laser_scan,
    livox_points,
    multi_echo_laser_scan,
    point_cloud,
    point_cloud2,
    radar_scan,
    radar_tracks,
    single_range,
)
from perception.logs.decoding.ros_truth import detections_2d, detections_3d
from perception.logs.decoding.video_packets import video_packet
from perception.types import CameraInfo, Decoded, RegionOfInterest

if TYPE_CHECKING:
    from perception.config import Role


def image(ros: Any, envelope: Envelope) -> Decoded:
    return images.raw_frame(*head_of(ros, envelope), _raw_pixels(ros))


def image_as_depth(ros: Any, envelope: Envelope) -> Decoded:
    return images.raw_depth(*head_of(ros, envelope), _raw_pixels(ros))


def compressed_image(ros: Any, envelope: Envelope) -> Decoded:
    return images.encoded_frame(*head_of(ros, envelope), memoryview(ros.data), ros.format)


def ffmpeg_packet(ros: Any, envelope: Envelope) -> Decoded:
    """Read an ffmpeg_image_transport_msgs/FFMPEGPacket."""
    return video_packet(*head_of(ros, envelope), memoryview(ros.data), ros.encoding)


def compressed_image_as_depth(ros: Any, envelope: Envelope) -> Decoded:
    return images.encoded_depth(*head_of(ros, envelope), memoryview(ros.data), ros.format)


def camera_info(ros: Any, envelope: Envelope) -> Decoded:
    capital = hasattr(ros, "K")  # in ROS 1
    k, d, r, p = (getattr(ros, name if capital else name.lower()) for name in "KDRP")
    head, tail = head_of(ros, envelope)
    return CameraInfo(
        *head,
        ros.width,
        ros.height,
        checked_intrinsics(k, "the camera info"),
        checked_distortion(d, "the camera info"),
        ros.distortion_model,
        **tail,
        rectification=rectification_of(r),
        projection=projection_of(p),
        binning=(max(int(getattr(ros, "binning_x", 1)), 1), max(int(getattr(ros, "binning_y", 1)), 1)),
        roi=_region(getattr(ros, "roi", None)),
    )


def _region(roi: Any) -> RegionOfInterest | None:
    """Return the region of interest; None for the whole sensor, which all zeros stand for.

    Some drivers state its offset alone: then width and height are 0.
    """
    if roi is None or not (roi.x_offset or roi.y_offset or (roi.width and roi.height)):
        return None
    size = int(roi.width), int(roi.height)
    return RegionOfInterest(int(roi.x_offset), int(roi.y_offset), *size, bool(roi.do_rectify))


def transforms(ros: Any, envelope: Envelope) -> Decoded:
    """Read a tf2_msgs/TFMessage or a single geometry_msgs/TransformStamped."""
    stamped = ros.transforms if hasattr(ros, "transforms") else [ros]
    limited(len(stamped), MAX_ITEMS, "transforms")
    return frame_transforms_of(
        envelope,
        (
            (item, frame_of(item.header.frame_id), frame_of(item.child_frame_id), item.transform)
            for item in stamped
        ),
        lambda transform, name: transform_of(transform.translation, transform.rotation, name),
    )


def odometry(ros: Any, envelope: Envelope) -> Decoded:
    """Return the pose of the vehicle as a transform. By itself, an odometry is decoded as a status."""
    return frame_transforms_of(
        envelope,
        [(ros, frame_of(ros.header.frame_id), frame_of(ros.child_frame_id), ros.pose.pose)],
        lambda pose, name: transform_of(pose.position, pose.orientation, name),
    )


Builder = Callable[[Any, Envelope], Decoded]

_LIVOX = ("livox_ros_driver", "livox_ros_driver2", "livox_interfaces")

BUILDERS: dict[str, tuple[Role, Builder]] = {
    "sensor_msgs/Image": ("camera", image),
    "sensor_msgs/CompressedImage": ("camera", compressed_image),
    "ffmpeg_image_transport_msgs/FFMPEGPacket": ("camera", ffmpeg_packet),
    "sensor_msgs/CameraInfo": ("calibration", camera_info),
    "sensor_msgs/LaserScan": ("range", laser_scan),
    "sensor_msgs/MultiEchoLaserScan": ("range", multi_echo_laser_scan),
    "sensor_msgs/Range": ("range", single_range),
    "sensor_msgs/PointCloud2": ("range", point_cloud2),
    "sensor_msgs/PointCloud": ("range", point_cloud),
    **{f"{package}/CustomMsg": ("range", livox_points) for package in _LIVOX},
    "radar_msgs/RadarScan": ("range", radar_scan),
    "radar_msgs/RadarTracks": ("range", radar_tracks),
    "tf2_msgs/TFMessage": ("transforms", transforms),
    "tf/tfMessage": ("transforms", transforms),
    "geometry_msgs/TransformStamped": ("transforms", transforms),
    "vision_msgs/Detection2DArray": ("truth_boxes", detections_2d),
    "vision_msgs/Detection3DArray": ("truth_boxes", detections_3d),
}
"""Message name -> the role of the messages, and the function that builds the decoded message."""

ON_REQUEST: dict[tuple[str, Role], Builder] = {
    ("nav_msgs/Odometry", "transforms"): odometry,
    ("sensor_msgs/Image", "range"): image_as_depth,
    ("sensor_msgs/CompressedImage", "range"): compressed_image_as_depth,
}
"""The roles that a message can take besides, where the configuration asks for it."""


_PACKETS = (
    "raw packets of a scanner; play the bag into its driver, and record the sensor_msgs/PointCloud2 that it "
    "publishes"
)
_REPUBLISH = "{} are not decoded; play the bag into `republish` of {}, and record {}"
UNREADABLE: dict[str, str] = {
    **dict.fromkeys(
        (
            *("velodyne_msgs/VelodyneScan", "pandar_msgs/PandarScan", "hesai_ros_driver/UdpFrame"),
            *("ouster_ros/PacketMsg", "ouster_msgs/PacketMsg", "ouster_sensor_msgs/PacketMsg"),
            *("rslidar_msgs/rslidarScan", "rslidar_msg/RslidarPacket", "nebula_msgs/NebulaPackets"),
        ),
        _PACKETS,
    ),
    **dict.fromkeys(
        (
            "point_cloud_interfaces/CompressedPointCloud2",
            "draco_point_cloud_transport/CompressedPointCloud2",
        ),
        _REPUBLISH.format("compressed clouds", "point_cloud_transport", "sensor_msgs/PointCloud2"),
    ),
    **dict.fromkeys(
        (
            *("dvs_msgs/EventArray", "prophesee_event_msgs/EventArray", "event_array_msgs/EventArray"),
            *("event_camera_msgs/EventPacket", "dv_ros_msgs/EventArray"),
        ),
        "events of an event camera, no pictures; play the bag into a node that draws them "
        "(event_camera_renderer, dvs_renderer), and record its sensor_msgs/Image",
    ),
    **dict.fromkeys(
        (
            *("derived_object_msgs/ObjectArray", "jsk_recognition_msgs/BoundingBoxArray"),
            *("lgsvl_msgs/Detection2DArray", "lgsvl_msgs/Detection3DArray"),
        ),
        "boxes of objects, which are not read; where they are the truth, write them as "
        "vision_msgs/Detection3DArray (Detection2DArray in pixels)",
    ),
    "theora_image_transport/Packet": _REPUBLISH.format(
        "pictures in Theora", "image_transport", "sensor_msgs/CompressedImage"
    ),
}
"""Known messages that cannot be read, and what to do instead."""


def _raw_pixels(ros: Any) -> images.RawPixels:
    size = ros.width, ros.height
    return images.RawPixels(memoryview(ros.data), ros.encoding, size, ros.step, bool(ros.is_bigendian))
