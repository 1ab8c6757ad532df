"""An input that shows the same content under new stamps is frozen."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perception.align.repeats import Repeats
from perception.types import CameraFrame, Input, RangeScan

PERIOD_NS = 100_000_000


def picture(number: int, content: int) -> Input[CameraFrame]:
    stamp = number * PERIOD_NS
    frame = CameraFrame("/camera", stamp, stamp, "camera", bytes([content] * 9), "jpeg", 3, 3)
    return Input("camera", "/camera", frame, stamp, 0.0)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_frozen_is_the_time_of_three_equal_pictures_or_more(contents: list[int]) -> None:
    repeats, run = Repeats(), 0
    for number, content in enumerate(contents):
        assert repeats.update(picture(number, content))
        run = run + 1 if number and content == contents[number - 1] else 1
        expected = (run - 1) * PERIOD_NS / 1e9 if run >= 3 else 0.0
        assert repeats.frozen_s() == expected


def test_the_same_message_again_is_not_frozen() -> None:
    repeats = Repeats()
    assert repeats.update(picture(0, 1))
    assert not any(repeats.update(picture(0, 1)) for _ in range(5))
    assert repeats.frozen_s() == 0.0


def test_an_absence_ends_it_and_scans_without_a_return_have_no_content() -> None:
    repeats = Repeats()
    for number in range(4):
        repeats.update(picture(number, 1))
    assert repeats.frozen_s() > 0
    repeats.update(Input("camera", "/camera", None))
    assert repeats.frozen_s() == 0.0
    scans = Repeats()
    for number in range(5):
        scan = RangeScan("/scan", number, number, "laser", np.full((4, 3), np.nan, np.float32))
        scans.update(Input("range", "/scan", scan, number, 0.0))
    assert scans.frozen_s() == 0.0
