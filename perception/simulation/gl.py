"""MuJoCo, imported on first use, and OpenGL contexts without a window."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from perception.errors import MissingExtraError, PerceptionError

PACKAGES = "libegl1 libgl1 libgl1-mesa-dri"
"""Debian and Ubuntu packages with EGL and a software renderer."""


def mujoco() -> Any:
    """Return the MuJoCo module, set to render without a display (`MUJOCO_GL`, by default egl).

    Raises:
        MissingExtraError: It is not installed.
        PerceptionError: OpenGL's libraries are missing; names the system packages.
    """
    os.environ.setdefault("MUJOCO_GL", "egl")
    if os.environ["MUJOCO_GL"] == "egl":
        os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    try:
        import mujoco as module
    except ModuleNotFoundError as error:
        if error.name == "mujoco":
            raise MissingExtraError("simulating logs", "sim") from None
        raise
    except (ImportError, AttributeError, OSError, RuntimeError) as error:  # raised by PyOpenGL and MuJoCo
        raise no_gl(error) from None
    return module


def gl_context(width: int, height: int) -> Any:
    """Return an OpenGL context that is current in this thread.

    The backend is imported by name, because MuJoCo fixes its choice when it is first imported.

    Raises:
        PerceptionError: OpenGL cannot be used; names the system packages.
    """
    _load_compiler()
    mujoco()
    backend = os.environ["MUJOCO_GL"]
    try:
        context = import_module(f"mujoco.{backend}").GLContext(width, height)
        context.make_current()
    except Exception as error:  # whatever a missing or broken driver raises
        raise no_gl(error) from None
    return context


def _load_compiler() -> None:
    """Load the compiler that comes with torch, if it is installed: a third of a second.

    It and Mesa's renderer each bring an LLVM. Loaded after the renderer, as by the first optimiser of a
    training in this process, the compiler takes the renderer's for its own, and the interpreter crashes.
    """
    if find_spec("triton") is not None:
        with suppress(ImportError):
            import_module("triton")


def no_gl(error: BaseException) -> PerceptionError:
    """Return the error for a machine that cannot render."""
    backend = os.environ.get("MUJOCO_GL", "")
    reason = str(error).rstrip(".")
    return PerceptionError(
        f"simulating needs OpenGL without a display (MUJOCO_GL={backend}), which failed to start: {reason}. "
        f"On Debian or Ubuntu: apt-get install {PACKAGES}"
    )
