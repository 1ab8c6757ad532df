"""Values under drawn weights, beside metrics that were fed each frame as often as it was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from perception.evaluation.metrics import DrawnWeights, Rules, Suite, WeightedMetric, Weights, curves
from perception.evaluation.metrics import weights as weights_module
from perception.evaluation.metrics.curves import average_precision, best_f1
from perception.evaluation.metrics.ranked import average_precisions, best_f1s, segments
from perception.types import Control, ControlChannel, Output, TruthFrame
from tests.evaluation.metrics.build import CLASSES, random_frames


@pytest.fixture(autouse=True)
def _recalls_as_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """COCO's recalls are rounded: 7 of 100 do not reach its 0.07. Values of draws are free of that."""
    monkeypatch.setattr(curves, "RECALLS", curves.RECALLS - 1e-9)


BLOCK_NS = 500_000_000  # five frames
BLOCKS = 12
RULES = Rules(min_support=1, classes=CLASSES)


def whole(rng: np.random.Generator, ties: bool) -> list[tuple[Output, TruthFrame]]:
    """Frames with every head."""
    frames = []
    for output, truth in random_frames(rng, BLOCKS * 5, ties=ties):
        predicted, true, measured = rng.normal(3, 1, 3)
        control = Control(
            True, channels=(ControlChannel("curvature", "1/m", predicted, rng.uniform(0.5, 2)),)
        )
        frames.append(
            (
                Output(output.tick, output.detections, control),
                TruthFrame(truth.stamp_ns, truth.boxes, {"curvature": true}, {"curvature": measured}),
            )
        )
    return frames


def block_of(frames: list[tuple[Output, TruthFrame]]) -> np.ndarray:
    return np.array([truth.stamp_ns // BLOCK_NS for _, truth in frames])


@pytest.mark.parametrize("ties", [False, True])
def test_values_under_weights_are_those_of_frames_that_are_repeated(ties: bool) -> None:
    rng = np.random.default_rng(ties)
    frames = whole(rng, ties)
    suite, second = Suite(RULES), Suite(RULES)
    for output, truth in frames[:30]:
        suite.update(output, truth)
    for piece in (frames[30:37], frames[37:]):  # several frames at once are the same as one by one
        second.update_all(piece)
    suite.merge(second)  # whose frames then come after the others
    weights = rng.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), size=6).astype(np.float32)
    if ties:  # copies of a frame would be told apart from one another only by the order they came in
        weights = np.minimum(weights, 1)
    redrawn = {}
    for metric in suite.metrics:
        assert isinstance(metric, WeightedMetric)
        values = metric.values(DrawnWeights(weights, block_of(frames)))
        redrawn |= {(metric.name, key): drawn for key, drawn in values.items()}
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


def test_drawn_weights_of_one_give_the_point_estimates_and_exact_ones_give_them_to_the_bit() -> None:
    frames, suite = whole(np.random.default_rng(3), ties=True), Suite(RULES)
    for output, truth in frames:
        suite.update(output, truth)
    drawn = DrawnWeights(np.ones((1, BLOCKS), dtype=np.float32), block_of(frames))
    for metric in suite.metrics:
        assert isinstance(metric, WeightedMetric)
        exact, near = metric.values(Weights()), metric.values(drawn)
        for name, value in metric.compute().values.items():
            assert exact[name].shape == near[name].shape == (1,)
            if value.value is not None:
                assert exact[name][0] == value.value, name
                assert near[name][0] == pytest.approx(value.value, rel=1e-5, abs=1e-6), name


def test_statistics_of_weights_are_those_of_rows_that_are_repeated() -> None:
    rng = np.random.default_rng(8)
    draws = rng.integers(0, 4, (5, 7)).astype(np.float32)
    block, values = rng.integers(0, 7, 40), rng.normal(3, 2, 40)
    frame, group = rng.integers(0, 40, 60), rng.integers(0, 3, 60)
    rows, weights = values[frame], DrawnWeights(draws, block)
    for draw, each in enumerate(weights.each(frame)):
        repeated = np.repeat(np.arange(60), each.astype(int))
        often = rows[repeated]
        assert weights.total(frame)[draw] == len(often)
        assert weights.sum(frame, rows)[draw] == pytest.approx(often.sum())
        assert weights.mean(frame, rows)[draw] == pytest.approx(often.mean())
        assert weights.median(frame, rows)[draw] == pytest.approx(np.median(often))
        spread = np.abs(often - often.mean()).mean()
        assert weights.mean_deviation(frame, rows)[draw] == pytest.approx(spread)
        sums = np.bincount(group[repeated], often, 3)
        assert weights.sums(frame, rows, group, 3)[draw] == pytest.approx(sums)
    none = np.zeros(0, dtype=np.intp)
    for empty in (weights, Weights()):
        for statistic in (empty.mean, empty.median, empty.mean_deviation):
            assert np.isnan(statistic(none, np.zeros(0))).all()
            assert len(statistic(none, np.zeros(0))) == len(empty)


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


@pytest.mark.parametrize("seed", range(20))
def test_a_median_is_that_of_the_repeated_values(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    draws = rng.poisson(0.7, (20, 6)).astype(np.float32)
    frame, values = rng.integers(0, 30, 300), rng.integers(0, 40, 300) / 4  # many are equal
    block = rng.integers(0, 6, 30)
    monkeypatch.setattr(weights_module, "_MAX_WEIGHTS", int(rng.integers(6, 400)))  # few parts, or many
    found = DrawnWeights(draws, block).median(frame, values)
    for draw, median in zip(draws, found, strict=True):
        repeated = np.repeat(values, draw[block[frame]].astype(int))
        assert median == np.median(repeated) if len(repeated) else np.isnan(median)
