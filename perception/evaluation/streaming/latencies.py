"""The latencies that a user asks for."""

from __future__ import annotations

from typing import Literal

from perception.errors import ConfigError

CURVE_MS = (0.0, 25.0, 50.0, 100.0, 150.0, 200.0, 300.0, 500.0)


def parse_latencies(text: str) -> tuple[float | Literal["measured"], ...]:
    """Return the latencies of a comma-separated list: milliseconds or `measured`; `curve` is `CURVE_MS`.

    Raises:
        ConfigError: A latency is neither.
    """
    if text == "curve":
        return CURVE_MS
    return tuple(_latency(part.strip()) for part in text.split(","))


def _latency(text: str) -> float | Literal["measured"]:
    if text == "measured":
        return "measured"
    try:
        latency_ms = float(text)
    except ValueError:
        latency_ms = -1.0
    if not 0 <= latency_ms < 60_000:
        raise ConfigError([f"--latency-ms: expected milliseconds, 'measured' or 'curve', found '{text}'"])
    return latency_ms
