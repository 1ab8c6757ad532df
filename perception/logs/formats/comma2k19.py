"""Segments of comma2k19: numpy arrays of CAN, radar, IMU and GNSS, poses, and HEVC video.

Schafer et al. 2018, "A Commute in Data: The comma2k19 Dataset" (arXiv:1812.05752); the layout is in the
README of its repository. Times are seconds since boot. The IMU's axes are forward, right, down in the files;
accelerations and angular velocities become forward, left, up, as ROS has them (REP 103).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.logs.formats import encoding
from perception.logs.formats.arrays import load_array
from perception.logs.formats.folder_files import is_folder, total_size
from perception.logs.formats.hevc import access_units
from perception.logs.formats.streams import (
    Findings,
    Stream,
    Times,
    fixed_stream,
    number_stream,
    points_stream,
    streams_log,
    times_of_seconds,
)
from perception.logs.message_table import TableLog

FORMAT = "comma2k19 segment"

_WHEELS = ("front_left", "front_right", "rear_left", "rear_right")
_AXES = ("forward", "right", "down")
_FORWARD_LEFT_UP = (("", "x"), ("-", "y"), ("-", "z"))
_FIX = ("latitude", "longitude", "ground_speed", "utc_timestamp", "altitude", "bearing")
_SATELLITE = (
    *("prn", "gps_week", "gps_time_of_week", "glonass_channel", "pseudorange", "pseudorange_std"),
    *("pseudorange_rate", "pseudorange_rate_std"),
)
_POSES = {"frame_positions": "ecef_position", "frame_velocities": "ecef_velocity"} | {
    "frame_orientations": "ecef_orientation"
}

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "CAN/speed": ("speed",),
    "CAN/steering_angle": ("steering_wheel_angle_deg",),
    "CAN/wheel_speed": _WHEELS,
    "IMU/accelerometer": tuple(f"{sign}linear_acceleration.{axis}" for sign, axis in _FORWARD_LEFT_UP),
    "IMU/gyro": tuple(f"{sign}angular_velocity.{axis}" for sign, axis in _FORWARD_LEFT_UP),
    **{f"IMU/{name}": _AXES for name in ("gyro_bias", "gyro_uncalibrated")},
    **{f"IMU/{name}": _AXES for name in ("magnetometer", "magnetometer_uncalibrated")},
    **{f"GNSS/live_gnss_{chip}": _FIX for chip in ("qcom", "ublox")},
    **{f"GNSS/raw_gnss_{chip}": _SATELLITE for chip in ("qcom", "ublox")},
}
"""Folder of `processed_log` -> the names of its columns (`-`: with the other sign)."""

_RADAR_FIELDS = ("x", "y", "z", "radial_speed", "address", "new_track")
_SWEEP_GAP_NS = 10_000_000  # tracks of one sweep come within 5 ms, a sweep every 50 ms

_EON_SIZE, _EON_FOCAL_PX = (1164, 874), 910.0


def reads(path: Path) -> bool:
    """Return whether a path is the folder of a segment."""
    return is_folder(path) and (
        is_folder(path / "processed_log")
        or (is_folder(path / "global_pose") and (path / "video.hevc").exists())
    )


def open(path: Path) -> TableLog:
    """Open a segment. An array that is missing or cannot be read is damage.

    Raises:
        LogError: None of its arrays can be read.
    """
    findings = Findings(size_bytes=total_size(path))
    findings.notes.append(
        "recorded times are one clock (seconds since boot): delays of sensors are not known"
    )
    streams = [*_camera(path, findings), *_radar(path, findings)]
    for folder, names in _COLUMNS.items():
        streams += _columns(path, folder, names, findings)
    streams += [*_raw_can(path, findings), *_poses(path, findings)]
    return streams_log(path, streams, findings, {"format": FORMAT})


def _camera(path: Path, findings: Findings) -> Iterator[Stream]:
    times = load_array(path / "global_pose" / "frame_times", findings)
    video, topic = path / "video.hevc", "/camera/video"
    if not video.exists():
        still = "; preview.png, one picture, is no camera" if (path / "preview.png").exists() else ""
        stamps = times_of_seconds(np.empty(0) if times is None else times.reshape(-1))[0]
        reason = f"video.hevc is missing: there are no pictures{still}"
        findings.lose(topic, len(stamps), reason, stamps)
        return
    if times is None:
        return
    units = access_units(video, findings)
    stamps, usable = times_of_seconds(times.reshape(-1))
    count = min(len(units), len(stamps))
    findings.lose(topic, len(stamps) - count, "pictures of frame_times behind the end of video.hevc")
    if len(units) > count:
        findings.miss(f"video.hevc has {len(units) - count} pictures beyond frame_times: without a stamp")
    kept = np.flatnonzero(usable[:count])
    findings.lose(topic, count - len(kept), "pictures whose frame time is none")
    stamps = stamps[kept]
    if not len(kept):
        return
    k = np.array([[_EON_FOCAL_PX, 0, _EON_SIZE[0] / 2], [0, _EON_FOCAL_PX, _EON_SIZE[1] / 2], [0, 0, 1]])
    info = encoding.calibration(int(stamps[0]), "camera", _EON_SIZE, k)
    findings.notes.append(
        "/camera/info: nominal intrinsics of comma's EON (910 px, 1164x874), not of this camera"
    )
    yield fixed_stream("/camera/info", encoding.CALIBRATION, int(stamps[0]), info)
    yield Stream(
        topic,
        encoding.VIDEO,
        stamps,
        lambda i: encoding.video(int(stamps[i]), "camera", units.read(int(kept[i])), "h265"),
    )


def _radar(path: Path, findings: Findings) -> Iterator[Stream]:
    """Yield the stream of radar sweeps: the tracks of one as a cloud, with the stamp of its first track."""
    table = _table(path, "CAN/radar", 7, "/radar/tracks", findings)
    if table is None:
        return
    stamps, values = table
    new = np.flatnonzero(np.diff(stamps, prepend=stamps[:1] - 2 * _SWEEP_GAP_NS) > _SWEEP_GAP_NS)
    bounds = [*new, len(stamps)]
    rows = np.zeros((len(values), 6), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        rows[:, [0, 1, 3, 4, 5]] = values[:, [0, 1, 2, 5, 6]]
    findings.notes.append(
        f"/radar/tracks: tracks less than {_SWEEP_GAP_NS // 1_000_000} ms apart are one sweep; where the "
        "radar sits is not in the segment"
    )
    yield points_stream(
        "/radar/tracks", stamps[new], "radar", _RADAR_FIELDS, lambda i: rows[bounds[i] : bounds[i + 1]]
    )


def _columns(path: Path, folder: str, names: tuple[str, ...], findings: Findings) -> Iterator[Stream]:
    topic = "/" + folder.lower()
    table = _table(path, folder, len(names), topic, findings)
    if table is not None:
        columns = {
            name.lstrip("-"): -table[1][:, i] if name.startswith("-") else table[1][:, i]
            for i, name in enumerate(names)
        }
        yield number_stream(topic, f"comma2k19.{folder.split('/')[1]}", table[0], columns)


def _table(
    path: Path, folder: str, width: int, topic: str, findings: Findings
) -> tuple[Times, NDArray[np.float64]] | None:
    """Return stamps and values [N, at least `width`] in the order of time; None where there are none."""
    place = path / "processed_log" / folder
    if not is_folder(place):
        return None
    times, values = load_array(place / "t", findings), load_array(place / "value", findings)
    if times is None or values is None:
        return None
    values = values.reshape(len(values), -1) if values.size else np.empty((0, width))
    if values.shape[1] < width:
        findings.miss(f"{topic}: expected {width} columns, found {values.shape[1]}")
        return None
    return _in_order(topic, times.reshape(-1), values, findings)


def _in_order(
    topic: str, seconds: NDArray[np.float64], values: NDArray[np.float64], findings: Findings
) -> tuple[Times, NDArray[np.float64]]:
    count = min(len(seconds), len(values))
    findings.lose(topic, abs(len(seconds) - len(values)), f"{len(seconds)} times, but {len(values)} values")
    stamps, usable = times_of_seconds(seconds[:count])
    findings.lose(topic, count - int(usable.sum()), "rows whose time is none")
    order = np.flatnonzero(usable)[np.argsort(stamps[usable], kind="stable")]
    return stamps[order], values[order]


def _raw_can(path: Path, findings: Findings) -> Iterator[Stream]:
    place, topic = path / "processed_log" / "CAN" / "raw_can", "/can/raw_can"
    if not is_folder(place):
        return
    arrays = [load_array(place / name, findings) for name in ("t", "address", "src")]
    data = load_array(place / "data", findings, kinds="S")
    times, address, bus = arrays
    if times is None or address is None or bus is None or data is None:
        return
    count = min(map(len, (times, address, bus, data)))
    findings.lose(topic, len(times) - count, "addresses, sources or data of some messages are missing")
    stamps, usable = times_of_seconds(times.reshape(-1)[:count])
    findings.lose(topic, count - int(usable.sum()), "messages whose time is none")
    kept = np.flatnonzero(usable)

    def content(i: int) -> bytes:
        row = int(kept[i])
        values = {"address": int(address[row]), "bus": int(bus[row]), "data": data[row].hex()}
        return encoding.numbers(int(stamps[row]), values)

    yield Stream(topic, encoding.json_schema("comma2k19.raw_can"), stamps[kept], content)


def _poses(path: Path, findings: Findings) -> Iterator[Stream]:
    place = path / "global_pose"
    times = load_array(place / "frame_times", findings) if is_folder(place) else None
    if times is None:
        return
    columns: dict[str, NDArray[np.float64]] = {}
    for name, key in _POSES.items():
        values = load_array(place / name, findings)
        axes = ("w", "x", "y", "z") if name.endswith("orientations") else ("x", "y", "z")
        if values is not None and values.shape == (len(times), len(axes)):
            columns |= {f"{key}.{axis}": values[:, i] for i, axis in enumerate(axes)}
        elif values is not None:
            findings.miss(f"/global_pose: {name} has the shape {list(values.shape)}, not {len(times)} rows")
    stamps, usable = times_of_seconds(times.reshape(-1))
    findings.lose("/global_pose", len(times) - int(usable.sum()), "poses whose time is none")
    if columns:
        kept = {name: column[usable] for name, column in columns.items()}
        yield number_stream("/global_pose", "comma2k19.pose", stamps[usable], kept)
