"""An error about a missing extra names the command that works where the user stands."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from importlib.util import find_spec
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


@pytest.fixture(autouse=True)
def activated(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activated environment: the shell's `pip` is the one of this Python."""
    monkeypatch.setattr(installation, "find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: str(Path(sys.executable).with_name(name)))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in whose folder the user stands, installed with pip."""
    origin = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    monkeypatch.setattr(installation, "distribution", lambda name: Distribution(origin))
    monkeypatch.setattr(installation, "version", lambda name: "2.15.0")
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


def test_an_extra_leaves_the_torch_that_was_chosen(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small installation of the README: `uv sync` would replace its torch by one with CUDA."""
    monkeypatch.setattr(sys, "prefix", str(clone / ".venv"))
    monkeypatch.setattr(installation, "version", lambda name: "2.15.0+cpu")
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    (clone / ".venv").mkdir()
    (clone / ".venv" / "pyvenv.cfg").write_text("home = /usr\nuv = 0.9\n")
    (clone / ".uv" / "bin").mkdir(parents=True)
    (clone / ".uv" / "bin" / "uv").touch()
    assert installation.install_command("eval") == ".uv/bin/uv pip install -e '.[eval]'"


def test_metadata_that_a_build_left_in_a_clone_say_nothing_of_where_it_is(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the clone's folder finds `perception_fusion.egg-info` there before what is installed."""
    (clone / "perception").mkdir()
    (clone / "pyproject.toml").touch()
    monkeypatch.setattr(installation, "__file__", str(clone / "perception" / "installation.py"))
    monkeypatch.setattr(installation, "distribution", lambda name: Distribution(None))
    assert installation.install_command("sim") == "pip install -e '.[sim]'"


def test_an_environment_without_pip(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
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
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: dict[str, Any] | None, command: str
) -> None:
    monkeypatch.setattr(installation, "__file__", str(tmp_path / "perception" / "installation.py"))
    monkeypatch.setattr(installation, "distribution", lambda name: Distribution(origin))
    assert installation.install_command("sim") == command


def test_the_pip_of_the_shell_is_another_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `perception` was installed by pipx, or is called by its path."""
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/pip")
    monkeypatch.setattr(sys, "executable", "/opt/my env/bin/python")
    assert installation.pip_install("s3fs") == "'/opt/my env/bin/python' -m pip install s3fs"


def test_an_environment_that_uv_made_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As by `uv tool install`: `uv pip` alone would take the one of the folder, or none."""
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "prefix", "/opt/my env")
    monkeypatch.chdir(tmp_path)
    assert installation.pip_install("s3fs") == "uv pip install s3fs --python '/opt/my env'"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert installation.pip_install("s3fs") == "uv pip install s3fs"


def test_the_error_says_it(clone: Path) -> None:
    assert str(MissingExtraError("simulating logs", "sim")) == (
        "simulating logs needs the extra 'sim': pip install -e '.[sim]'"
    )


def test_a_plain_installation_has_what_openvino_converts_models_with() -> None:
    """OpenVINO's own requirements do not name all that its converter imports; extras bring it by chance."""
    spec = find_spec("openvino.frontend.pytorch.fx_decoder")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
    }
    modules = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    known, brought_by = plain_installation(), packages_distributions()
    missing = {module for module in modules if not known & {package(d) for d in brought_by[module]}}
    assert not missing


def plain_installation() -> set[str]:
    """Return the packages that an installation without extras brings."""
    root = Path(__file__).resolve().parents[1]
    todo = list(
        tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    )
    known: set[str] = set()
    while todo:
        line = todo.pop()
        name = package(re.split(r"[^\w.-]", line, maxsplit=1)[0])
        if name not in known and "extra ==" not in line:
            known.add(name)
            try:
                todo += requires(name) or []
            except PackageNotFoundError:  # of another platform
                continue
    return known


def package(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


PACKED = """
from pathlib import Path
from setuptools import Distribution
project = Distribution({"include_package_data": False})  # else what a build left here is read
project.parse_config_files()
build = project.get_command_obj("build_py")
build.ensure_finalized()
print(*(Path(folder, name) for _, folder, _, names in build.data_files for name in names), sep="\\n")
"""


def test_a_wheel_has_every_file_of_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, "-c", PACKED], capture_output=True, text=True, check=True)
    found = {path for folder in ("perception", "plugins", "tools") for path in Path(folder).rglob("*")}
    files = {path for path in found if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert Path("plugins/hosts/examples/dora.yml") in files
    assert files <= {Path(line) for line in done.stdout.splitlines()}
