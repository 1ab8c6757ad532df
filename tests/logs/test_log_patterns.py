"""Patterns of logs: what they match, what they leave out, and what is no pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.errors import LogError
from perception.logs.log_patterns import find_logs, is_pattern, matched_logs, repeated
from perception.remote import log_path


def test_a_pattern_finds_files_in_folders_below_but_no_results(tmp_path: Path) -> None:
    for name in ("b.mcap", "x/a.mcap", "x/y/c.mcap", "out/b.outputs.mcap", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "folder.mcap").mkdir()
    found = find_logs([tmp_path / "**" / "*.mcap", tmp_path / "b.mcap"], tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["b.mcap", "x/a.mcap", "x/y/c.mcap"]
    assert len(find_logs([tmp_path / "b.mcap"] * 2)) == 2  # which is refused where it is an error

    with pytest.raises(LogError, match=r"all \d+ files that it matches lie in the folder of results"):
        find_logs([tmp_path / "**" / "*.mcap"], tmp_path)


def test_logs_come_folder_by_folder_on_this_machine_and_in_a_store(tmp_path: Path) -> None:
    import fsspec

    names = ["run/1.mcap", "run/deep/2.mcap", "run-2/0.mcap", "run.old/0.mcap"]
    store = fsspec.filesystem("memory")
    for name in reversed(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        store.pipe_file(f"/ordered/{name}", b"")
    assert sorted(tmp_path.rglob("*.mcap")) == matched_logs(tmp_path / "**" / "*.mcap")
    found = matched_logs(log_path("memory://ordered/**/*.mcap"))
    assert [str(path).removeprefix("memory://ordered/") for path in found] == names


def test_a_log_is_named_again_under_any_name(tmp_path: Path) -> None:
    log, other = tmp_path / "a.mcap", tmp_path / "b.mcap"
    log.touch()
    other.symlink_to(log)
    assert repeated([log, tmp_path / "x" / ".." / "a.mcap", str(other), tmp_path / "c.mcap"]) == [
        str(tmp_path / "x" / ".." / "a.mcap"),
        str(other),
    ]
    assert repeated([log_path("s3://b/a.mcap"), log_path("s3://b/c.mcap")]) == []


def test_a_pattern_in_a_store_finds_its_files_in_order() -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for name in ("/drives/2/b.mcap", "/drives/1/a.mcap", "/drives/out/a.outputs.mcap", "/drives/1/a.txt"):
        store.pipe_file(name, b"")
    found = find_logs([log_path("memory://drives/**/*.mcap")], log_path("memory://drives/out"))
    assert list(map(str, found)) == ["memory://drives/1/a.mcap", "memory://drives/2/b.mcap"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    odd = tmp_path / "run[1].mcap"
    odd.write_bytes(b"")
    assert find_logs([odd]) == [odd]
    assert not is_pattern(log_path("https://host/run.mcap?token=1"))
    assert is_pattern(log_path("s3://bucket/run-?.mcap"))


def test_a_pattern_that_matches_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="found no file that it matches"):
        find_logs([tmp_path / "*.mcap"])
