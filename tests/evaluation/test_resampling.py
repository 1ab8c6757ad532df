"""Intervals of the values of an evaluation: when they exist, their coverage and their cost."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from perception.evaluation.intervals import range_of, with_intervals
from perception.evaluation.log_record import LogRecord
from perception.evaluation.metric_sink import MetricSink
from perception.evaluation.metrics import Latency, Result, Suite, Value, Weights
from perception.evaluation.report.value_schema import by_head
from perception.evaluation.resampling import Resampler, Resampling, Scored
from tests.evaluation.metrics.build import Pair
from tests.evaluation.metrics.test_position_errors import pair as position_pair
from tests.evaluation.scored import RULES, drive, scored

FEW = Resampling(draws=200)


class Overshoot:
    """A metric of another package: how often the command is too high, and by how much."""

    head = "overshoot"

    def __init__(self, name: str = "overshoot") -> None:
        self.name = name
        self.errors: list[float] = []

    def update(self, output, truth) -> None:
        self.errors.append(output.control.channels[0].value - truth.control["curvature"])

    def compute(self) -> Result:
        share = np.mean(np.array(self.errors) > 0)
        return Result(self.name, self.head, {"mAP": Value(float(share), len(self.errors))})

    def merge(self, other) -> None:
        self.errors += other.errors


class WeightedOvershoot(Overshoot):
    def values(self, weights: Weights) -> dict[str, np.ndarray]:
        high = np.array(self.errors) > 0
        each = weights.each(np.arange(len(high)))
        return {"mAP": each @ high / each.sum(axis=1)}


class BrokenOvershoot(Overshoot):
    def values(self, weights: Weights) -> dict[str, np.ndarray]:
        return {"mAP": np.zeros(3)}


def intervals(one, options: Resampling = FEW) -> dict[str, tuple[float, object]]:
    heads = by_head([*one.suite.compute(), Latency().compute()])
    found = with_intervals(heads, one, Resampler([one], options))
    return {
        f"{head}.{key}": (value.value, value.interval)
        for head, metrics in found.items()
        for metric in metrics.values()
        for key, value in metric.values.items()
    }


def test_every_value_of_our_own_heads_lies_in_its_interval() -> None:
    found = intervals(scored([drive(0, 300)]))
    without = {name for name, (value, interval) in found.items() if value is not None and interval is None}
    assert without <= {"timing.deadline_misses", "control.R2/curvature"}
    assert {"box.mAP", "class.F1", "control.MAE/curvature", "joint.joint", "box.mAP/small"} <= found.keys()
    for name, (value, interval) in found.items():
        if interval is not None:
            assert interval.low <= value <= interval.high, name
            least, greatest = range_of(name.partition(".")[2])
            assert least <= interval.low <= interval.high <= greatest, name
            assert interval.std_error >= 0


def test_errors_of_positions_in_metres_lie_in_their_intervals_however_large() -> None:
    one = scored([[far_off(seed) for seed in range(300)]])
    found = intervals(one)
    for name in ("position_abs", "position_along/vehicle", "position_across", "position_NEES"):
        value, interval = found[f"box.{name}"]
        assert value > 1
        assert interval.low < value < interval.high, name


def far_off(seed: int) -> Pair:
    """Return one frame with a match whose position is metres off, every tenth of a second."""
    rng = np.random.default_rng(seed)
    output, truth = position_pair((rng.normal(), rng.normal(0, 3), rng.normal(5, 1)))
    stamp_ns = seed * 100_000_000
    tick = replace(output.tick, stamp_ns=stamp_ns, log_time_ns=stamp_ns)
    return replace(output, tick=tick), replace(truth, stamp_ns=stamp_ns)


def test_equal_seeds_give_equal_intervals_and_other_seeds_others() -> None:
    one = scored([drive(1, 250)])
    assert intervals(one) == intervals(one)
    other = intervals(one, Resampling(draws=200, seed=1))
    assert other["box.mAP"][1] != intervals(one)["box.mAP"][1]


def test_few_blocks_give_no_interval_and_the_report_says_so() -> None:
    one = scored([drive(2, 100)])
    assert all(interval is None for _, interval in intervals(one).values())
    told = Resampler([one], FEW).report()
    assert told.heads["box"].no_interval == "5 blocks of 2 s; 10 are needed"
    assert told.stages == ["blocks"]


def test_five_logs_are_drawn_too_and_their_differences_widen_the_interval() -> None:
    alike = scored([drive(seed, 60) for seed in range(6)])
    apart = scored([drive(seed, 60, off=0.2 + 1.5 * (seed % 2)) for seed in range(6)])
    assert Resampler([alike], FEW).report().stages == ["logs", "blocks"]
    widths = [
        found["control.MAE/curvature"][1].std_error / found["control.MAE/curvature"][0]
        for found in (intervals(alike), intervals(apart))
    ]
    assert widths[1] > 2.5 * widths[0]


def test_the_interval_of_a_mean_is_that_of_the_textbook() -> None:
    """Independent errors: the standard error of the mean is std / sqrt(n)."""
    one = scored([drive(3, 500)])
    error = np.abs(one.records[0].control["curvature"]["error"])
    _, interval = intervals(one, FEW)["control.MAE/curvature"]
    assert interval.std_error == pytest.approx(error.std() / np.sqrt(len(error)), rel=0.35)


def test_a_thousand_draws_are_cheap() -> None:
    """The limit is 60 s for 10,000 frames; the greater part does not even grow with the frames."""
    one = scored([drive(4, 300)])
    began = time.process_time()
    intervals(one, Resampling(draws=1000))
    assert time.process_time() - began < 6.0


def test_errors_that_remember_long_get_longer_blocks() -> None:
    rng, slow = np.random.default_rng(0), [0.0]
    while len(slow) < 600:
        slow.append(0.95 * slow[-1] + rng.normal())  # an autocorrelation time of 3.9 s
    frames = drive(5, 600, off=0.0)
    one = scored(
        [
            [
                (output, type(truth)(truth.stamp_ns, truth.boxes, {"curvature": float(value)}, None))
                for (output, truth), value in zip(frames, slow, strict=True)
            ]
        ]
    )
    told = Resampler([one], FEW).report()
    assert 2.5 < told.heads["control"].block_s == told.heads["control"].correlation_s < 5.5
    assert told.heads["joint"] == told.heads["control"]
    assert told.heads["box"].block_s == 2.0
    assert not told.heads["box"].no_interval


def test_a_metric_of_another_package_gets_an_interval_if_it_computes_values_under_weights() -> None:
    guests = [WeightedOvershoot("weighted"), Overshoot("plain"), BrokenOvershoot("broken")]
    suite, record = Suite(RULES, guests=guests), LogRecord("0.mcap")
    sink = MetricSink(suite, record=record)
    for output, truth in drive(6, 300):
        sink.score(output, truth)
    sink.close()
    one = Scored(suite, [record])
    found = with_intervals(by_head(suite.compute()), one, Resampler([one], FEW))["overshoot"]
    value = found["weighted"].values["mAP"]
    assert value.interval is not None
    assert value.interval.low < value.value < value.interval.high
    assert value.interval.std_error == pytest.approx(np.sqrt(value.value * (1 - value.value) / 300), rel=0.4)
    assert found["plain"].values["mAP"].interval is None
    assert found["broken"].values["mAP"].interval is None
    assert suite.errors == {"broken": "ValueError: values: expected 200 of 'mAP', found shape (3,)"}


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="100 and more"):
        Resampling(draws=5)
    with pytest.raises(ValueError, match="level"):
        Resampling(level=1.0)
