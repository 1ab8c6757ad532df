"""Intervals around the values of an evaluation: when there are any, what they hold, what they cost."""

from __future__ import annotations

import time

import numpy as np
import pytest

from perception.evaluation.intervals import range_of, with_intervals
from perception.evaluation.metrics import Latency
from perception.evaluation.report.schema import by_head
from perception.evaluation.resampling import Resampler, Resampling
from tests.evaluation.scored import drive, scored

FEW = Resampling(draws=200)


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


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="100 and more"):
        Resampling(draws=5)
    with pytest.raises(ValueError, match="level"):
        Resampling(level=1.0)
