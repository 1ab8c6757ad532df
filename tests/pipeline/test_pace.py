"""Pacing by a clock that the test turns."""

from __future__ import annotations

from dataclasses import replace

from perception.pipeline.pace import Pace
from perception.types import Reset, Sample, Tick, absent_sample


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def samples(*times_ms: int) -> list[Sample]:
    return [absent_sample(Tick(i, "reference", t * 10**6, t * 10**6), "") for i, t in enumerate(times_ms)]


def test_samples_wait_until_they_are_due() -> None:
    clock = Clock()
    pace = Pace(2.0, clock=lambda: clock.now, sleep=clock.sleep)
    assert len(list(pace.through(samples(0, 100, 300)))) == 3
    assert clock.slept == [0.05, 0.1]
    assert pace.lateness.worst_ms == 0.0


def test_lateness_is_measured_and_nothing_is_skipped_without_live_drop() -> None:
    clock = Clock()
    pace = Pace(1.0, clock=lambda: clock.now, sleep=clock.sleep)
    seen = []
    for sample in pace.through(samples(0, 100, 200, 300)):
        seen.append(sample.tick.index)
        clock.now += 0.25
    assert seen == [0, 1, 2, 3]
    assert abs(pace.lateness.worst_ms - 450) < 1e-6
    assert pace.dropped == 0


def test_live_drop_goes_on_with_the_newest_that_is_due() -> None:
    clock = Clock()
    dropped: list[int] = []
    pace = Pace(1.0, True, lambda s: dropped.append(s.tick.index), lambda: clock.now, clock.sleep)
    seen = []
    for sample in pace.through(samples(0, 100, 200, 300, 1000)):
        seen.append(sample.tick.index)
        clock.now += 0.25
    assert seen == [0, 2, 3, 4]
    assert dropped == [1]
    assert pace.dropped == 1


def test_live_drop_keeps_the_sample_before_a_break_in_time() -> None:
    clock = Clock()
    pace = Pace(1.0, True, clock=lambda: clock.now, sleep=clock.sleep)
    before, after = samples(0, 100, 200), samples(40_000, 40_100)
    after[0] = replace(after[0], reset=Reset("arrival time jumped forward"))
    assert len(list(pace.through([*before, *after]))) == 5
    assert clock.slept == [0.1, 0.1, 0.1]
    assert pace.lateness.worst_ms == 0.0
