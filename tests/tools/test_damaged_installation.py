"""A package that cannot be loaded is a damaged installation: the user is told how to mend it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from perception_tools import damaged_installation
from perception_tools.cli import run
from perception_tools.damaged_installation import damage_text


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV was brought by two packages, as where another one requires `opencv-python`."""
    brought_by = {"cv2": ["opencv-python", "opencv_python_headless"], "lonely": ["lonely"]}
    lines = ["opencv-python-headless<6,>=4.10", "lz4<5,>=4.3", "rerun-sdk<1 ; extra == 'rerun'"]
    monkeypatch.setattr(damaged_installation, "packages_distributions", lambda: brought_by)
    monkeypatch.setattr(damaged_installation, "requires", lambda name: lines)
    monkeypatch.setattr(damaged_installation, "version", lambda name: "5.0.1")
    monkeypatch.setattr(damaged_installation, "pip_install", lambda what: f"pip install {what}")


def test_a_second_opencv_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`opencv-python` over the headless one, on a machine without a display: the usual container."""

    def fail(path: object) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file", name="cv2")

    monkeypatch.setattr("perception.logs.open_log", fail)
    assert run(["info", "drive.mcap"]) == 1
    assert capsys.readouterr().err == (
        "error: the package cv2 cannot be loaded (libGL.so.1: cannot open shared object file): the "
        "installation is damaged; uninstall opencv-python, which brings it, too; then install it again: "
        "pip install --force-reinstall --no-deps opencv-python-headless==5.0.1\n"
    )


def test_a_required_package_that_is_gone_is_named() -> None:
    said = damage_text(ModuleNotFoundError("No module named 'lz4.frame'", name="lz4.frame"))
    assert said is not None
    assert said.endswith("install it again: pip install --force-reinstall --no-deps lz4==5.0.1")
    for module in ("lonely", "unheard"):
        said = damage_text(ModuleNotFoundError(f"No module named '{module}'", name=module))
        assert said is not None
        assert said.endswith("`pip check` names what is missing")


def test_a_folder_that_is_left_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hollow_package").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AttributeError) as caught:
        _ = importlib.import_module("hollow_package").imread
    assert "hollow_package cannot be loaded" in (damage_text(caught.value) or "")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name 'x'", name="perception.logs"),
        ModuleNotFoundError("No module named 'tomllib'", name="tomllib"),
        ImportError("of no package"),
        ImportError("cannot import name 'x' from 'numpy' (numpy/__init__.py)", name="numpy"),
        AttributeError("x", name="x", obj=Path),
        AttributeError("x", name="x", obj=importlib),
        KeyError("x"),
    ],
)
def test_other_errors_stay_bugs(error: Exception) -> None:
    assert damage_text(error) is None
