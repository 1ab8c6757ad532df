"""Draws that depend on what they are for and not on when they are made."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from perception.config.fault_plan import EPISODE_NS, Fault


def uniform(fault: Fault, *key: int | str) -> float:
    """A number from 0 up to 1 that belongs to the fault's seed and kind, and to the key."""
    return int.from_bytes(_digest(fault, key)[:7], "big") / (1 << 56)


def generator(fault: Fault, *key: int | str) -> np.random.Generator:
    """A generator of numbers that belong to the fault's seed and kind, and to the key."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(fault, key), "big")))


def episode(fault: Fault, log_time_ns: int) -> int | None:
    """The number of the episode that a moment lies in, None where the fault rests then.

    In each stretch of `EPISODE_NS` one episode lasts for the fault's share of it.
    """
    number, within_ns = divmod(log_time_ns, EPISODE_NS)
    lasts_ns = fault.severity * EPISODE_NS
    begins_ns = uniform(fault, "episode", number) * (EPISODE_NS - lasts_ns)
    return number if begins_ns <= within_ns < begins_ns + lasts_ns else None


def _digest(fault: Fault, key: tuple[int | str, ...]) -> bytes:
    text = "\0".join((str(fault.seed), fault.sensor, fault.kind, *map(str, key)))
    return blake2b(text.encode(), digest_size=16).digest()
