"""Random number streams of a simulated log, and draws that several modules make."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def random_stream(seed: int, purpose: str) -> np.random.Generator:
    """Return the generator of one purpose; draws for one purpose change nothing for any other."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]))


def uniforms(rng: np.random.Generator, *ranges: tuple[float, float]) -> tuple[float, ...]:
    """Draw one number from each range (low, high), in order."""
    return tuple(rng.uniform(low, high) for low, high in ranges)


def pick_one(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """Draw one of the options; `weights` are their probabilities, by default equal."""
    return options[int(rng.choice(len(options), p=weights))]


def side(rng: np.random.Generator) -> float:
    """Draw a side: 1 is left, -1 is right."""
    return float(rng.choice([-1.0, 1.0]))
