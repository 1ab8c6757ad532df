"""When sensors measure, when their messages arrive, and what faults do to that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.simulation.scenario import Failure, Scenario, Timing, stream

EPOCH_NS = 1_735_689_600_000_000_000  # 2025-01-01 00:00 UTC: logs of all seeds begin here


@dataclass(frozen=True, slots=True)
class Shot:
    """One measurement: of the world at `measured_s`, stamped and delivered at the given times.

    `measured_s` is earlier than the stamp says where the sensor is frozen. `faults` are those acting.
    """

    measured_s: float
    moment_s: float
    stamp_ns: int
    log_time_ns: int
    faults: tuple[Failure, ...]
    silent: bool

    def fault(self, kind: str) -> float:
        """How strongly a kind of fault acts; 0: not."""
        return max((f.amount for f in self.faults if f.kind == kind), default=0.0)


def shots(seed: int, scenario: Scenario, sensor: str, duration_s: float) -> list[Shot]:
    """All measurements of a sensor, in the order of their stamps."""
    timing: Timing = getattr(scenario.timing, sensor)
    rng = stream(seed, f"delivery {sensor}")
    period = 1.0 / timing.rate_hz
    phase = float(rng.uniform(0.02, 0.98)) * period
    count = int(np.floor((duration_s - phase) / period + 1e-9)) + 1
    jitter, detour = rng.exponential(1.0, count) * timing.jitter_ms / 1e3, rng.random(count)
    found, latest, frozen_at = [], 0.0, None
    for k in range(count):
        moment = round(phase + k * period, 6)
        faults = tuple(f for f in scenario.failures if f.sensor == sensor and f.start_s <= moment < f.end_s)
        kinds = {f.kind for f in faults}
        arrival = moment + timing.latency_ms / 1e3 + float(jitter[k])
        if "reordered" in kinds:
            amount = max(f.amount for f in faults if f.kind == "reordered")
            arrival += float(detour[k]) * 4 * period * amount
        else:  # one line: nobody overtakes
            arrival = latest = max(arrival, latest + 1e-6)
        frozen_at = (moment if frozen_at is None else frozen_at) if "frozen" in kinds else None
        stamp = EPOCH_NS + round((moment + timing.clock_offset_ms / 1e3) * 1e9)
        found.append(
            Shot(
                moment if frozen_at is None else frozen_at,
                moment,
                stamp,
                EPOCH_NS + round(arrival * 1e9),
                faults,
                "silent" in kinds,
            )
        )
    return found
