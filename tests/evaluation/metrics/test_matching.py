"""The vectorised matching does what COCO's loop does, for every size range and overlap."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.evaluation.metrics.matching import THRESHOLDS, match
from perception.geometry.boxes import overlap


def coco_loop(overlaps, threshold, ignored, regions):
    """One detection after the other, one truth after the other, in COCO's order: counting truth first."""
    order = sorted(range(len(ignored)), key=lambda g: bool(ignored[g]))
    used, taken = set(), []
    for d in range(len(overlaps)):
        best, chosen = min(threshold, 1 - 1e-10), -1
        for g in order:
            if g in used and not regions[g]:
                continue
            if chosen >= 0 and not ignored[chosen] and ignored[g]:
                break
            if overlaps[d, g] < best:
                continue
            best, chosen = overlaps[d, g], g
        taken.append(chosen)
        used.add(chosen)
    return taken


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_choice_is_that_of_the_loop(data: st.DataObject) -> None:
    count, truths = data.draw(st.integers(0, 7)), data.draw(st.integers(0, 6))
    # Few distinct overlaps, so that many are equal or lie on a threshold.
    few = st.sampled_from([0.0, 0.4, 0.5, 0.55, 0.6, 0.75, 0.9, 1.0])
    overlaps = np.array([[data.draw(few) for _ in range(truths)] for _ in range(count)]).reshape(
        count, truths
    )
    regions = np.array([data.draw(st.booleans()) for _ in range(truths)], dtype=bool)
    outside = np.array([[data.draw(st.booleans()) for _ in range(truths)] for _ in range(2)], dtype=bool)
    ignored = outside.reshape(2, truths) | regions
    found = match(overlaps, THRESHOLDS, ignored, regions)
    for a in range(2):
        for t, threshold in enumerate(THRESHOLDS):
            assert found[a, t].tolist() == coco_loop(overlaps, threshold, ignored[a], regions)


boxes = st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(0, 50)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(boxes, boxes)
def test_overlap_is_a_share_symmetric_and_1_only_for_the_same(one, other) -> None:
    a, b, counts = np.array([one]), np.array([other]), np.array([False])
    found = overlap(a, b, counts)[0, 0]
    assert 0 <= found <= 1
    assert found == overlap(b, a, counts)[0, 0]
    area = (one[2] - one[0]) * (one[3] - one[1])
    assert overlap(a, a, counts)[0, 0] == (1.0 if area > 0 else 0.0)


def test_overlap_with_a_region_is_the_share_of_the_detection_inside() -> None:
    inside = overlap(np.array([[10.0, 10, 20, 20]]), np.array([[0.0, 0, 100, 15]]), np.array([True]))
    assert inside[0, 0] == 0.5


def test_what_is_not_a_number_overlaps_nothing() -> None:
    nan = np.array([[np.nan, 0, 10, 10]])
    assert overlap(nan, np.array([[0.0, 0, 10, 10]]), np.array([False]))[0, 0] == 0.0
