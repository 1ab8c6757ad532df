"""The messages of image codecs: libjpeg and libpng print one for each damaged picture, by C's `stderr`.

A picture that does not decode is an absent input with its reason; the terminal is for the program.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress


def silence_codecs() -> None:
    """Send what C libraries print by `stderr` of the C library to nowhere; for programs, not for libraries.

    File descriptor 2 stays: Python, the fault handler and child programs write to it as before. Where C's
    `stderr` has no such name (not on Linux), nothing is changed.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    with suppress(OSError, ValueError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        nowhere = libc.fopen(os.devnull.encode(), b"w")
        if nowhere:
            ctypes.c_void_p.in_dll(libc, "stderr").value = nowhere
