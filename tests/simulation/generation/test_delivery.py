"""Tests of stamps, rates, delays and injected faults of delivery."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.simulation.generation.delivery import EPOCH_NS, plan_measurements
from perception.simulation.scenario import Failure, Scenario, Timing, Timings

SENSORS = ("camera", "range", "status")


def of(sensor: str, timing: Timing, *failures: Failure) -> Scenario:
    return Scenario(timing=Timings(**{sensor: timing}), failures=failures)


@given(
    sensor=st.sampled_from(SENSORS),
    rate=st.floats(1, 200),
    latency=st.floats(0, 300),
    jitter=st.floats(0, 50),
    seed=st.integers(0, 1000),
)
def test_stamps_are_evenly_spaced_and_messages_arrive_later_in_order(
    sensor: str, rate: float, latency: float, jitter: float, seed: int
) -> None:
    plan = plan_measurements(
        seed, of(sensor, Timing(rate_hz=rate, latency_ms=latency, jitter_ms=jitter)), sensor, 5.0
    )
    stamps = np.array([s.stamp_ns for s in plan])
    arrivals = np.array([s.log_time_ns for s in plan])
    assert abs(len(plan) - 5 * rate) <= 1
    assert np.all(np.abs(np.diff(stamps) - 1e9 / rate) < 2000)
    assert np.all(arrivals - stamps >= latency * 1e6 - 2000)
    assert np.all(np.diff(arrivals) > 0)
    assert stamps[0] >= EPOCH_NS
    assert stamps[-1] <= EPOCH_NS + 5e9


def test_the_mean_delay_is_latency_plus_jitter() -> None:
    plan = plan_measurements(1, of("camera", Timing(rate_hz=10, latency_ms=40, jitter_ms=5)), "camera", 400)
    delays = np.array([s.log_time_ns - s.stamp_ns for s in plan]) / 1e6
    assert delays.mean() == pytest.approx(45, abs=0.5)
    assert delays.min() >= 40


def test_a_clock_offset_shifts_only_the_stamps() -> None:
    plain = plan_measurements(2, of("range", Timing(rate_hz=20, latency_ms=10, jitter_ms=2)), "range", 4)
    off = plan_measurements(
        2, of("range", Timing(rate_hz=20, latency_ms=10, jitter_ms=2, clock_offset_ms=-30)), "range", 4
    )
    assert [a.stamp_ns - b.stamp_ns for a, b in zip(plain, off, strict=True)] == [30_000_000] * len(plain)
    assert [a.log_time_ns for a in plain] == [b.log_time_ns for b in off]
    assert [a.measured_s for a in plain] == [b.measured_s for b in off]


def test_silent_and_frozen_last_as_long_as_configured() -> None:
    failures = (
        Failure(sensor="camera", kind="silent", start_s=1, end_s=2),
        Failure(sensor="camera", kind="frozen", start_s=3, end_s=4),
    )
    plan = plan_measurements(0, Scenario(failures=failures), "camera", 5)
    for shot in plan:
        assert shot.silent == (1 <= shot.moment_s < 2)
        if 3 <= shot.moment_s < 4:
            assert shot.measured_s == min(s.moment_s for s in plan if s.moment_s >= 3)
        else:
            assert shot.measured_s == shot.moment_s
    assert len({s.stamp_ns for s in plan}) == len(plan)


def test_reordered_messages_overtake_each_other_and_never_arrive_before_their_stamp() -> None:
    failure = Failure(sensor="status", kind="reordered", start_s=1, end_s=3)
    plan = plan_measurements(0, Scenario(failures=(failure,)), "status", 4)
    arrivals = np.array([s.log_time_ns for s in plan])
    inside = np.array([1 <= s.moment_s < 3 for s in plan])
    late = np.diff(arrivals) < 0
    assert late[inside[:-1] & inside[1:]].mean() > 0.2
    assert not late[~inside[:-1] & ~inside[1:]].any()
    assert all(s.log_time_ns > s.stamp_ns for s in plan)


def test_a_fault_of_one_sensor_does_not_change_another() -> None:
    failure = Failure(sensor="camera", kind="reordered", start_s=0, end_s=4)
    assert plan_measurements(5, Scenario(), "range", 4) == plan_measurements(
        5, Scenario(failures=(failure,)), "range", 4
    )
