"""Entry points of other packages: a name is of one package, and what it names can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perception.errors import LogError, PluginError
from perception.extensions import extension_points
from perception.logs import open_log
from perception.pipeline.host_job import load_host
from perception.sinks import make_sink
from tests.installed_packages import install, package_folder
from tests.small_logs import SmallLog


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages, with a module `with_nothing`."""
    with package_folder(tmp_path / "packages", monkeypatch) as folder:
        (folder / "with_nothing.py").touch()
        yield folder


def open_small_log(folder: Path) -> None:
    open_log(SmallLog().status().write(folder / "a.mcap"))


@pytest.mark.parametrize(
    ("group", "name", "use"),
    [
        ("perception.hosts", "ros1", lambda folder: load_host("ros1")),
        ("perception.sinks", "jsonl", lambda folder: make_sink(folder / "a.jsonl")),
        ("perception.log_readers", "mcap", open_small_log),
    ],
)
def test_a_name_of_the_project_is_not_taken_over(
    packages: Path, tmp_path: Path, group: str, name: str, use: Callable[[Path], object]
) -> None:
    install(packages, "theirs", group, f"{name} = with_nothing")
    with pytest.raises(PluginError, match=rf"'{name}' is .* of perception-fusion and with_nothing of theirs"):
        use(tmp_path)


def test_two_packages_do_not_share_a_name(packages: Path) -> None:
    install(packages, "theirs", "perception.hosts", "robo = with_nothing")
    assert extension_points("perception.hosts", {})["robo"].value == "with_nothing"
    install(packages, "others", "perception.hosts", "robo = json")
    with pytest.raises(PluginError, match=r"'robo' is .* uninstall one of them"):
        load_host("robo")


def test_a_host_without_its_function_is_named(packages: Path) -> None:
    install(packages, "theirs", "perception.hosts", "robo = with_nothing")
    with pytest.raises(PluginError, match=r"host 'robo' \(with_nothing\): expected a function serve"):
        load_host("robo")


def test_a_reader_without_its_functions_is_named(packages: Path, tmp_path: Path) -> None:
    install(packages, "theirs", "perception.log_readers", "lift = with_nothing")
    with pytest.raises(
        LogError, match=r"log reader 'lift' \(with_nothing\) has no reads, open; uninstall it"
    ):
        open_small_log(tmp_path)
