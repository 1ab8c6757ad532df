"""Small LeRobot datasets, laid out as versions 2.1 and 3.0 are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.video_files import HZ, video_file

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

LENGTHS = (8, 5)
STATE = ("shoulder.pos", "gripper.pos")
CAMERAS = ("observation.images.top", "observation.images.wrist")


def _info(version: str, paths: dict[str, str]) -> dict[str, Any]:
    numbers = {"dtype": "float32", "shape": [2], "names": list(STATE)}
    video = {"dtype": "video", "shape": [48, 64, 3], "names": ["height", "width", "channels"]}
    index = {"dtype": "int64", "shape": [1], "names": None}
    return {
        "codebase_version": version,
        "robot_type": "so100",
        "fps": HZ,
        "chunks_size": 1000,
        "total_episodes": len(LENGTHS),
        "features": {
            "observation.state": numbers,
            "action": {**numbers, "names": {"motors": list(STATE)}},
            "next.reward": {"dtype": "float32", "shape": [1], "names": None},
            **dict.fromkeys(CAMERAS, video),
            **dict.fromkeys(("timestamp", "frame_index", "episode_index", "index", "task_index"), index),
        },
        **paths,
    }


def _frames(episode: int) -> list[dict[str, Any]]:
    return [
        {
            "observation.state": [float(episode), float(i)],
            "action": [i + 0.5, -1.0],
            "next.reward": 0.1 * i,
            "timestamp": i / HZ,
            "frame_index": i,
            "episode_index": episode,
            "index": i,
            "task_index": 0,
        }
        for i in range(LENGTHS[episode])
    ]


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


def write_version_2(root: Path, codec: str = "h264") -> Path:
    """Write a dataset of version 2.1: a table and two videos for each episode."""
    paths = {
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    (root / "meta").mkdir(parents=True)
    (root / "meta" / "info.json").write_text(json.dumps(_info("v2.1", paths)))
    lines = [{"episode_index": i, "tasks": ["pick"], "length": n} for i, n in enumerate(LENGTHS)]
    (root / "meta" / "episodes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for episode, length in enumerate(LENGTHS):
        _write_table(root / f"data/chunk-000/episode_{episode:06d}.parquet", _frames(episode))
        for camera in CAMERAS:
            path = root / f"videos/chunk-000/{camera}/episode_{episode:06d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            video_file(path, codec, count=length, gop=2)
    return root


def write_version_3(root: Path, codec: str = "h264") -> Path:
    """Write a dataset of version 3.0: all episodes in one table, and in one video for each camera."""
    paths = {
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    (root / "meta").mkdir(parents=True)
    (root / "meta" / "info.json").write_text(json.dumps(_info("v3.0", paths)))
    rows = [
        {
            "episode_index": i,
            "length": n,
            "tasks": ["pick"],
            "data/chunk_index": 0,
            "data/file_index": 0,
            **{f"videos/{camera}/{part}_index": 0 for camera in CAMERAS for part in ("chunk", "file")},
            **{f"videos/{camera}/from_timestamp": sum(LENGTHS[:i]) / HZ for camera in CAMERAS},
            **{f"videos/{camera}/to_timestamp": sum(LENGTHS[: i + 1]) / HZ for camera in CAMERAS},
        }
        for i, n in enumerate(LENGTHS)
    ]
    _write_table(root / "meta/episodes/chunk-000/file-000.parquet", rows)
    frames = [frame for episode in range(len(LENGTHS)) for frame in _frames(episode)]
    _write_table(root / "data/chunk-000/file-000.parquet", frames)
    for camera in CAMERAS:
        path = root / f"videos/{camera}/chunk-000/file-000.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        video_file(path, codec, gop=1, shots=LENGTHS)
    return root
