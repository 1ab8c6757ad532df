"""Parts merged give the whole, in whatever order."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.evaluation.metrics import Latency, PrecisionRecall, Result, Rules, Suite
from perception.types import Control, ControlChannel, Output, invalid_output
from tests.evaluation.metrics.build import Pair, random_frames, tick

RULES = Rules(min_support=3)


def frames_with_everything(seed: int, ties: bool = True) -> list[Pair]:
    """Random frames with control, some of them invalid, headless or without truth."""
    rng = np.random.default_rng(seed)
    frames = []
    for index, (output, truth) in enumerate(random_frames(rng, 24, ties=ties)):
        head = Control(
            True, channels=(ControlChannel("curvature", "1/m", rng.normal(), rng.uniform(0.1, 1)),)
        )
        output = Output(output.tick, output.detections, head)
        if index % 7 == 3:
            output = invalid_output(tick(truth.stamp_ns), ("class", "box", "control"), "broken")
        if index % 9 == 5:
            output = Output(output.tick, None, None)
        control = {"curvature": float(rng.normal())} if index % 5 else None
        measured = {"curvature": float(rng.normal())} if index % 4 else None
        boxes = truth.boxes if index % 8 else None
        frames.append((output, type(truth)(truth.stamp_ns, boxes, control, measured)))
    return frames


def scored(frames: list[Pair]) -> Suite:
    suite = Suite(RULES)
    for output, truth in frames:
        suite.update(output, truth)
    return suite


def assert_same(one: list[Result], other: list[Result]) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a.metric, a.frames) == (b.metric, b.frames)
        assert a.values.keys() == b.values.keys()
        for name, value in a.values.items():
            other_value = b.values[name]
            assert (value.support, value.defined) == (other_value.support, other_value.defined), name
            if value.value is not None:
                assert value.value == pytest.approx(other_value.value, rel=1e-12, abs=1e-12), name


@cache
def results_of_all(seed: int) -> list[Result]:
    return scored(frames_with_everything(seed)).compute()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.lists(st.integers(0, 2), min_size=24, max_size=24), st.permutations(range(3)))
def test_parts_in_any_order_equal_the_whole(seed: int, part: list[int], order: list[int]) -> None:
    frames = frames_with_everything(seed)
    parts = [scored([f for f, p in zip(frames, part, strict=True) if p == index]) for index in order]
    merged = parts[0]
    for other in parts[1:]:
        merged.merge(other)
    assert_same(merged.compute(), results_of_all(seed))


def test_merging_leaves_the_other_as_it_was_and_can_go_on() -> None:
    frames = frames_with_everything(1)
    first, second = scored(frames[:10]), scored(frames[10:20])
    before = copy.deepcopy(second).compute()
    first.merge(second)
    assert_same(second.compute(), before)
    for output, truth in frames[20:]:
        first.update(output, truth)
    assert_same(first.compute(), scored(frames).compute())


def test_computing_changes_nothing() -> None:
    suite = scored(frames_with_everything(2))
    assert_same(suite.compute(), suite.compute())


def test_curves_and_matrices_merge_too() -> None:
    frames = frames_with_everything(3)
    parts = scored(frames[12:])  # sees other classes first
    parts.merge(scored(frames[:12]))
    for one, other in zip(parts.compute(), scored(frames).compute(), strict=True):
        if one.metric == "precision_recall":
            assert one.details == other.details
        if one.metric == "confusion":
            place = [one.details["labels"].index(label) for label in other.details["labels"]]
            matrix = np.array(one.details["matrix"])[np.ix_(place, place)]
            assert matrix.tolist() == other.details["matrix"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PrecisionRecall(Rules()), PrecisionRecall(Rules(min_visible=0.5))),
        (Latency(rate_hz=10), Latency(rate_hz=20)),
        (Suite(), Suite(metrics=[])),
    ],
    ids=["rules", "rate", "metrics"],
)
def test_what_was_measured_otherwise_does_not_merge(one, other) -> None:
    with pytest.raises(ValueError, match="cannot merge"):
        one.merge(other)
