"""Small logs in formats of others, written by hand: the reference of the readers' tests."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception.logs import Query, ReadAccount, decode, open_log
from perception.logs.damage import Damage
from perception.types import Decoded


def jpeg(value: int, size: tuple[int, int] = (32, 24), suffix: str = ".jpg") -> bytes:
    """Return a picture of one colour, each value another one."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:] = (value * 37 % 256, value * 91 % 256, 200)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def read(path: Path, query: Query = Query()) -> tuple[dict[str, list[Decoded]], ReadAccount, list[Damage]]:  # noqa: B008
    """Return the decoded messages by topic, the account and the damage of a log."""
    by_topic: dict[str, list[Decoded]] = {}
    with open_log(path) as log:
        stream = log.messages(query)
        for message in stream:
            by_topic.setdefault(message.topic, []).append(decode(message))
        return by_topic, stream.account, stream.damage


# --- comma2k19 -----------------------------------------------------------------------------------

SEQUENCE, VPS, SLICE_KEY, SLICE = 33, 32, 19, 1  # kinds of NAL units of H.265


def nal(kind: int, payload: bytes, *, is_first: bool = True, long: bool = True) -> bytes:
    """Return a NAL unit of HEVC behind a start code; of a slice, whether it is the first of its picture."""
    flag = bytes([0x80 if is_first else 0x00]) if kind <= 31 else b""
    return (b"\0\0\0\1" if long else b"\0\0\1") + bytes([kind << 1, 1]) + flag + payload


def hevc_pictures(count: int) -> list[bytes]:
    """Return the access units of a stream: every fifth is a key frame, all have two slices."""
    pictures = []
    for i in range(count):
        key = i % 5 == 0
        head = nal(VPS, b"vps") + nal(SEQUENCE, b"sps") if key else b""
        kind = SLICE_KEY if key else SLICE
        body = bytes([i + 4]) * 20
        pictures.append(head + nal(kind, body, long=key) + nal(kind, body, is_first=False, long=False))
    return pictures


