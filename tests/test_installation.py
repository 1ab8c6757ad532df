"""An error about a missing extra names the command that works where the user stands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from perception import installation
from perception.errors import MissingExtraError


class Distribution:
    def __init__(self, origin: dict[str, Any] | None) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        return None if self._origin is None else json.dumps(self._origin)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in whose folder the user stands, installed with pip."""
    origin = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    monkeypatch.setattr(installation, "distribution", lambda name: Distribution(origin))
    monkeypatch.setattr(installation, "find_spec", lambda name: object())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_clone_with_pip(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installation.install_command("sim") == "pip install -e '.[sim]'"
    monkeypatch.chdir("/")
    assert installation.install_command("sim") == f"cd {clone} && pip install -e '.[sim]'"


def test_a_clone_with_uv(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(clone / ".venv"))
    (clone / ".venv").mkdir()
    (clone / ".venv" / "pyvenv.cfg").write_text("home = /usr\nuv = 0.9\n")
    assert installation.install_command("sim") == "uv sync --extra sim --inexact"
    (clone / ".uv" / "bin").mkdir(parents=True)
    (clone / ".uv" / "bin" / "uv").touch()
    assert installation.install_command("eval") == ".uv/bin/uv sync --extra eval --inexact"


def test_an_environment_without_pip(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    assert installation.install_command("sim") == "uv pip install -e '.[sim]'"


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'perception-fusion[sim]'"),
        ({"url": "file:///src/p"}, "pip install 'perception-fusion[sim] @ file:///src/p'"),
        (
            {"url": "https://example.org/p.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'perception-fusion[sim] @ git+https://example.org/p.git@abc'",
        ),
        (
            {"url": "https://example.org/p.whl"},
            "pip install 'perception-fusion[sim] @ https://example.org/p.whl'",
        ),
    ],
)
def test_an_installed_package(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None, command: str
) -> None:
    monkeypatch.setattr(installation, "distribution", lambda name: Distribution(origin))
    assert installation.install_command("sim") == command


def test_the_error_says_it(clone: Path) -> None:
    assert str(MissingExtraError("simulating logs", "sim")) == (
        "simulating logs needs the extra 'sim': pip install -e '.[sim]'"
    )
