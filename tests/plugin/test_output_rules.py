"""What the contract says of single outputs, number by number."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.plugin import load_plugin
from perception.plugin.output_rules import (
    _is_right,
    _item_violations,
    _position_violations,
    output_violations,
)
from perception.types import Control, ControlChannel, Detection, Detections, Output
from tests.sinks.build import sample_of

SAMPLE = sample_of(0)
MANIFEST = load_plugin("fusion").manifest
CAR = Detection("car", 0.75, (1.0, 2.0, 3.0, 4.0), (0.1, 0.2, 0.3, 0.4), 12.5, 0.5)


def faults_of(item: Detection = CAR, **channel: Any) -> list[str]:
    control = Control(True, ("status",), "", (replace(ControlChannel("turn", "1/m", 0.1, 0.01), **channel),))
    output = Output(SAMPLE.tick, Detections(True, ("camera",), "", (item,)), control)
    return output_violations(output, SAMPLE, MANIFEST)


ODD = [-1.0, 0.0, 0.5, 1.0, 1.5, 1e300, math.nan, math.inf, -math.inf, 1, None, np.float32(0.5)]


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["score", "visible", "distance_m", "distance_std_m", "xyxy", "box_std", "position_m"]),
    st.sampled_from(ODD),
    st.integers(0, 3),
)
def test_the_short_check_passes_nothing_that_the_rules_name(name: str, value: Any, place: int) -> None:
    position = replace(CAR, position_m=(1.0, 2.0, 3.0), position_unknown="")
    whole = getattr(position, name)
    if isinstance(whole, tuple):
        value = tuple(value if k == place else number for k, number in enumerate(whole))
    item = replace(position, **{name: value})
    named = [*_item_violations(item), *_position_violations(item, "base")]
    assert not (_is_right(item, "base") and named)
    assert _is_right(position, "base")


def test_a_sound_output_has_no_fault_and_whole_numbers_are_numbers() -> None:
    assert faults_of() == []
    assert faults_of(replace(CAR, xyxy=(1, 2, 3, 4), distance_m=np.float64(3.0)), value=0) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 10**400, None, "1", np.float32(1.0)])
@pytest.mark.parametrize("name", ["score", "distance_m", "distance_std_m", "visible", "value", "std"])
def test_what_is_no_finite_number_is_a_fault_wherever_it_stands(name: str, bad: Any) -> None:
    if bad is None and name in ("distance_m", "distance_std_m", "std"):
        bad = "None"  # None itself is unknown, which is a value
    if name in ("value", "std"):
        [fault] = faults_of(**{name: bad})
        assert fault.startswith(f"control.turn: {name} ")
    else:
        [fault] = faults_of(replace(CAR, **{name: bad}))
        assert fault.startswith(f"detections.0: {name} ")


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"xyxy": (1.0, 2.0, 3.0)}, "is not four finite numbers"),
        ({"xyxy": (1.0, 2.0, math.nan, 4.0)}, "is not four finite numbers"),
        ({"xyxy": (3.0, 2.0, 1.0, 4.0)}, "is not ordered"),
        ({"box_std": (0.1, 0.2, 0.3)}, "is not four positive numbers"),
        ({"box_std": (0.1, 0.0, 0.3, 0.4)}, "is not four positive numbers"),
        ({"score": 1.01}, "is not within 0 to 1"),
        ({"visible": -0.01}, "is not within 0 to 1"),
        ({"distance_m": -1.0}, "is not a distance"),
        ({"distance_std_m": 0.0}, "is not positive"),
    ],
)
def test_a_detection_that_cannot_be_is_named(changed: dict[str, Any], fault: str) -> None:
    [found] = faults_of(replace(CAR, **changed))
    assert fault in found


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"xyxy": np.array([1.0, 2.0, 3.0, 4.0])}, "xyxy: expected a tuple of float, found ndarray"),
        ({"xyxy": [1.0, 2.0, 3.0, 4.0]}, "xyxy: expected a tuple of float, found list"),
        ({"xyxy": None}, "xyxy: expected a tuple of float, found NoneType"),
        ({"box_std": 0.1}, "box_std: expected a tuple of float, found float"),
        ({"position_m": np.zeros(3)}, "position_m: expected a tuple of float, found ndarray"),
        ({"position_cov_m2": ([1.0], [1.0], [1.0])}, "position_cov_m2: expected a tuple of three tuples"),
        ({"label": 3}, "label: expected str, found int"),
        ({"label": "\ud800"}, "label: expected a text of Unicode"),
        ({"track_id": 7}, "track_id: expected str, found int"),
    ],
)
def test_a_detection_of_other_types_is_named_before_a_sink_meets_it(
    changed: dict[str, Any], fault: str
) -> None:
    [found] = faults_of(replace(CAR, **changed))
    assert found.startswith(f"detections.items.0.{fault}")


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (3.0, "control: expected Detections or Control, found float"),
        (Control(False, error=ValueError("x")), "control.error: expected str, found ValueError"),  # type: ignore[arg-type]
        (Control(True, "camera"), "control.based_on: expected a tuple of str, found str"),  # type: ignore[arg-type]
        (
            Control(True, ("camera",), channels=(c for c in ())),  # type: ignore[arg-type]
            "control.channels: expected a tuple of ControlChannel, found generator",
        ),
        (
            Control(True, ("camera",), channels=(ControlChannel("speed", None, 1.0),)),  # type: ignore[arg-type]
            "control.channels.0.unit: expected str, found NoneType",
        ),
    ],
)
def test_a_head_of_other_types_is_named(head: Any, fault: str) -> None:
    output = Output(SAMPLE.tick, Detections(True, ("camera",), "", (CAR,)), head)
    assert output_violations(output, SAMPLE, MANIFEST) == [fault]


def test_a_number_of_numpy_is_named_with_what_makes_one_of_it() -> None:
    [fault] = faults_of(value=np.float32(1.5))
    assert "value 1.5 of type float32 (`float(...)` makes a number of it) is not a finite number" in fault
