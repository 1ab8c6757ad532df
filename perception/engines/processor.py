"""What the processor can do that decides which backend is fastest. No torch."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As Linux calls the units: of x86 without and with tiles, and of Arm."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A name for it, the same on machines that compute alike, and its bfloat16 units.

    Attributes:
        instructions: A digest of all it can do: code compiled for one such set may not run on another,
            and a virtual machine may hide some of what its processor can.
    """

    name: str
    bf16: bool
    instructions: str = ""


@cache
def processor() -> Processor:
    """The processor of this machine. Where nothing is known of it, it has no bfloat16 units."""
    return parse_cpuinfo(_cpuinfo())


def parse_cpuinfo(text: str) -> Processor:
    """What `/proc/cpuinfo` says; machines that have none give an empty text."""
    first = text.strip().split("\n\n")[0]
    said = {
        key.strip(): value.strip()
        for key, separator, value in (line.partition(":") for line in first.splitlines())
        if separator
    }
    flags = frozenset((said.get("flags") or said.get("Features") or "").split())
    named = [said[key] for key in ("vendor_id", "cpu family", "model", "model name") if key in said]
    named = named or [said[key] for key in ("CPU implementer", "CPU part") if key in said]
    instructions = hashlib.sha256(" ".join(sorted(flags)).encode()).hexdigest()[:12]
    return Processor(" ".join([platform.machine(), *named]), bool(flags & BF16_FLAGS), instructions)


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
