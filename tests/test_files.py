"""A file has one writer at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from perception.errors import OutputError
from perception.files import (
    claimed_folder,
    is_being_written,
    make_file,
    read_regular,
    replaced_whole,
    turn,
    write_problem,
    write_whole,
)
from perception.logs import LogWriter
from perception.sinks import JsonlSink, RunInfo


def test_one_that_exists_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a long text")
    with make_file(path) as file:
        file.write(b"short")
    assert path.read_text() == "short"


def test_another_program_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a"
    code = f"from perception.files import make_file\nmake_file({str(path)!r})"
    with make_file(path) as file:
        file.write(b"mine")
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert other.returncode
        assert "another program is writing it" in other.stderr
        file.write(b" alone")
    assert path.read_text() == "mine alone"
    subprocess.run([sys.executable, "-c", code], check=True)  # now it is free
    assert path.read_text() == ""


def test_logs_and_lines_say_so(tmp_path: Path) -> None:
    log, lines = tmp_path / "a.mcap", tmp_path / "a.jsonl"
    with make_file(log), make_file(lines):
        with pytest.raises(OutputError, match=r"another program is writing it, name another file: .*a\.mcap"):
            LogWriter(log)
        with pytest.raises(OutputError, match="another program is writing it"):
            JsonlSink(lines).open(RunInfo())


def test_devices_and_pipes_take_any_number(tmp_path: Path) -> None:
    with make_file("/dev/null") as one, make_file("/dev/null") as other:
        assert one.write(b"a") == other.write(b"a") == 1


def test_of_two_processes_one_waits_for_its_turn(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from perception.files import turn\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "(folder / 'started').touch()\n"
        "with turn(folder / 'lock'):\n"
        "    print((folder / 'mine').exists())\n"
    )
    with turn(tmp_path / "lock"):
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.2)
        (tmp_path / "mine").touch()
    assert other.communicate()[0].strip() == "True"


def test_what_cannot_be_opened_is_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_file(tmp_path / "none" / "a")
    with pytest.raises(IsADirectoryError):
        make_file(tmp_path)


def test_a_file_is_replaced_whole_and_no_planted_link_is_followed(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "target"
    victim.write_bytes(b"precious")
    target.symlink_to(victim)
    write_whole(target, b"new")
    assert (target.read_bytes(), victim.read_bytes()) == (b"new", b"precious")
    assert not target.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target", "victim"]
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target", "victim"]


def test_no_file_takes_the_place_of_a_pipe_or_of_a_link_to_one(tmp_path: Path) -> None:
    """As root, `perception convert LOG /dev/stdout` would replace the link, for all programs."""
    pipe, link = tmp_path / "pipe", Path("/dev/fd")
    os.mkfifo(pipe)
    for place in (pipe, link, Path("/proc/self/fd/1"), Path("/dev/fd/1")):
        with pytest.raises(OutputError, match="no file takes the place of a pipe"), replaced_whole(place):
            raise AssertionError
        with pytest.raises(OSError, match="no file takes the place of a pipe"):
            write_whole(place, b"a")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    with pytest.raises(FileNotFoundError):  # a name that begins as that of a folder of the system does
        write_whole(Path("/processed by nobody/a"), b"a")


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    path, pipe = tmp_path / "file", tmp_path / "pipe"
    path.write_bytes(b"12345")
    os.mkfifo(pipe)
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="at most 4 bytes, found 5 bytes"):
        read_regular(path, 4)
    for other in (pipe, Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(OSError, match="expected a regular file"):
            read_regular(other, 1 << 20)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 5)


def test_a_small_file_needs_little_memory_whatever_is_allowed(tmp_path: Path) -> None:
    """Allocate the size of the file and not the largest size that is allowed."""
    path = tmp_path / "a"
    path.write_bytes(bytes(100_000))
    tracemalloc.start()
    try:
        assert len(read_regular(path, 2 << 30)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_one_program_at_a_time_holds_a_folder_until_it_ends_in_any_way(tmp_path: Path) -> None:
    code = (
        "import os\nfrom pathlib import Path\nfrom perception.files import claimed_folder\n"
        f"with claimed_folder(Path({str(tmp_path)!r})):\n    os.kill(os.getpid(), 9)"
    )
    for _ in range(2):  # the lock ends with a program that is killed; its file stays
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with claimed_folder(tmp_path):
        assert is_being_written(tmp_path / ".lock"), "network file systems lock files alone"
    assert not is_being_written(tmp_path / ".lock")


def test_a_folder_that_is_there_is_not_called_missing(tmp_path: Path) -> None:
    """`/proc` takes no files, and says so as if it were not there."""
    missing, taken = tmp_path / "no" / "x", tmp_path / "x"
    assert write_problem(missing, FileNotFoundError(2, "No such file")) == (
        f"the folder {tmp_path / 'no'} does not exist, make it first"
    )
    assert write_problem(taken, FileNotFoundError(2, "No such file")) == "no such file"
    assert (
        write_problem(taken, FileExistsError(17, "File exists")) == "a file has that name, choose another one"
    )
