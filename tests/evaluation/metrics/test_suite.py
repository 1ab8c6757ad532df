"""All metrics at once, metrics of other packages, timing, and the joint score."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists

from perception.errors import PluginError
from perception.evaluation import MetricSink
from perception.evaluation.metrics import (
    Latency,
    MeanAveragePrecision,
    Metric,
    Result,
    Rules,
    Suite,
    Value,
    default_metrics,
    installed_metrics,
    joint,
)
from perception.evaluation.report.value_schema import by_head
from perception.types import Output, TruthFrame
from tests.evaluation.metrics.build import control_frame, detection, frame, random_frames, truth_box

BOX = (0.0, 0.0, 100.0, 100.0)


class Frames:
    """A metric as another package would write it."""

    name = "frames_seen"
    head = "mine"

    def __init__(self, rules: Rules) -> None:
        self.count = 0

    def update(self, output: Output, truth: TruthFrame) -> None:
        self.count += 1

    def compute(self) -> Result:
        return Result(self.name, self.head, {"frames": Value(float(self.count), self.count)})

    def merge(self, other: Frames) -> None:
        self.count += other.count


def test_a_suite_says_what_its_metrics_say_alone() -> None:
    frames = random_frames(np.random.default_rng(0), 30)
    rules = Rules(min_support=1)
    suite, alone = Suite(rules), default_metrics(rules)
    for output, truth in frames:
        suite.update(output, truth)
        for metric in alone:
            metric.update(output, truth)
    assert suite.compute()[:-1] == [metric.compute() for metric in alone]


def test_a_metric_with_its_own_rules_keeps_them_in_a_suite() -> None:
    strict = MeanAveragePrecision(Rules(min_support=1, min_height_px=200))
    suite = Suite(Rules(min_support=1), [strict])
    suite.update(*frame([detection(BOX)], [truth_box(BOX)]))
    assert strict.compute().values["mAP"].value is None


def test_metrics_of_other_packages_are_found_by_their_entry_point(tmp_path, monkeypatch) -> None:
    (tmp_path / "their_metrics.py").write_text(
        "from tests.evaluation.metrics.test_suite import Frames\nmake = Frames\ndef broken(rules): return 3\n"
    )
    info = tmp_path / "their_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-metrics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[perception.metrics]\nframes = their_metrics:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_metrics", raising=False)
    (found,) = installed_metrics(Rules())
    assert isinstance(found, Metric)
    suite = Suite(Rules(), [found])
    suite.update(*control_frame(1.0, 1.0))
    suite.merge(suite)
    assert suite.compute()[0].values["frames"].value == 2.0

    (info / "entry_points.txt").write_text("[perception.metrics]\nframes = their_metrics:broken\n")
    with pytest.raises(
        PluginError, match=r"metric 'frames' of their-metrics: expected name, head.*found int"
    ):
        installed_metrics(Rules())
    (info / "entry_points.txt").write_text("[perception.metrics]\nframes = their_metrics:absent\n")
    with pytest.raises(PluginError, match="does not load: AttributeError"):
        installed_metrics(Rules())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 2.5])
def test_a_value_of_another_package_that_is_no_number_is_undefined(value: float | None) -> None:
    class Broken(Frames):
        def compute(self) -> Result:
            return Result(self.name, self.head, {"frames": Value(value, 3)})

    suite = Suite(Rules(), [], guests=[Broken(Rules())])
    found = suite.compute()[0].values["frames"]
    assert found.value == (2.5 if value == 2.5 else None)
    assert (found.why != "") == (value not in (None, 2.5))
    report = by_head(suite.compute())["mine"]["frames_seen"]
    json.dumps(report.model_dump(mode="json"), allow_nan=False)


def test_latency_by_stage_and_deadline_misses() -> None:
    latency = Latency(rate_hz=20)
    for ms in range(1, 101):
        latency.record({"decode": 1.0, "total": float(ms)})
    found = latency.compute()
    assert found.values["p50/total"].value == pytest.approx(np.percentile(np.arange(1, 101), 50))
    assert found.values["p99/total"].value == pytest.approx(np.percentile(np.arange(1, 101), 99))
    assert found.values["p95/decode"].value == 1.0
    assert found.values["deadline_misses"].value == 0.5  # 51 to 100 ms against 50
    assert found.details == {"rate_hz": 20, "misses": 50}


def test_a_percentile_rests_on_frames_beyond_it() -> None:
    latency = Latency()
    for _ in range(99):
        latency.record({"total": 1.0})
    values = latency.compute().values
    assert values["p95/total"].value == 1.0
    assert values["p99/total"].value is None
    more = Latency()
    more.record({"total": 1.0, "decode": 1.0})
    latency.merge(more)
    assert latency.compute().values["p99/total"].value == 1.0
    assert latency.compute().values["p50/decode"].value is None


def test_a_frame_is_scored_in_three_milliseconds() -> None:
    """10,000 frames in 30 s on one core; on a busy machine only the time of this process counts."""
    frames, sink = random_frames(np.random.default_rng(0), 300, truths=12, detections=39), MetricSink(Suite())
    assert np.mean([len(output.detections.items) for output, _ in frames]) > 18
    began = time.process_time()
    for output, truth in frames:
        sink.score(output, truth)
    sink.suite.compute()
    assert (time.process_time() - began) / len(frames) < 0.003


def results(rules: Rules, frames):
    suite = Suite(rules)
    for output, truth in frames:
        suite.update(output, truth)
    return suite.compute()


def test_the_joint_score_by_hand() -> None:
    # Perfect boxes, distances 20 % off, scores all 0.9 and all right; no control truth.
    frames = [frame([detection(BOX, 0.9, "vehicle", 12.0)], [truth_box(BOX)])] * 20
    (*_, found) = results(Rules(min_support=1), frames)
    assert found.details["parts"] == ["boxes", "calibration", "distance"]
    expected = (0.5 * 1.0 + 0.15 / (1 + 0.2 / 0.1) + 0.1 * 0.9) / 0.75
    assert found.values["joint"].value == pytest.approx(expected)
    assert found.details["version"] == "joint/2"


def test_saying_the_mean_of_truth_is_worth_one_half_of_the_control_part() -> None:
    frames = [control_frame(0.0, 1.0), control_frame(0.0, -1.0)] * 10
    (*_, found) = results(Rules(), frames)
    assert found.details["parts"] == ["control"]
    assert found.values["joint"].value == pytest.approx(0.5)


@given(
    truth=lists(floats(-1, 1), min_size=10, max_size=30).filter(
        lambda values: max(values) - min(values) > 1e-3
    ),
    constant=floats(-1, 1),
)
def test_a_constant_gets_at_most_one_half_of_the_control_part(truth: list[float], constant: float) -> None:
    frames = [control_frame(constant, value) for value in truth]
    (*_, scores) = results(Rules(min_support=1), frames)
    assert scores.values["joint"].value <= 0.5 + 1e-9


def test_better_detections_score_higher() -> None:
    rng = np.random.default_rng(1)
    scores = []
    for noise in (0.0, 4.0, 12.0):
        frames = []
        for index in range(30):
            x, y = rng.uniform(0, 200, 2)
            true = truth_box((x, y, x + 60, y + 60), distance_m=10)
            predicted = detection((np.array(true.xyxy) + rng.normal(0, noise, 4)).tolist(), 0.9)
            frames.append(frame([predicted], [true], index))
        scores.append(joint(results(Rules(), frames)).values["joint"].value)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1] > scores[2]
