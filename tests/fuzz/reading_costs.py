"""What reading one damaged file may cost, and the highest costs of a run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_CPU_S = 5.0
MAX_GROWTH_MIB = 500.0
highest = {"cpu_s": 0.0, "growth_mib": 0.0}
"""Highest costs of one file since the start of this process."""


def _memory_mib(field: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(rf"{field}:\s*(\d+) kB", status)
    assert match, f"no {field} in /proc/self/status"
    return int(match[1]) / 1024


@contextmanager
def bounded(context: object) -> Iterator[None]:
    """Assert that a block takes at most `MAX_CPU_S` of CPU, and at most `MAX_GROWTH_MIB` above what was held.

    Without Linux's `/proc` only the CPU is measured.
    """
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5", encoding="ascii")  # the peak of resident memory begins anew (proc(5))
        held = _memory_mib("VmRSS")
    begin = time.process_time()
    yield
    cpu_s = time.process_time() - begin
    highest["cpu_s"] = max(highest["cpu_s"], cpu_s)
    assert cpu_s < MAX_CPU_S, context
    if reset.exists():
        growth = _memory_mib("VmHWM") - held
        highest["growth_mib"] = max(highest["growth_mib"], growth)
        assert growth < MAX_GROWTH_MIB, (context, growth)
