"""Definitions of the messages that outputs become and that are not among the standard ones.

Reference: vision_msgs 4.1 (ROS 2 since Humble) and 0.0.2 (ROS 1 Noetic), ackermann_msgs 2.0 and 1.0. The
order and the names of fields make the type's hash, which ROS compares before it delivers anything.
"""

from __future__ import annotations

_ACKERMANN = (
    "float32 steering_angle\nfloat32 steering_angle_velocity\nfloat32 speed\nfloat32 acceleration\n"
    "float32 jerk\n"
)
_BOTH = {
    "ackermann_msgs/msg/AckermannDrive": _ACKERMANN,
    "ackermann_msgs/msg/AckermannDriveStamped": "std_msgs/Header header\nAckermannDrive drive\n",
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "vision_msgs/msg/Detection2DArray": "std_msgs/Header header\nDetection2D[] detections\n",
    "vision_msgs/msg/Detection3DArray": "std_msgs/Header header\nDetection3D[] detections\n",
}
_DETECTION = "std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox{0}D bbox\n{1}\n"

ROS2_TEXTS = {
    **_BOTH,
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y\n",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score\n",
    "vision_msgs/msg/ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\n"
    "geometry_msgs/PoseWithCovariance pose\n",
    "vision_msgs/msg/Detection2D": _DETECTION.format(2, "string id"),
    "vision_msgs/msg/Detection3D": _DETECTION.format(3, "string id"),
}
ROS1_TEXTS = {
    **_BOTH,
    "vision_msgs/msg/BoundingBox2D": "geometry_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "vision_msgs/msg/ObjectHypothesisWithPose": "int64 id\nfloat64 score\n"
    "geometry_msgs/PoseWithCovariance pose\n",
    "vision_msgs/msg/Detection2D": _DETECTION.format(2, "sensor_msgs/Image source_img"),
    "vision_msgs/msg/Detection3D": _DETECTION.format(3, "sensor_msgs/PointCloud2 source_cloud"),
}
