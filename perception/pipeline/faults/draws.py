"""Random draws that depend on a key and not on the order of calls."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from perception.config.fault_plan import EPISODE_NS, Fault


def uniform(fault: Fault, *key: int | str) -> float:
    """Return a number in [0, 1) that depends on the fault's seed, sensor and kind, and on the key."""
    return int.from_bytes(_digest(fault, key)[:7], "big") / (1 << 56)


def generator(fault: Fault, *key: int | str) -> np.random.Generator:
    """Return a generator that depends on the fault's seed, sensor and kind, and on the key."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(fault, key), "big")))


def episode(fault: Fault, log_time_ns: int) -> int | None:
    """Return the number of the episode at a time, or None if the fault is not active then.

    Each period of `EPISODE_NS` has one episode, which lasts for `severity` times the period.
    """
    number, within_ns = divmod(log_time_ns, EPISODE_NS)
    duration_ns = fault.severity * EPISODE_NS
    start_ns = uniform(fault, "episode", number) * (EPISODE_NS - duration_ns)
    return number if start_ns <= within_ns < start_ns + duration_ns else None


def _digest(fault: Fault, key: tuple[int | str, ...]) -> bytes:
    text = "\0".join((str(fault.seed), fault.sensor, fault.kind, *map(str, key)))
    return blake2b(text.encode(), digest_size=16).digest()
