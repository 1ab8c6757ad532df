"""How this package and its extensions are installed: entry points, and the command that adds an extra where
the user stands."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from functools import lru_cache
from importlib.metadata import EntryPoints, PackageNotFoundError, distribution, version
from importlib.metadata import entry_points as _read_entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "perception-fusion"


def entry_points(group: str) -> EntryPoints:
    """Return the installed entry points of a group.

    All packages are read once, and again where a folder of `sys.path` has changed: with some two hundred of
    them that takes 20 ms.
    """
    folders = tuple((folder, _changed_ns(folder)) for folder in sys.path)
    selected: EntryPoints = _all_entry_points(folders).select(group=group)
    return selected


@lru_cache(maxsize=1)
def _all_entry_points(_folders: tuple[tuple[str, int], ...]) -> Any:
    return _read_entry_points()


def _changed_ns(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


def install_command(extra: str) -> str:
    """Return the shell command that installs an extra, in a clone with the tool that made its environment."""
    origin = _origin()
    url = str(origin.get("url", ""))
    if not url:
        return pip_install(f"'{NAME}[{extra}]'")
    if not origin.get("dir_info", {}).get("editable"):
        vcs = origin.get("vcs_info", {})
        pinned = f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if {"vcs", "commit_id"} <= vcs.keys() else url
        return pip_install(shlex.quote(f"{NAME}[{extra}] @ {pinned}"))
    root = Path(unquote(urlsplit(url).path))
    here = "" if _here() == root else f"cd {shlex.quote(str(root))} && "
    uv = ".uv/bin/uv" if (root / ".uv" / "bin" / "uv").exists() else "uv"
    if Path(sys.prefix) == root / ".venv" and _made_by_uv() and not _torch_was_chosen():
        return f"{here}{uv} sync --extra {extra} --inexact"
    return here + pip_install(f"-e '.[{extra}]'", uv, root)


def pip_install(what: str, uv: str = "uv", at: Path | None = None) -> str:
    """Return the shell command that installs packages into the environment of this Python, which need not be
    activated: pipx and `uv tool` make such ones, and the `pip` of the shell is then another environment's.

    Args:
        what: The arguments, quoted.
        uv: How uv is called.
        at: The folder in which the command runs; default: the current one.
    """
    if find_spec("pip") is not None:
        pip = shutil.which("pip")
        is_ours = pip is not None and Path(pip).parent == Path(sys.executable).parent
        return f"pip install {what}" if is_ours else f"{shlex.quote(sys.executable)} -m pip install {what}"
    prefix, chosen = Path(sys.prefix), os.environ.get("VIRTUAL_ENV")
    found = Path(chosen) if chosen else (at or _here()) / ".venv"
    return f"{uv} pip install {what}" + ("" if found == prefix else f" --python {shlex.quote(sys.prefix)}")


def _origin() -> dict[str, Any]:
    """Return what the installer recorded of where the package came from (PEP 610); of a clone that is only on
    the path, or whose build left metadata that are found first, what it would have recorded."""
    try:
        text = distribution(NAME).read_text("direct_url.json")
        origin = json.loads(text) if text else {}
    except (PackageNotFoundError, ValueError, OSError):
        origin = {}
    if isinstance(origin, dict) and origin:
        return origin
    root = Path(__file__).resolve().parents[1]
    is_clone = (root / "pyproject.toml").is_file()
    return {"url": root.as_uri(), "dir_info": {"editable": True}} if is_clone else {}


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return Path()


def _torch_was_chosen() -> bool:
    """Return whether torch is not the package index's (`--torch-backend cpu`), which a sync would put in its
    place, with CUDA."""
    try:
        return "+" in version("torch")
    except PackageNotFoundError:
        return False


def _made_by_uv() -> bool:
    try:
        return "\nuv = " in f"\n{(Path(sys.prefix) / 'pyvenv.cfg').read_text(encoding='utf-8')}"
    except (OSError, ValueError):
        return False
