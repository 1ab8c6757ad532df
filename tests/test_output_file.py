"""A file behind stdout is continued, a full disk is named, and foreign links are not followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perception.errors import OutputError
from perception.output_file import OutputFile


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there is no such device")
def test_the_file_that_stdout_goes_to_is_continued(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from perception.output_file import OutputFile;"
        "print('before', flush=True);"
        "file = OutputFile(Path('/dev/stdout')); file.write(b'a line\\n'); file.close(); print('after')"
    )
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\na line\nafter\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_and_the_error_stays_the_same() -> None:
    file = OutputFile(Path("/dev/full"))
    errors = []
    for _ in range(2):
        with pytest.raises(OutputError) as caught:
            file.write(b"x")
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert "the disk at /dev is full (no space left on device), free some space there: /dev/full" in errors[0]
    assert file.broken
    file.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the rights to give files to another user")
def test_a_link_that_another_user_planted_is_not_written_through(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "out.jsonl"
    victim.write_text("precious")
    link.symlink_to(victim)
    os.lchown(link, 12345, 12345)
    with pytest.raises(OutputError, match="a link that another user made"):
        OutputFile(link)
    assert victim.read_text() == "precious"
    os.lchown(link, os.geteuid(), -1)
    OutputFile(link).close()  # a link of one's own is followed
    assert victim.read_text() == ""
