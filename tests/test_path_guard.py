"""What is about to be written harms no file that is read, and replaces no file but an earlier output."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from perception.errors import ConfigError, OutputError
from perception.files import make_file
from perception.path_guard import Read, Write, check_paths, marked

ours = marked(b"ours")

Spell = Callable[[Path], Path]


def symlink(path: Path) -> Path:
    link = path.with_name("symlink")
    link.symlink_to(path)
    return link


def hard_link(path: Path) -> Path:
    link = path.with_name("hard")
    link.hardlink_to(path)
    return link


def through_a_linked_folder(path: Path) -> Path:
    (path.parent / "folder").symlink_to(path.parent)
    return path.parent / "folder" / path.name


SPELLINGS: dict[str, Spell] = {
    "the same": lambda path: path,
    "relative": lambda path: Path(os.path.relpath(path)),
    "dots": lambda path: path.parent / "." / ".." / path.parent.name / path.name,
    "symlink": symlink,
    "hard link": hard_link,
    "linked folder": through_a_linked_folder,
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("content", [b"ours, but read", b"something else", b""])
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_a_file_that_is_read_is_never_replaced(
    tmp_path: Path, spell: Spell, content: bytes, force: bool
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="--out would replace the log, which is read"):
        check_paths([Read("the log", path)], [Write("--out", spell(path), ours)], force=force)
    assert path.read_bytes() == content


def test_an_existing_file_is_replaced_where_it_is_an_earlier_output_or_empty_or_forced(
    tmp_path: Path,
) -> None:
    for name, content in (("earlier", b"ours 1"), ("empty", b""), ("notes", b"mine")):
        (tmp_path / name).write_bytes(content)
    for name in ("earlier", "empty", "new"):
        check_paths([], [Write("--out", tmp_path / name, ours)])
    with pytest.raises(OutputError, match=r"no earlier output of this command.*--force.*notes"):
        check_paths([], [Write("--out", tmp_path / "notes", ours)])
    with pytest.raises(OutputError, match="no earlier output"):
        check_paths([], [Write("--out", tmp_path / "earlier")])
    check_paths([], [Write("--out", tmp_path / "notes", ours)], force=True)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_two_options_never_share_a_file(tmp_path: Path, spell: Spell) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"ours")
    with pytest.raises(ConfigError, match="--a and --b name the same file"):
        check_paths([], [Write("--a", path, ours), Write("--b", spell(path), ours)])


def test_two_options_never_share_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="--a and --b"):
        check_paths([], [Write("--a", tmp_path / "new"), Write("--b", tmp_path / "folder" / "new")])


def test_pipes_and_devices_take_any_number(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (Path("/dev/null"), pipe):
        check_paths([Read("the log", path)], [Write("--a", path), Write("--b", path)])


def test_what_cannot_be_a_file_is_said_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writes = [
        Write("--a", tmp_path),
        Write("--b", tmp_path / "missing" / "new"),
        Write("--c", tmp_path / "file" / "new"),
    ]
    with pytest.raises(OutputError) as error:
        check_paths([], writes)
    lines = str(error.value).splitlines()
    assert [line[:3] for line in lines] == ["--a", "--b", "--c"]
    assert "found a folder" in lines[0]
    assert "make it first" in lines[1]


def test_a_file_in_a_folder_that_is_read_is_not_replaced_even_by_force(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "code.py").write_text("print()")
    with pytest.raises(OutputError, match="a file of the plugin"):
        check_paths([Read("the plugin", plugin)], [Write("--a", plugin / "code.py", ours)], force=True)
    check_paths([Read("the plugin", plugin)], [Write("--a", plugin / "new.mcap", ours)])


def test_marks_are_found_at_either_end_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"start" + bytes(1 << 20) + b"near the end" + b"end")
    assert marked(b"start", b"near", b"end")(path)
    for wrong in (marked(b"near"), marked(within=b"nowhere"), marked(end=b"start")):
        assert not wrong(path)


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_another_program_writes_is_told_as_such(tmp_path: Path, force: bool) -> None:
    """A video has no mark of ours before its end."""
    with make_file(tmp_path / "run.webm") as file:
        file.write(b"frames")
        with pytest.raises(OutputError, match="--render: another program is writing it, name another file"):
            check_paths([], [Write("--render", tmp_path / "run.webm", lambda path: False)], force=force)
    check_paths([], [Write("--render", tmp_path / "run.webm", lambda path: False)], force=True)
