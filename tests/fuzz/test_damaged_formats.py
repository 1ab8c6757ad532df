"""Damaged logs of every format but MCAP: nothing crashes or hangs, and no loss goes unsaid.

The selection of the normal suite is small. All of it, with another seed or number of files for each format:

    PERCEPTION_FUZZ_FILES=2000 PERCEPTION_FUZZ_SEED=7 pytest -m slow tests/fuzz/test_damaged_formats.py
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from perception.errors import LogError
from perception.logs import decode, open_log
from tests.fuzz import reading_costs
from tests.logs import lerobot_files, ros_bags
from tests.logs.formats import made_logs as made

FILES = int(os.environ.get("PERCEPTION_FUZZ_FILES", "2000"))
SEED = int(os.environ.get("PERCEPTION_FUZZ_SEED", "1"))
PIECE = 100  # files of one test
REGROUPED = {"/radar/tracks", "/table/ranges"}
"""Damaged times make other sweeps of the same tracks; a damaged name makes a range a value."""

UNPROVEN_NAMES = {"ros1", "ros2_db3", "ros2_db3_messages"}
"""Nothing proves the name of a topic: its messages are there under a damaged one."""


def pictures(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = ["time_s,image,speed,front_mm"]
    for i in range(6):
        (folder / "images" / f"{i}.jpg").write_bytes(made.jpeg(i))
        rows.append(f"{10 + i / 8},images/{i}.jpg,{i / 4},{700 + i}")
    (folder / "log.csv").write_text("\n".join([*rows, ""]))
    return folder


def table(path: Path) -> Path:
    path.write_text(
        "time,Fr,FrLH,FrRH,Thr\n" + "".join(f"{i / 8 + 1},{300 + i},{400 + i},2000,5\n" for i in range(20))
    )
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "comma2k19": lambda folder: made.write_comma(folder / "segment", frames=6),
    "carmen": lambda folder: made.write_carmen(folder / "a.clf", made.carmen_lines(8, beams=20)),
    "carmen_gz": lambda folder: made.write_carmen(folder / "a.clf.gz", made.carmen_lines(8, beams=20)),
    "donkey_v1": lambda folder: made.write_donkey_v1(folder / "tub", made.donkey_records(8)),
    "donkey_v2": lambda folder: made.write_donkey_v2(folder / "tub", made.donkey_records(8)),
    "kitti_raw": lambda folder: made.write_kitti_raw(folder, frames=3),
    "kitti_odometry": lambda folder: made.write_kitti_odometry(folder, frames=3),
    "kitti_object": lambda folder: made.write_kitti_object(folder / "training", frames=3),
    "pictures": lambda folder: pictures(folder / "drive"),
    "csv": lambda folder: table(folder / "a.csv"),
    "ros1": lambda folder: ros1(folder / "a.bag", ""),
    "ros1_bz2": lambda folder: ros1(folder / "a.bag", "bz2"),
    "ros1_lz4": lambda folder: ros1(folder / "a.bag", "lz4"),
    "ros2_db3": lambda folder: ros2(folder, "SQLITE3"),
    "ros2_db3_messages": lambda folder: ros2(folder, "SQLITE3", "MESSAGE"),
    "ros2_db3_file": lambda folder: ros2(folder, "SQLITE3", "FILE"),
    "ros2_mcap": lambda folder: ros2(folder, "MCAP"),
    "lerobot_2": lambda folder: lerobot_files.write_version_2(folder / "set"),
    "lerobot_3": lambda folder: lerobot_files.write_version_3(folder / "set"),
}

SELECTED = {"lerobot_2": 1, "lerobot_3": 1}  # files in the normal suite: a process looks at each video


def ros2(folder: Path, storage: str, compression: str = "NONE") -> Path:
    return ros_bags.write_ros2(folder / "bag", storage, compression, seconds=0.6)


def ros1(path: Path, compression: str) -> Path:
    ros_bags.write_ros1(path, compression, chunk=1 << 14, seconds=0.6)
    return path


def damaged(data: bytes, rng: random.Random) -> bytes | None:
    """Return the bytes of a file after one damage; None: it is gone."""
    at = rng.randrange(len(data) + 1)
    changed = bytearray(data)
    kind = rng.choice(
        ("cut", "flip", "flip", "flips", "zeros", "insert", "gone", "utf16", "nan", "empty", "double")
    )
    if kind == "cut":
        return data[:at]
    if kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else 20):
            if data:
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == "zeros":
        return data[:at] + bytes(min(200, len(data) - at)) + data[at + 200 :]
    if kind == "insert":
        return data[:at] + rng.randbytes(rng.randrange(1, 50)) + data[at:]
    if kind == "utf16":
        return data.decode("latin-1").encode("utf-16")
    if kind == "nan":
        return (
            data[:at]
            + rng.choice((b" nan ", b",,,", b"1e999", b"-1", b"\xff\xfe", b"[[[[", b"\n\n"))
            + data[at:]
        )
    return {"gone": None, "empty": b"", "double": data + data}[kind]


def contents(path: Path) -> tuple[Counter[str], Counter[str], bool, set[str]]:
    """Return the messages that were read, those of the account, whether loss is said, and the notes."""
    with open_log(path) as log:
        stream = log.messages()
        times, read = [], Counter[str]()
        for message in stream:
            times.append(message.log_time_ns)
            read[message.topic] += 1
            decode(message)
        assert times == sorted(times)
        assert read == +stream.account.read
        counts = [item.messages for item in stream.damage]
        is_extent = None in counts  # the extent of a loss is named, not its number
        assert is_extent or sum(filter(None, counts)) >= stream.account.corrupt.total()
        return read, stream.account.totals(), bool(stream.damage), set(log.survey.notes)


def check(name: str, seed: int, folder: Path, sound: Path) -> None:
    rng = random.Random(seed)
    place = folder / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(sound, place)
    path = place / MAKERS_PATHS[name]
    files = sorted(file for file in place.rglob("*") if file.is_file())
    how, unproven = [], False
    for file in rng.sample(files, min(len(files), rng.choice((1, 1, 2)))):
        data = damaged(file.read_bytes(), rng)
        how.append(str(file.relative_to(place)))
        ends = data is not None and file.read_bytes().startswith(data) and data.endswith(b"\n")
        unproven = unproven or (ends and file.suffix in (".clf", ".csv"))  # a text that ends early on a line
        if data is None:
            file.unlink()
        else:
            file.write_bytes(data)
    context = (name, seed, how)
    problem = ""
    with reading_costs.bounded(context):
        try:
            read, totals, said, notes = contents(path)
        except LogError as error:
            problem = str(error)
    if problem:
        assert "\n" not in problem, context
        return
    missing = SOUND[name][0] - read
    renamed = name in UNPROVEN_NAMES and (read - SOUND[name][0]).total() == missing.total()
    if not unproven and not renamed and any(topic not in REGROUPED for topic in missing):
        assert said or totals - read or notes - SOUND[name][1], (context, missing)


SOUND: dict[str, tuple[Counter[str], set[str]]] = {}
MAKERS_PATHS: dict[str, Path] = {}


@pytest.fixture(params=MAKERS)
def sound(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The name of a format, and a folder with a sound log of it."""
    folder = tmp_path / "sound"
    folder.mkdir()
    path = MAKERS[request.param](folder)
    read, _, said, notes = contents(path)
    assert not said
    SOUND[request.param] = read, notes
    MAKERS_PATHS[request.param] = path.relative_to(folder)
    return request.param, folder


def test_a_selection_of_damaged_logs_of_other_formats(sound: tuple[str, Path], tmp_path: Path) -> None:
    for i in range(SELECTED.get(sound[0], 25)):
        check(sound[0], 5_000_000 + i, tmp_path, sound[1])


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(-(-FILES // PIECE)))
def test_damaged_logs_of_other_formats(sound: tuple[str, Path], piece: int, tmp_path: Path) -> None:
    for i in range(PIECE):
        check(sound[0], SEED * 10_000_000 + piece * PIECE + i, tmp_path, sound[1])
