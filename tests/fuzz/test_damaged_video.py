"""Damaged videos: no crash, no hang, and every packet that was read has its outcome."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from perception.errors import LogError
from perception.logs import open_log
from perception.logs.video.stage import VideoStage
from perception.types import CameraFrame, Message, Undecodable
from tests.video_files import packets, video_file, video_log


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the data cut, with flipped bits, with a block of other bytes, or with a hole."""
    changed = bytearray(data)
    kind, at = rng.choice(["cut", "flip", "block", "hole"]), rng.randrange(16, len(data))
    if kind == "cut":
        del changed[at:]
    elif kind == "flip":
        for _ in range(rng.choice([1, 4, 32])):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == "block":
        end = min(at + rng.randrange(1, 300), len(changed))
        changed[at:end] = rng.randbytes(end - at)
    else:
        del changed[at : at + rng.randrange(1, 2000)]
    return bytes(changed)


def check(path: Path) -> None:
    try:
        log = open_log(path)
    except LogError:
        return
    with log:
        stream, parameters = log.messages(), list[Message]()
        stage = VideoStage(dict.fromkeys(log.channels, "camera"), on_parameters=parameters.append)
        items = list(stage.pictures(stream))
        assert len(items) + len(parameters) == sum(stream.account.read.values())
    lost = [item for item in items if isinstance(item, Undecodable) and item.code]
    assert sum(count for count, _ in stage.losses.values()) == len(lost)
    assert all(len(item.data) >= item.width * item.height for item in items if isinstance(item, CameraFrame))


def run(folder: Path, suffix: str, codec: str, seed: int, count: int) -> None:
    whole = folder / f"whole{suffix}"
    if suffix == ".mcap":
        video_log(whole, packets(codec), codec)
    else:
        video_file(whole, codec, b_frames=2 * (codec == "h264"))
    data, rng, path = whole.read_bytes(), random.Random(seed), folder / f"damaged{suffix}"
    for _ in range(count):
        path.write_bytes(damaged(data, rng))
        check(path)


OFTEN = {(".mcap", "h264"), (".mp4", "h264"), (".mp4", "h265"), (".mkv", "av1"), (".mcap", "av1")}


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        pytest.param(suffix, codec, marks=() if (suffix, codec) in OFTEN else pytest.mark.slow)
        for suffix in (".mcap", ".mp4", ".mkv")
        for codec in ("h264", "h265", "av1")
    ],
)
def test_a_damaged_video_is_accounted_for(codec: str, suffix: str, tmp_path: Path) -> None:
    run(tmp_path, suffix, codec, 1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
@pytest.mark.parametrize("suffix", [".mcap", ".mp4", ".mkv"])
def test_many_damaged_videos_are_accounted_for(codec: str, suffix: str, tmp_path: Path) -> None:
    run(tmp_path, suffix, codec, 2, 225)
