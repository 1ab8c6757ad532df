"""Logs that are compressed as a whole: the same messages; cut ones as far as they go; bombs are refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard

from perception.errors import LogError
from perception.logs import is_log, open_log, unpacked_file
from tests.logs import ros_bags
from tests.small_logs import SmallLog

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lz4": lz4.frame.compress,
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packed")
    bag = ros_bags.write_ros2(folder / "drive", "SQLITE3", seconds=0.5)
    return {
        "mcap": SmallLog().sound().write(folder / "drive.mcap"),
        "bag": ros_bags.write_ros1(folder / "drive.bag", seconds=0.5),
        "db3": next(bag.glob("*.db3")),
    }


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["mcap", "bag", "db3"])
def test_the_messages_are_those_of_the_log_in_it(
    name: str, suffix: str, logs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"{logs[name].name}{suffix}"
    path.write_bytes(PACKERS[suffix](logs[name].read_bytes()))
    assert is_log(path)
    assert ros_bags.read(path) == ros_bags.read(logs[name])
    with open_log(path) as log:
        assert log.path == path
        assert log.survey.size_bytes == path.stat().st_size


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_cut_file_is_read_as_far_as_it_goes_and_named(suffix: str, tmp_path: Path) -> None:
    bag = ros_bags.write_ros1(tmp_path / "drive.bag", seconds=20.0)
    path = tmp_path / f"drive.bag{suffix}"
    packed = PACKERS[suffix](bag.read_bytes())
    path.write_bytes(packed[: len(packed) * 2 // 3])  # more than one block of 900 kB
    messages, _, damage = ros_bags.read(path)
    assert damage[0].reason == "the compressed file is cut off"
    whole = ros_bags.read(bag)[0]
    assert set(messages) <= set(whole)
    assert len(messages) > 100


def test_a_damaged_byte_is_named(logs: dict[str, Path], tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(logs["bag"].read_bytes()))
    packed[-6] ^= 1  # in the CRC
    path = tmp_path / "drive.bag.gz"
    path.write_bytes(packed)
    messages, _, damage = ros_bags.read(path)
    assert len(messages) == len(ros_bags.read(logs["bag"])[0])
    assert "does not decompress to its end" in damage[0].reason


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz"])
def test_a_bomb_is_refused_in_one_line_and_leaves_nothing(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perception.logs import compressed_log

    monkeypatch.setattr(compressed_log, "LONE_BYTES", 1 << 20)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / f"drive.bag{suffix}"
    path.write_bytes(PACKERS[suffix](b"#ROSBAG V2.0\n" + bytes(8 << 20)))
    with pytest.raises(LogError, match=r"decompresses to more than 1 MiB") as raised:
        open_log(path)
    assert "\n" not in str(raised.value)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_streams_of_xz_behind_each_other_are_one_file(logs: dict[str, Path], tmp_path: Path) -> None:
    data = logs["bag"].read_bytes()
    path = tmp_path / "drive.bag.xz"
    path.write_bytes(lzma.compress(data[:5000]) + bytes(8) + lzma.compress(data[5000:]) + bytes(4))
    assert ros_bags.read(path) == ros_bags.read(logs["bag"])


def test_an_xz_file_that_needs_much_memory_is_refused_in_one_line(
    logs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked_file, "XZ_MEMORY", 4 << 20)  # the usual preset needs 9 MiB
    path = tmp_path / "drive.bag.xz"
    path.write_bytes(lzma.compress(logs["bag"].read_bytes()))
    with pytest.raises(LogError, match="an xz-compressed file; decompress it first") as raised:
        open_log(path)
    assert "\n" not in str(raised.value)


def test_what_is_no_log_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.gz"
    path.write_bytes(gzip.compress(b"hello\n" * 100))
    assert not is_log(path)
    with pytest.raises(LogError, match="a gzip-compressed file; decompress it first"):
        open_log(path)
