"""The C allocator setting that keeps freed memory; for programs, not for the library."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's `mallopt`
LARGEST_KEPT = 256 << 20
MOST_KEPT = 1 << 30


def keep_freed_memory() -> bool:
    """Make the C library reuse freed large blocks instead of returning them to the system.

    glibc gives much of it back at once, and the next tensor of that size is page-faulted in anew: measured
    while training, 1,100 faults a sample and 7 % of the time. This changes the whole process, so it is for
    a program to call, at its start. What is kept is at most what was in use at the peak.

    Returns:
        Whether the C library took it; others than glibc have no such setting, and nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)) and bool(mallopt(M_TRIM_THRESHOLD, MOST_KEPT))
