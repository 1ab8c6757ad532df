"""Poses, lenses and projection: where a point of one frame lies in another, and in an image."""

from perception.geometry.lens import lens_problem
from perception.geometry.pose_history import quaternions_from_rotations
from perception.geometry.poses import (
    Matrix,
    TransformTree,
    invert_pose,
    is_optical,
    pose_matrix,
    project,
    rays,
    rotation_from_quaternion,
    transform_points,
)

__all__ = [
    "Matrix",
    "TransformTree",
    "invert_pose",
    "is_optical",
    "lens_problem",
    "pose_matrix",
    "project",
    "quaternions_from_rotations",
    "rays",
    "rotation_from_quaternion",
    "transform_points",
]
