"""Definitions of messages of packages that ROS 2 does not come with: bags in SQLite before Iron hold none.

Sources: the .msg files of the packages, as ROS 2 Humble and later ship them (vision_msgs 4, radar_msgs 0.2,
foxglove_msgs 2 and 3). A message of another version has another length, and is refused.
"""

from __future__ import annotations

_LIVOX_POINT = (
    "uint32 offset_time\nfloat32 x\nfloat32 y\nfloat32 z\nuint8 reflectivity\nuint8 tag\nuint8 line\n"
)
_LIVOX = (
    "std_msgs/Header header\nuint64 timebase\nuint32 point_num\nuint8 lidar_id\nuint8[3] rsvd\n"
    "CustomPoint[] points\n"
)
_DETECTION = (
    "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox{}D bbox\nstring id\n"
)
_VELOCITY = (
    "std_msgs/Header header\nfloat32 longitudinal_velocity\nfloat32 lateral_velocity\nfloat32 heading_rate\n"
)
_STEERING = "builtin_interfaces/Time stamp\nfloat32 steering_tire_angle\n"
_TIMED = "builtin_interfaces/Time timestamp\nstring frame_id\n"
_SOLID = "geometry_msgs/Pose pose\ngeometry_msgs/Vector3 size\n"
_COLOURED = "Color color\nColor[] colors\nuint32[] indices\n"
_FOXGLOVE = {
    "CompressedImage": f"{_TIMED}uint8[] data\nstring format\n",
    "CompressedVideo": f"{_TIMED}uint8[] data\nstring format\n",
    "RawImage": f"{_TIMED}uint32 width\nuint32 height\nstring encoding\nuint32 step\nuint8[] data\n",
    "CameraCalibration": f"{_TIMED}uint32 width\nuint32 height\nstring distortion_model\nfloat64[] d\n"
    "float64[9] k\nfloat64[9] r\nfloat64[12] p\n",
    "FrameTransform": "builtin_interfaces/Time timestamp\nstring parent_frame_id\nstring child_frame_id\n"
    "geometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation\n",
    "FrameTransforms": "FrameTransform[] transforms\n",
    "LaserScan": f"{_TIMED}geometry_msgs/Pose pose\nfloat64 start_angle\nfloat64 end_angle\n"
    "float64[] ranges\nfloat64[] intensities\n",
    "PackedElementField": "string name\nuint32 offset\nuint8 type\n",
    "PointCloud": f"{_TIMED}geometry_msgs/Pose pose\nuint32 point_stride\nPackedElementField[] fields\n"
    "uint8[] data\n",
    "KeyValuePair": "string key\nstring value\n",
    "Color": "float64 r\nfloat64 g\nfloat64 b\nfloat64 a\n",
    "ArrowPrimitive": "geometry_msgs/Pose pose\nfloat64 shaft_length\nfloat64 shaft_diameter\n"
    "float64 head_length\nfloat64 head_diameter\nColor color\n",
    "CubePrimitive": f"{_SOLID}Color color\n",
    "SpherePrimitive": f"{_SOLID}Color color\n",
    "CylinderPrimitive": f"{_SOLID}float64 bottom_scale\nfloat64 top_scale\nColor color\n",
    "LinePrimitive": "uint8 type\ngeometry_msgs/Pose pose\nfloat64 thickness\nbool scale_invariant\n"
    f"geometry_msgs/Point[] points\n{_COLOURED}",
    "TriangleListPrimitive": f"geometry_msgs/Pose pose\ngeometry_msgs/Point[] points\n{_COLOURED}",
    "TextPrimitive": "geometry_msgs/Pose pose\nbool billboard\nfloat64 font_size\nbool scale_invariant\n"
    "Color color\nstring text\n",
    "ModelPrimitive": "geometry_msgs/Pose pose\ngeometry_msgs/Vector3 scale\nColor color\n"
    "bool override_color\nstring url\nstring media_type\nuint8[] data\n",
    "SceneEntity": f"{_TIMED}string id\nbuiltin_interfaces/Duration lifetime\nbool frame_locked\n"
    "KeyValuePair[] metadata\nArrowPrimitive[] arrows\nCubePrimitive[] cubes\nSpherePrimitive[] spheres\n"
    "CylinderPrimitive[] cylinders\nLinePrimitive[] lines\nTriangleListPrimitive[] triangles\n"
    "TextPrimitive[] texts\nModelPrimitive[] models\n",
    "SceneEntityDeletion": "builtin_interfaces/Time timestamp\nuint8 type\nstring id\n",
    "SceneUpdate": "SceneEntityDeletion[] deletions\nSceneEntity[] entities\n",
}
"""Name -> definition of the messages that `perception.logs.decoding.foxglove` reads, and of their parts."""

TEXTS: dict[str, str] = {
    "ffmpeg_image_transport_msgs/msg/FFMPEGPacket": "std_msgs/Header header\nint32 width\nint32 height\n"
    "string encoding\nuint64 pts\nuint8 flags\nbool is_bigendian\nuint8[] data\n",
    **{f"foxglove_msgs/msg/{name}": text for name, text in _FOXGLOVE.items()},
    **{f"{package}/msg/CustomPoint": _LIVOX_POINT for package in ("livox_ros_driver2", "livox_interfaces")},
    **{f"{package}/msg/CustomMsg": _LIVOX for package in ("livox_ros_driver2", "livox_interfaces")},
    "radar_msgs/msg/RadarReturn": "float32 range\nfloat32 azimuth\nfloat32 elevation\n"
    "float32 doppler_velocity\nfloat32 amplitude\n",
    "radar_msgs/msg/RadarScan": "std_msgs/Header header\nRadarReturn[] returns\n",
    "radar_msgs/msg/RadarTrack": "unique_identifier_msgs/UUID uuid\ngeometry_msgs/Point position\n"
    "geometry_msgs/Vector3 velocity\ngeometry_msgs/Vector3 acceleration\ngeometry_msgs/Vector3 size\n"
    "uint16 classification\nfloat32[6] position_covariance\nfloat32[6] velocity_covariance\n"
    "float32[6] acceleration_covariance\nfloat32[6] size_covariance\n",
    "radar_msgs/msg/RadarTracks": "std_msgs/Header header\nRadarTrack[] tracks\n",
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y\n",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score\n",
    "vision_msgs/msg/ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\n"
    "geometry_msgs/PoseWithCovariance pose\n",
    **{f"vision_msgs/msg/Detection{n}D": _DETECTION.format(n) for n in (2, 3)},
    **{
        f"vision_msgs/msg/Detection{n}DArray": f"std_msgs/Header header\nDetection{n}D[] detections\n"
        for n in (2, 3)
    },
    "ackermann_msgs/msg/AckermannDrive": "float32 steering_angle\nfloat32 steering_angle_velocity\n"
    "float32 speed\nfloat32 acceleration\nfloat32 jerk\n",
    "ackermann_msgs/msg/AckermannDriveStamped": "std_msgs/Header header\nAckermannDrive drive\n",
    **{
        f"{package}/msg/{name}": text
        for package in ("autoware_vehicle_msgs", "autoware_auto_vehicle_msgs")
        for name, text in (("VelocityReport", _VELOCITY), ("SteeringReport", _STEERING))
    },
}
"""Full name -> definition, without those that it names."""
