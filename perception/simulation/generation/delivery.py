"""Times of measurements and of the arrival of their messages, with the faults injected into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.simulation.random_draws import random_stream
from perception.simulation.scenario import Failure, Scenario, Timing

EPOCH_NS = 1_735_689_600_000_000_000  # 2025-01-01 00:00 UTC: logs of all seeds begin here


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement of the world at `measured_s`, with its stamp and its time of arrival.

    `moment_s` is the time that the stamp stands for; `measured_s` is earlier where the sensor is frozen.
    `faults` are those in effect.
    """

    measured_s: float
    moment_s: float
    stamp_ns: int
    log_time_ns: int
    faults: tuple[Failure, ...]
    silent: bool

    @property
    def frozen(self) -> bool:
        """Return whether what was sent before is repeated."""
        return self.measured_s < self.moment_s

    def fault(self, kind: str) -> float:
        """Return the amount of a kind of fault; 0: it is not in effect."""
        return max((f.amount for f in self.faults if f.kind == kind), default=0.0)


def plan_measurements(seed: int, scenario: Scenario, sensor: str, duration_s: float) -> list[Measurement]:
    """Return all measurements of a sensor ("camera", "range" or "status") in the order of their stamps."""
    timing: Timing = getattr(scenario.timing, sensor)
    rng = random_stream(seed, f"delivery {sensor}")
    period = 1.0 / timing.rate_hz
    phase = rng.uniform(0.02, 0.98) * period
    count = int(np.floor((duration_s - phase) / period + 1e-9)) + 1
    jitter, detour = rng.exponential(1.0, count) * timing.jitter_ms / 1e3, rng.random(count)
    measurements, latest, frozen_at = [], 0.0, None
    for k in range(count):
        moment = round(phase + k * period, 6)
        faults = tuple(f for f in scenario.failures if f.sensor == sensor and f.start_s <= moment < f.end_s)
        kinds = {f.kind for f in faults}
        arrival = moment + timing.latency_ms / 1e3 + float(jitter[k])
        if "reordered" in kinds:
            amount = max(f.amount for f in faults if f.kind == "reordered")
            arrival += float(detour[k]) * 4 * period * amount
        else:  # messages arrive in order
            arrival = latest = max(arrival, latest + 1e-6)
        frozen_at = (moment if frozen_at is None else frozen_at) if "frozen" in kinds else None
        measured = moment if frozen_at is None else frozen_at
        stamp = EPOCH_NS + round((moment + timing.clock_offset_ms / 1e3) * 1e9)
        log_time = EPOCH_NS + round(arrival * 1e9)
        measurements.append(Measurement(measured, moment, stamp, log_time, faults, "silent" in kinds))
    return measurements
