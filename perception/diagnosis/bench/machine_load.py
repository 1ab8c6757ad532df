"""The load of other programs during a measurement, and the memory of this process."""

from __future__ import annotations

import os
import time
from pathlib import Path


class OtherPrograms:
    """The load of other programs, measured from construction to `cores`."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy_s(), time.process_time()

    def cores(self) -> float:
        """Return the mean since the beginning; NaN where the system does not report it."""
        busy = _busy_s()
        seconds = time.monotonic() - self._began
        if busy is None or self._busy is None or seconds <= 0:
            return float("nan")
        return max(0.0, (busy - self._busy) - (time.process_time() - self._own)) / seconds


def _busy_s() -> float | None:
    """Return the seconds that all cores together have been busy since the machine started."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, first[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def memory_mib() -> tuple[float, float]:
    """Return the memory of this process now and at its peak; NaN where the system does not report it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return float("nan"), float("nan")
    kib = {
        line.split(":")[0]: float(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))
    }
    return kib.get("VmRSS", float("nan")) / 1024, kib.get("VmHWM", float("nan")) / 1024
