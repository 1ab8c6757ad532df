"""ROS messages of range sensors: scans, clouds and radars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.geometry import is_optical
from perception.logs.decoding import points
from perception.logs.decoding.checks import MAX_ITEMS, Envelope, limited
from perception.logs.decoding.ros_fields import head_of
from perception.types import Decoded, Float32, RangeScan

_ULTRASOUND = 0  # sensor_msgs/Range
_FARTHEST_ECHO_M = 30.0  # no ultrasonic sensor in air hears one from farther away
_POINT_KINDS = ("", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")  # sensor_msgs/PointField


def laser_scan(ros: Any, envelope: Envelope) -> Decoded:
    return _scan(ros, ros.ranges, ros.intensities, envelope)


def multi_echo_laser_scan(ros: Any, envelope: Envelope) -> Decoded:
    """Read the first echo of every beam."""
    return _scan(ros, _first_echoes(ros.ranges), _first_echoes(ros.intensities), envelope)


def single_range(ros: Any, envelope: Envelope) -> Decoded:
    """Read an ultrasonic or infrared ranger: one return straight ahead."""
    low, high = _limits(ros.min_range, ros.max_range)
    points_m = points.planar_points(np.array([ros.range], np.float32), 0.0, 0.0, low, high)
    doubt = ""
    if getattr(ros, "radiation_type", None) == _ULTRASOUND and _FARTHEST_ECHO_M < ros.max_range < math.inf:
        doubt = f"an ultrasonic sensor with a max_range of {ros.max_range:g} m: it may be in cm or mm"
    head, tail = head_of(ros, envelope)
    return RangeScan(*head, points_m, None, None, **tail, doubt=doubt)


def point_cloud2(ros: Any, envelope: Envelope) -> Decoded:
    fields = [
        points.PackedField(field.name, field.offset, _POINT_KINDS[field.datatype])
        for field in ros.fields
        if 1 <= field.datatype < len(_POINT_KINDS)
    ]
    points_m, intensity, speed = points.packed_points(
        memoryview(ros.data),
        fields,
        stride=ros.point_step,
        width=ros.width,
        height=ros.height,
        row_stride=ros.row_step,
        big_endian=bool(ros.is_bigendian),
    )
    kinds = {field.kind[0] for field in fields if field.name.lower() in ("x", "y", "z")}
    doubt = (
        "its coordinates are whole numbers: they may be in mm or cm" if kinds <= {"i", "u"} and kinds else ""
    )
    head, tail = head_of(ros, envelope)
    return RangeScan(*head, points_m, intensity, speed, **tail, optical=is_optical(head[3]), doubt=doubt)


def point_cloud(ros: Any, envelope: Envelope) -> Decoded:
    """Read the older cloud: points as messages, further fields as channels."""
    points_m = _vectors(ros.points)
    channels = {
        channel.name.lower(): points.as_float32(np.asarray(channel.values))
        for channel in ros.channels
        if len(channel.values) == len(points_m)  # some drivers name channels that they do not fill
    }
    head, tail = head_of(ros, envelope)
    columns = points.intensity_of(channels), points.speed_of(channels)
    return RangeScan(*head, points_m, *columns, **tail, optical=is_optical(head[3]))


def livox_points(ros: Any, envelope: Envelope) -> Decoded:
    """Read the CustomMsg of the drivers of Livox: points as messages, of one scan or a part of it."""
    points_m = _vectors(ros.points)
    intensity = np.array([point.reflectivity for point in ros.points], np.float32)
    head, tail = head_of(ros, envelope)
    return RangeScan(*head, points_m, intensity, None, **tail)


def radar_scan(ros: Any, envelope: Envelope) -> Decoded:
    limited(len(ros.returns), MAX_ITEMS, "radar returns")
    rows = [(r.range, r.azimuth, r.elevation, r.doppler_velocity, r.amplitude) for r in ros.returns]
    table = np.array(rows, np.float64).reshape(-1, 5)
    points_m = points.spherical_points(table[:, 0], table[:, 1], table[:, 2])
    speed, amplitude = points.as_float32(table[:, 3]), points.as_float32(table[:, 4])
    widest = float(np.nanmax(np.abs(table[:, 1]), initial=0.0))
    doubt = f"azimuths up to {widest:.4g} rad, more than a turn: they may be in degrees" if widest > 7 else ""
    head, tail = head_of(ros, envelope)
    return RangeScan(*head, points_m, amplitude, speed, **tail, doubt=doubt)


def radar_tracks(ros: Any, envelope: Envelope) -> Decoded:
    """Read one return for each track; its radial speed is the velocity along the line of sight."""
    points_m = _vectors([track.position for track in ros.tracks])
    velocity = _vectors([track.velocity for track in ros.tracks])
    head, tail = head_of(ros, envelope)
    return RangeScan(*head, points_m, None, points.speed_away(points_m, velocity), **tail)


def _limits(low: float, high: float) -> tuple[float, float]:
    """Return the range limits of a message; no limits where it does not set them."""
    return (low, high) if high > low else (0.0, float("inf"))


def _scan(ros: Any, ranges: NDArray[Any], intensities: NDArray[Any], envelope: Envelope) -> Decoded:
    low, high = _limits(ros.range_min, ros.range_max)
    points_m = points.planar_points(ranges, ros.angle_min, ros.angle_increment, low, high)
    same = len(intensities) == len(points_m)
    intensity = points.as_float32(np.asarray(intensities)) if same else None
    doubt = points.angle_doubt(ros.angle_min, ros.angle_increment, ros.angle_max, len(points_m))
    head, tail = head_of(ros, envelope)
    return RangeScan(*head, points_m, intensity, None, **tail, doubt=doubt)


def _first_echoes(beams: Sequence[Any]) -> Float32:
    limited(len(beams), MAX_ITEMS, "beams")
    return points.as_float32(
        np.array([beam.echoes[0] if len(beam.echoes) else np.nan for beam in beams], np.float64)
    )


def _vectors(items: Sequence[Any]) -> Float32:
    limited(len(items), MAX_ITEMS, "points")
    return points.as_float32(np.array([(p.x, p.y, p.z) for p in items], np.float64)).reshape(-1, 3)
