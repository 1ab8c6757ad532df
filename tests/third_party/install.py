"""Install packages for tests: for real, offline, into a folder of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BROKEN = Path(__file__).with_name("broken.py")


def install_package(name: str, target: Path) -> None:
    """Build the wheel of `tests/third_party/<name>` with its own build backend and unpack it into `target`.

    That is what an installer does with a wheel of plain Python; it needs neither pip nor a network.
    """
    source = target.parent / f"{target.name}-build" / name
    shutil.copytree(HERE / name, source, ignore=shutil.ignore_patterns("__pycache__"))
    code = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(source)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)


def install_manifests(manifests: dict[str, str], target: Path, distribution: str = "broken-plugins") -> None:
    """Install a package that has one plugin for each manifest (its YAML text); the code is `broken.py`."""
    shutil.copy(BROKEN, target / "broken_plugins_code.py")
    for name, manifest in manifests.items():
        folder = target / "broken_plugins" / name
        folder.mkdir(parents=True)
        (folder / "plugin.yaml").write_text(manifest, encoding="utf-8")
    (target / "broken_plugins" / "__init__.py").write_text("", encoding="utf-8")
    info = target / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    points = "".join(f"{name} = broken_plugins.{name}\n" for name in manifests)
    (info / "entry_points.txt").write_text(f"[perception.plugins]\n{points}", encoding="utf-8")
