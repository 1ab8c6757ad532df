"""A log format is found by entry point, and asked whether it reads a path."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perception.errors import LogError
from perception.logs import open_log
from tests.installed_packages import install, package_folder
from tests.small_logs import SmallLog

READER = '''
"""Reads MCAP files that were renamed to .lift and had their bytes turned around."""
from perception.logs.mcap import reader as mcap
FORMAT = "LIFT"
def reads(path):
    return path.suffix == ".lift"
def open(path):
    turned = path.with_suffix(".turned")
    turned.write_bytes(path.read_bytes()[::-1])
    return mcap.open(turned)
'''


def small_log(path: Path) -> Path:
    return SmallLog().status().write(path)


def install_reader(folder: Path, name: str, value: str) -> None:
    install(folder, f"{name}_reader", "perception.log_readers", f"{name} = {value}")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    with package_folder(tmp_path / "packages", monkeypatch) as folder:
        yield folder
    sys.modules.pop("lift_reader_code", None)


def test_a_format_of_another_package_opens_and_replaces_nothing(packages: Path, tmp_path: Path) -> None:
    (packages / "lift_reader_code.py").write_text(READER)
    install_reader(packages, "lift", "lift_reader_code")
    original = small_log(tmp_path / "a.mcap")
    lifted = tmp_path / "b.lift"
    lifted.write_bytes(original.read_bytes()[::-1])
    with open_log(original) as expected, open_log(lifted) as found:
        read, wanted = list(found.messages()), list(expected.messages())
        assert [message.data for message in read] == [message.data for message in wanted] != []
    (tmp_path / "c").write_text("text")
    with pytest.raises(
        LogError,
        match=r"expected a log \(.*LIFT, MCAP, .*\), found a text file; give a log of one of these formats",
    ):
        open_log(tmp_path / "c")


def test_a_reader_that_does_not_load_is_named(packages: Path, tmp_path: Path) -> None:
    install_reader(packages, "gone", "no_such_module:reader")
    with pytest.raises(LogError, match="the log reader 'gone' does not load: no_such_module:reader"):
        open_log(small_log(tmp_path / "a.mcap"))


def test_a_log_says_what_proves_its_counts(tmp_path: Path) -> None:
    path = small_log(tmp_path / "a.mcap")
    with open_log(path) as log:
        assert "statistics" in log.accounting.counts
        assert "CRC" in log.accounting.content
    path.write_bytes(path.read_bytes()[:-100])
    with open_log(path) as log:
        assert log.accounting.counts == ""


def test_the_reader_of_the_documentation_is_found_by_its_entry_point(packages: Path, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "logs.md").read_text(encoding="utf-8")
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def reads(" in block
    )
    assert len(code.splitlines()) <= 60
    (packages / "plain_robot_reader_code.py").write_text(code)
    install_reader(packages, "plain_robot", "plain_robot_reader_code")
    path = tmp_path / "drive.plain"
    path.write_text("# plain robot log\n100 1.5 0.25 4.0 5.0 nan\n250.5 ? 0.25 4.0 x 5.0\n300 1.5\n")
    with open_log(path) as log:
        stream = log.messages()
        odometry = [m for m in stream if m.topic == "/odom"]
        assert stream.account.lost["/odom"] == stream.account.corrupt["/scan"] == 1
    assert [m.log_time_ns for m in odometry] == [100_000_000, 250_500_000]
    sys.modules.pop("plain_robot_reader_code")