def save_array(path: Path, array: np.ndarray, by_columns: bool = False) -> None:
    """Write an array as comma2k19 has it: .npy without a suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, np.asfortranarray(array) if by_columns else array)


def write_comma(path: Path, start_s: float = 46408.5, frames: int = 12, video: bool = True) -> Path:
    """Write a segment: radar at 20 Hz with 3 tracks, CAN at 83 Hz, IMU at 104 Hz, poses, video."""
    times = start_s + 0.05 * np.arange(frames)
    log = path / "processed_log"
    sweep = np.repeat(times, 3) + np.tile([0, 1e-5, 3e-3], frames)
    tracks = [[40 + i, 3 - k, 1.5 * k, np.nan, np.nan, 528 + k, 0] for i in range(frames) for k in range(3)]
    save_array(log / "CAN/radar/t", sweep)
    save_array(log / "CAN/radar/value", np.array(tracks, float))
    fast = start_s + np.arange(4 * frames) / 83
    save_array(log / "CAN/speed/t", fast)
    save_array(log / "CAN/speed/value", 8 + fast[:, None] % 1)
    save_array(log / "CAN/steering_angle/t", fast)
    save_array(log / "CAN/steering_angle/value", -fast % 3)
    save_array(log / "CAN/raw_can/t", fast)
    save_array(log / "CAN/raw_can/address", np.arange(len(fast)))
    save_array(log / "CAN/raw_can/src", np.zeros(len(fast), int))
    save_array(log / "CAN/raw_can/data", np.array([b"\x08\xff\x01"] * len(fast), "S8"))
    imu = start_s + np.arange(5 * frames) / 104
    for name in ("gyro", "accelerometer"):
        values = np.stack([imu % 1, imu % 2, imu % 3], axis=1)
        save_array(log / f"IMU/{name}/t", imu)
        save_array(log / f"IMU/{name}/value", values, by_columns=True)
    save_array(path / "global_pose/frame_times", times)
    save_array(path / "global_pose/frame_positions", np.tile([-2.7e6, -4.2e6, 3.8e6], (frames, 1)))
    save_array(path / "global_pose/frame_velocities", np.zeros((frames, 3)))
    save_array(path / "global_pose/frame_orientations", np.tile([1.0, 0, 0, 0], (frames, 1)))
    if video:
        (path / "video.hevc").write_bytes(b"".join(hevc_pictures(frames)))
    return path


# --- CARMEN --------------------------------------------------------------------------------------


def carmen_lines(count: int, start_s: str = "1071078718", beams: int = 180) -> list[str]:
    """Return the lines of a drive at 5 Hz, 3 hops of the sender's clock ahead of the logger's."""
    lines = ["# CARMEN Logfile", f"PARAM robot_front_laser_max 50.0 {start_s}.1 host 0.01"]
    for i in range(count):
        logged = f"{i * 0.2 + 0.02:.6f}"
        stamp = (
            f"{start_s}.{(i * 200_000) % 1_000_000:06d}" if i < 5 else f"{int(start_s) + i // 5}.{i % 5}00000"
        )
        ranges = " ".join(f"{2 + (k + i) % 7 + 0.25:.2f}" if k % 9 else "81.91" for k in range(beams))
        pose = f"{i * 0.1 + 0.3:.6f} 0.0 0.0 {i * 0.1:.6f} 0.0 0.0"
        lines.append(f"ODOM {i * 0.1:.6f} 0.0 0.0 {0.5 + i / 8} {-i / 16} 0.25 {stamp} robot {logged}")
        lines.append(f"FLASER {beams} {ranges} {pose} {stamp} robot {logged}")
    return lines


def write_carmen(path: Path, lines: Sequence[str]) -> Path:
    """Write lines, compressed as the name says."""
    data = "\n".join([*lines, ""]).encode()
    pack: Any = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(data))
    return path


# --- DonkeyCar -----------------------------------------------------------------------------------


def donkey_records(count: int) -> list[dict[str, Any]]:
    return [
        {
            "_index": i,
            "_timestamp_ms": 1_602_421_393_803 + 50 * i,
            "cam/image_array": f"{i}_cam_image_array_.jpg",
            "user/angle": i / 64 - 0.5,
            "user/throttle": 0.25,
            "user/mode": "user",
        }
        for i in range(count)
    ]


def write_donkey_v2(path: Path, records: Sequence[dict[str, Any]], deleted: Sequence[int] = ()) -> Path:
    (path / "images").mkdir(parents=True)
    half = len(records) // 2
    for number, part in enumerate((records[:half], records[half:])):
        text = "".join(json.dumps(record) + "\n" for record in part)
        (path / f"catalog_{number}.catalog").write_text(text)
    for record in records:
        (path / "images" / record["cam/image_array"]).write_bytes(jpeg(record["_index"]))
    last = {
        "paths": ["catalog_0.catalog", "catalog_1.catalog"],
        "current_index": len(records),
        "max_len": 1000,
        "deleted_indexes": list(deleted),
    }
    lines: list[Any] = [
        ["cam/image_array", "user/angle"],
        ["image_array", "float"],
        {},
        {"created_at": 1.0},
        last,
    ]
    (path / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_donkey_v1(path: Path, records: Sequence[dict[str, Any]], milliseconds: bool = True) -> Path:
    path.mkdir(parents=True)
    (path / "meta.json").write_text(json.dumps({"inputs": [], "types": [], "start": 1_500_000_000.25}))
    for record in records:
        kept = {key: value for key, value in record.items() if not key.startswith("_")}
        if milliseconds:
            kept["milliseconds"] = 50 * record["_index"]
        (path / f"record_{record['_index']}.json").write_text(json.dumps(kept))
        (path / record["cam/image_array"]).write_bytes(jpeg(record["_index"]))
    return path


# --- KITTI ---------------------------------------------------------------------------------------

KITTI_K = np.array([[721.5, 0, 16], [0, 721.5, 12], [0, 0, 1]])
SCANNER_FORWARD = np.array(
    [[0.0, -1, 0, 0.01], [0, 0, -1, -0.07], [1, 0, 0, -0.27]]
)  # camera 0 from the scanner
BASE_TO_SCANNER = np.array([[1.0, 0, 0, -0.81], [0, 1, 0, 0.32], [0, 0, 1, -0.80]])


def numbers(values: Any) -> str:
    return " ".join(f"{float(value):.12e}" for value in np.ravel(values))


def projection(camera: int) -> np.ndarray:
    """Return P_rect of a camera: 2 sits 0.06 m right of 0, 3 sits 0.54 m left of that in pixels."""
    offset = {0: 0.0, 1: -387.0, 2: 44.8, 3: -339.5}[camera]
    return np.hstack([KITTI_K, [[offset], [0.2], [0.003 if camera else 0.0]]])


def kitti_time(i: int) -> str:
    return f"2011-09-26 13:02:{25 + i // 10:02d}.{i % 10}6438944{i % 10}"


def kitti_returns(i: int) -> np.ndarray:
    rng = np.random.default_rng(i)
    return rng.uniform(-20, 40, (50, 4)).astype(np.float32)


def write_kitti_raw(path: Path, frames: int = 6, cameras: Sequence[int] = (2, 3)) -> Path:
    """Write `path/2011_09_26/drive_sync` with its calibration beside it."""
    drive = path / "2011_09_26" / "2011_09_26_drive_0001_sync"
    folders = {f"image_0{c}": ".png" for c in cameras} | {"velodyne_points": ".bin", "oxts": ".txt"}
    for folder, suffix in folders.items():
        (drive / folder / "data").mkdir(parents=True)
        (drive / folder / "timestamps.txt").write_text("".join(kitti_time(i) + "\n" for i in range(frames)))
        for i in range(frames):
            data = {
                ".png": lambda i=i: jpeg(i, suffix=".png"),
                ".bin": lambda i=i: kitti_returns(i).tobytes(),
                ".txt": lambda i=i: numbers(np.arange(30) + i / 8).encode(),
            }[suffix]()
            (drive / folder / "data" / f"{i:010d}{suffix}").write_bytes(data)
    cam = "".join(
        f"S_0{c}: 1.4e3 5e2\nK_0{c}: {numbers(np.eye(3))}\nS_rect_0{c}: 32 24\n"
        f"R_rect_0{c}: {numbers(np.eye(3))}\n"
        f"P_rect_0{c}: {numbers(projection(c))}\n"
        for c in range(4)
    )
    (drive.parent / "calib_cam_to_cam.txt").write_text("calib_time: 09-Jan-2012 13:57:47\n" + cam)
    for name, matrix in (("velo_to_cam", SCANNER_FORWARD), ("imu_to_velo", BASE_TO_SCANNER)):
        text = f"calib_time: 25-May-2012\nR: {numbers(matrix[:, :3])}\nT: {numbers(matrix[:, 3])}\n"
        (drive.parent / f"calib_{name}.txt").write_text(text)
    return drive


def write_kitti_odometry(path: Path, frames: int = 6, cameras: Sequence[int] = (0, 2)) -> Path:
    """Write `path/sequences/00`; frame i is measured at i / 8 s."""
    sequence = path / "sequences" / "00"
    for folder in ("velodyne", *(f"image_{c}" for c in cameras)):
        (sequence / folder).mkdir(parents=True)
    for i in range(frames):
        (sequence / "velodyne" / f"{i:06d}.bin").write_bytes(kitti_returns(i).tobytes())
        for c in cameras:
            (sequence / f"image_{c}" / f"{i:06d}.png").write_bytes(jpeg(i + c, suffix=".png"))
    lines = [f"P{c}: {numbers(projection(c))}\n" for c in range(4)]
    (sequence / "calib.txt").write_text("".join(lines) + f"Tr: {numbers(SCANNER_FORWARD)}\n")
    (sequence / "times.txt").write_text("".join(f"{i / 8:e}\n" for i in range(frames)))
    return sequence


KITTI_LABELS = (
    "Car 0.00 0 1.85 10.00 8.00 22.00 18.00 1.50 1.60 4.00 0.50 1.70 12.00 0.00\n"
    "Pedestrian 0.50 1 -0.20 1.00 2.00 6.00 20.00 1.80 0.50 0.60 -3.00 1.60 9.00 1.57\n"
    "DontCare -1 -1 -10 25.00 5.00 31.00 9.00 -1 -1 -1 -1000 -1000 -1000 -10\n"
)


def write_kitti_object(path: Path, frames: int = 4) -> Path:
    for name in ("image_2", "velodyne", "calib", "label_2"):
        (path / name).mkdir(parents=True)
    calibration = "".join(f"P{c}: {numbers(projection(c))}\n" for c in range(4))
    calibration += f"R0_rect: {numbers(np.eye(3))}\nTr_velo_to_cam: {numbers(SCANNER_FORWARD)}\n"
    calibration += f"Tr_imu_to_velo: {numbers(BASE_TO_SCANNER)}\n"
    for i in range(frames):
        (path / "image_2" / f"{i:06d}.png").write_bytes(jpeg(i, suffix=".png"))
        (path / "velodyne" / f"{i:06d}.bin").write_bytes(kitti_returns(i).tobytes())
        (path / "calib" / f"{i:06d}.txt").write_text(calibration)
        (path / "label_2" / f"{i:06d}.txt").write_text(KITTI_LABELS)
    return path
