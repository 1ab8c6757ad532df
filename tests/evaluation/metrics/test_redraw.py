"""Values on other draws, beside metrics that were really fed those frames so often."""

from __future__ import annotations

import numpy as np
import pytest

from perception.evaluation.metrics import Rules, Suite, curves
from perception.evaluation.metrics.curves import average_precision, best_f1
from perception.evaluation.metrics.marks import Marks, tables
from perception.evaluation.metrics.ranked import average_precisions, best_f1s, segments
from perception.evaluation.metrics.redraw import redraw
from perception.types import Control, ControlChannel, Output, TruthFrame
from tests.evaluation.metrics.build import CLASSES, random_frames


@pytest.fixture(autouse=True)
def _recalls_as_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """COCO's recalls are rounded: 7 of 100 do not reach its 0.07. Redrawn values are free of that."""
    monkeypatch.setattr(curves, "RECALLS", curves.RECALLS - 1e-9)


BLOCK_NS = 500_000_000  # five frames
BLOCKS = 12
RULES = Rules(min_support=1, classes=CLASSES)


def whole(rng: np.random.Generator, ties: bool) -> list[tuple[Output, TruthFrame]]:
    """Frames with every head."""
    frames = []
    for output, truth in random_frames(rng, BLOCKS * 5, ties=ties):
        said, true, measured = rng.normal(3, 1, 3)
        control = Control(True, channels=(ControlChannel("curvature", "1/m", said, rng.uniform(0.5, 2)),))
        frames.append(
            (
                Output(output.tick, output.detections, control),
                TruthFrame(truth.stamp_ns, truth.boxes, {"curvature": true}, {"curvature": measured}),
            )
        )
    return frames


@pytest.mark.parametrize("ties", [False, True])
def test_redrawn_values_are_those_of_frames_that_came_so_often(ties: bool) -> None:
    rng = np.random.default_rng(ties)
    frames = whole(rng, ties)
    suite, marks = Suite(RULES), Marks()
    for log in (frames[:30], frames[30:]):
        for output, truth in log:
            suite.update(output, truth)
        marks.add(suite)
    weights = rng.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), size=6).astype(np.float32)
    if ties:  # copies of a frame would be told apart from one another only by the order they came in
        weights = np.minimum(weights, 1)
    redrawn = {}
    for metric in suite.metrics:
        places = {
            key: marks.blocks(key, rows, lambda log, stamps: (stamps // BLOCK_NS).astype(np.intp))
            for key, rows in tables(metric).items()
        }
        redrawn |= {(metric.name, key): found for key, found in redraw(metric, places, weights).items()}
    fixed = {"confused", "D-ECE"}  # their cut-off and bins stay those of all data
    for draw, row in enumerate(weights):
        again = Suite(RULES)
        for place, (output, truth) in enumerate(frames):
            for _ in range(int(row[place // 5])):
                again.update(output, truth)
        for result in again.compute()[:-1]:
            for name, value in result.values.items():
                if name.partition("/")[0] in fixed or value.value is None:
                    continue
                found = redrawn[result.metric, name][draw]
                assert found == pytest.approx(value.value, rel=2e-4, abs=2e-5), (result.metric, name)


def test_without_a_change_everything_is_as_it_was() -> None:
    suite, marks = Suite(RULES), Marks()
    for output, truth in whole(np.random.default_rng(3), ties=True):
        suite.update(output, truth)
    marks.add(suite)
    one = np.ones((1, BLOCKS), dtype=np.float32)
    for metric in suite.metrics:
        places = {
            key: marks.blocks(key, rows, lambda log, stamps: (stamps // BLOCK_NS).astype(np.intp))
            for key, rows in tables(metric).items()
        }
        found = redraw(metric, places, one)
        for name, value in metric.compute().values.items():
            if value.value is not None:
                assert found[name][0] == pytest.approx(value.value, rel=1e-5, abs=1e-6), name


def test_long_rankings_are_read_between_segments_without_loss_that_counts() -> None:
    rng = np.random.default_rng(5)
    score = np.sort(rng.uniform(0, 1, 20_000))[::-1]
    hit = rng.uniform(0, 1, 20_000) < score
    one, block = np.ones((1, 1), dtype=np.float32), np.zeros(20_000, dtype=np.intp)
    truths = np.array([13_000.0])
    found = segments(hit, score, block, one)
    assert found.hits.shape[1] == 512
    assert average_precisions(found, truths)[0] == pytest.approx(average_precision(hit, 13_000), abs=1e-3)
    best, expected = best_f1s(segments(hit, score, block, one, True), truths), best_f1(hit, score, 13_000)
    assert best.f1[0] == pytest.approx(expected.f1, abs=1e-3)


def test_a_draw_without_truth_has_no_value_and_one_without_detection_has_zero() -> None:
    weights = np.array([[1, 0], [0, 1]], dtype=np.float32)
    found = segments(np.array([True]), np.array([0.9]), np.array([0]), weights)
    assert np.isnan(average_precisions(found, np.array([1.0, 0.0]))).tolist() == [False, True]
    none = segments(np.zeros(0, bool), np.zeros(0), np.zeros(0, np.intp), weights)
    assert average_precisions(none, np.array([3.0, 0.0]))[0] == 0.0
    assert best_f1s(none, np.array([3.0, 0.0])).f1[0] == 0.0
