"""The processor of this machine: its name, its bfloat16 units, its cores. No torch."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Linux' names of the units: of x86 without and with tiles, and of Arm."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A name, the same on machines that compute alike, and whether there are bfloat16 units.

    Attributes:
        instructions: A digest of the instruction set: code compiled for one may not run on another, and a
            virtual machine may hide some of its processor's instructions.
    """

    name: str
    bf16: bool
    instructions: str = ""


@cache
def processor() -> Processor:
    """Return the processor of this machine; without bfloat16 units where nothing is known of it."""
    return parse_cpuinfo(_cpuinfo())


def parse_cpuinfo(text: str) -> Processor:
    """Return the processor that `/proc/cpuinfo` describes; the text is empty where there is no such file."""
    first = text.strip().split("\n\n")[0]
    fields = {
        key.strip(): value.strip()
        for key, separator, value in (line.partition(":") for line in first.splitlines())
        if separator
    }
    flags = frozenset((fields.get("flags") or fields.get("Features") or "").split())
    named = [fields[key] for key in ("vendor_id", "cpu family", "model", "model name") if key in fields]
    named = named or [fields[key] for key in ("CPU implementer", "CPU part") if key in fields]
    instructions = hashlib.sha256(" ".join(sorted(flags)).encode()).hexdigest()[:12]
    return Processor(" ".join([platform.machine(), *named]), bool(flags & BF16_FLAGS), instructions)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
