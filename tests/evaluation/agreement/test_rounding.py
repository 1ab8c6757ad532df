"""Outputs compared: bit-equal, equal within tolerance, and what counts as another answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.evaluation.agreement.comparison import Comparison
from perception.types import Control, ControlChannel, Detection, Detections, Output, Tick, invalid_output

TICK = Tick(0, "reference", 100, 200)


def output(seed: int, number: int = 6) -> Output:
    """Boxes anywhere, some of them close to each other."""
    rng = np.random.default_rng(seed)
    items = []
    for score in sorted(rng.uniform(0.05, 1, number), reverse=True):
        x, y = rng.uniform(0, 200, 2)
        w, h = rng.uniform(10, 80, 2)
        stds = tuple(rng.uniform(0.5, 3, 4).tolist())
        label = str(rng.choice(["car", "person"]))
        far, std = rng.uniform(1, 30), rng.uniform(0.1, 1)
        items.append(Detection(label, float(score), (x, y, x + w, y + h), stds, float(far), float(std)))
    channels = (ControlChannel("curvature", "1/m", float(rng.normal()), 0.1),)
    return Output(
        TICK, Detections(True, ("camera",), items=tuple(items)), Control(True, ("camera",), channels=channels)
    )


def compared(before: Output, now: Output) -> Comparison:
    found = Comparison()
    found.add(before, now)
    return found


def verdicts(before: Output, now: Output) -> dict[str, str]:
    return {name: head.verdict for name, head in compared(before, now).heads.items()}


@given(seed=st.integers(0, 50))
def test_an_output_equals_itself(seed: int) -> None:
    assert set(verdicts(output(seed), output(seed)).values()) == {"equal"}
    found = compared(output(seed), output(seed))
    assert found.verdict == "equal"
    assert all(head.equal == head.frames == 1 for head in found.heads.values())


@given(seed=st.integers(0, 50), size=st.floats(1e-9, 1e-4))
def test_rounding_is_within_tolerance_also_where_it_changes_the_order(seed: int, size: float) -> None:
    before = output(seed)
    rng = np.random.default_rng(seed + 1)

    def off(value: float) -> float:
        return value * (1 + size * float(rng.uniform(-1, 1)))

    items = [
        replace(
            d,
            score=off(d.score),
            xyxy=tuple(off(v) for v in d.xyxy),
            distance_m=off(d.distance_m),
            box_std=tuple(off(v) for v in d.box_std),
        )
        for d in before.detections.items
    ]
    shuffled = tuple(sorted(items, key=lambda d: -round(d.score, 1)))
    now = replace(before, detections=replace(before.detections, items=shuffled))
    assert verdicts(before, now) == {
        "class": "within_tolerance",
        "box": "within_tolerance",
        "control": "equal",
    }
    assert compared(before, now).heads["class"].first_unequal.log_time_ns == 200
    assert compared(before, now).heads["class"].first is None


def first(change: Callable[[Detection], Detection]) -> Callable[[Output], Output]:
    def apply(given: Output) -> Output:
        items = given.detections.items
        return replace(given, detections=replace(given.detections, items=(change(items[0]), *items[1:])))

    return apply


@pytest.mark.parametrize(
    ("change", "head", "told"),
    [
        (first(lambda d: replace(d, score=d.score - 0.05)), "class", "the score of a"),
        (first(lambda d: replace(d, label="cone")), "class", "became cone"),
        (first(lambda d: replace(d, xyxy=(d.xyxy[0] + 4, *d.xyxy[1:]))), "box", "4.00 px off"),
        (first(lambda d: replace(d, distance_m=d.distance_m * 1.1 + 1)), "box", "the distance of a"),
        (first(lambda d: replace(d, distance_std_m=d.distance_std_m * 1.2)), "box", "17 % off"),
        (
            lambda o: replace(o, detections=replace(o.detections, items=o.detections.items[1:])),
            "class",
            "has no partner",
        ),
        (lambda o: replace(o, detections=Detections(False, ("camera",), "broke")), "box", "invalid: broke"),
        (
            lambda o: replace(o, control=replace(o.control, based_on=("status",))),
            "control",
            "rested on camera, now on status",
        ),
        (
            lambda o: replace(
                o, control=replace(o.control, channels=(ControlChannel("curvature", "1/m", 9.0, 0.1),))
            ),
            "control",
            "to 9 1/m",
        ),
        (lambda o: replace(o, control=None), "control", "no such head"),
    ],
)
def test_another_answer_diverges_and_says_how(
    change: Callable[[Output], Output], head: str, told: str
) -> None:
    before = output(3)
    found = compared(before, change(before))
    assert found.verdict == "diverged"
    assert found.heads[head].verdict == "diverged"
    assert told in found.heads[head].first.what
    assert found.heads[head].first.stamp_ns == 100


def test_only_the_head_that_differs_diverges() -> None:
    before = output(3)
    moved = first(lambda d: replace(d, xyxy=(d.xyxy[0] + 4, *d.xyxy[1:])))(before)
    assert verdicts(before, moved) == {"class": "equal", "box": "diverged", "control": "equal"}


def test_a_weak_detection_may_be_missing() -> None:
    before = output(3, number=3)
    weak = replace(before.detections.items[-1], score=0.06, xyxy=(400.0, 400.0, 410.0, 410.0))
    more = replace(before, detections=replace(before.detections, items=(*before.detections.items, weak)))
    assert verdicts(before, more)["class"] == "within_tolerance"


def test_the_first_difference_is_kept() -> None:
    found = Comparison()
    for k in range(5):
        tick = Tick(k, "reference", k, 10 * k)
        before = replace(output(1), tick=tick)
        now = before if k < 2 else replace(before, control=Control(False, ("camera",), "broke"))
        found.add(before, now)
    assert found.heads["control"].first.log_time_ns == 20
    assert found.heads["control"].equal == 2
    assert found.heads["control"].frames == 5


def test_other_ticks_diverge() -> None:
    other = replace(output(1), tick=Tick(0, "substitute", 101, 201))
    found = compared(output(1), other)
    assert found.verdict == "diverged"
    assert found.ticks.log_time_ns == 200


def test_invalid_outputs_are_equal_when_they_are() -> None:
    gone = invalid_output(TICK, ("class", "box", "control"), "no sensor")
    assert set(verdicts(gone, gone).values()) == {"equal"}
