"""The report of an error that nothing handled: a bug, which the user is told how to report."""

from __future__ import annotations

import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import perception
from perception.remote.url_secrets import without_secrets


def bug_text(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the report of a bug to a file and return what to tell the user."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    what = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    report = _write(error, arguments)
    where = f"{report}, which holds the command and the traceback" if report else "the traceback of --debug"
    return (
        f"a bug in perception {perception.__version__}: {what}{place}. Outputs are readable as far as they "
        f"were written. Please report it to the maintainers with {where}, and with the log if you may"
    )


def _write(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Write the report to a new file in the folder for temporary files; None where that cannot be done."""
    text = "\n".join(
        [
            f"perception {perception.__version__}, Python {platform.python_version()}, {platform.platform()}",
            _versions(),
            shlex.join(["perception", *arguments]),
            f"in {_here()}",
            "",
            *traceback.format_exception(error),
        ]
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            errors="backslashreplace",
            prefix="perception-bug-",
            suffix=".txt",
            delete=False,
        ) as file:
            file.write(without_secrets(text))
    except OSError:
        return None
    return Path(file.name)


def show_traceback(error: BaseException) -> None:
    """Print the traceback of an error to stderr, for `--debug`."""
    traceback.print_exception(error, file=sys.stderr)


def _versions() -> str:
    """Return the versions of packages, read from their metadata: a package may be what is broken."""
    found = []
    for name in ("torch", "torchvision", "numpy", "opencv-python-headless", "opencv-python", "openvino"):
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return "a folder that is gone"
