"""The comparison of backends: equal answers pass, differences beyond the limits fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.evaluation.agreement.backend_check import LEAST_SHARE, compare_backends
from perception.models.tensors import Predictions


def answers(seed: int, boxes: int = 20) -> Predictions:
    """One sample: boxes of two classes, far from each other, well above the least score."""
    draw = np.random.default_rng(seed)
    corners = np.stack([np.arange(boxes) * 40.0, draw.uniform(0, 100, boxes)], 1)
    sizes = draw.uniform(10, 30, (boxes, 2))
    return Predictions(
        scores=np.sort(draw.uniform(0.3, 0.95, (1, boxes)).astype(np.float32))[:, ::-1],
        labels=draw.integers(0, 2, (1, boxes)),
        boxes=np.concatenate([corners, corners + sizes], 1)[None].astype(np.float32),
        box_std=np.ones((1, boxes, 4), np.float32),
        distance_m=np.ones((1, boxes), np.float32),
        distance_std_m=np.ones((1, boxes), np.float32),
        control=draw.normal(0, 1, (1, 2)).astype(np.float32),
        control_std=np.full((1, 2), 0.1, np.float32),
    )


REFERENCES = [answers(seed) for seed in range(10)]


def changed(**columns: object) -> list[Predictions]:
    """The references, a function of each applied to columns."""
    return [
        each._replace(**{name: change(getattr(each, name)) for name, change in columns.items()})  # type: ignore[operator]
        for each in REFERENCES
    ]


def test_equal_answers_pass() -> None:
    verdict = compare_backends(REFERENCES, REFERENCES)
    assert verdict.passed
    assert (verdict.samples, verdict.boxes) == (10, 200)
    assert (verdict.share_within, verdict.iou, verdict.score_gap, verdict.control_gap) == (1, 1, 0, 0)
    assert "same answers: 10 samples, 200 boxes, 100.0%" in str(verdict)


@given(st.integers(0, 2**31))
def test_the_order_of_detections_does_not_count(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(20)
    found = [
        each._replace(scores=each.scores[:, order], labels=each.labels[:, order], boxes=each.boxes[:, order])
        for each in REFERENCES
    ]
    assert compare_backends(REFERENCES, found).share_within == 1


@pytest.mark.parametrize(
    "wrong",
    [
        changed(boxes=lambda b: b + 1),
        changed(scores=lambda s: s - 0.03),
        changed(labels=lambda x: 1 - x),
        changed(scores=lambda s: s * 0),
        changed(control=lambda c: c * 1.1),
        changed(control=lambda c: np.full_like(c, np.nan)),
        changed(boxes=lambda b: np.full_like(b, np.nan)),
    ],
    ids=["boxes moved", "scores lower", "classes swapped", "nothing found", "control", "nan", "nan boxes"],
)
def test_differences_beyond_the_limits_fail(wrong: list[Predictions]) -> None:
    verdict = compare_backends(REFERENCES, wrong)
    assert not verdict.passed
    assert "OTHER ANSWERS" in str(verdict)


def test_boxes_that_only_one_side_found_count_whichever_side_it_is() -> None:
    fewer = [each._replace(scores=np.where(np.arange(20) < 10, each.scores, 0)) for each in REFERENCES]
    assert compare_backends(REFERENCES, fewer).share_within == pytest.approx(0.5)
    assert compare_backends(fewer, REFERENCES).share_within == pytest.approx(0.5)


def test_some_boxes_may_move_by_a_cell_and_more_may_not() -> None:
    def moved(count: int) -> list[Predictions]:
        return changed(boxes=lambda b: b + np.where(np.arange(20) < count, 4.0, 0.0)[None, :, None])

    assert compare_backends(REFERENCES, moved(1)).share_within == LEAST_SHARE
    assert compare_backends(REFERENCES, moved(1)).passed
    assert not compare_backends(REFERENCES, moved(2)).passed


def test_a_small_box_that_moves_by_little_of_its_deviation_is_the_same() -> None:
    def within(by_px: float) -> float:
        return compare_backends(REFERENCES, changed(boxes=lambda b: b + by_px)).share_within

    assert within(0.045) == 1  # of a deviation of 1 px; the overlap of boxes of 10 px is 0.98
    assert within(0.06) < 0.95


def test_a_comparison_without_samples_does_not_pass() -> None:
    assert not compare_backends([], []).passed
