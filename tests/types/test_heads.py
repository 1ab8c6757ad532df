"""The registries of sensors and heads: what is built in, what is refused, what other rooms agree with."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import get_args

import pytest

import perception.types
from perception.config import CameraConfig, RangeConfig, StatusConfig
from perception.models.tensors import Inputs
from perception.types import (
    HEADS,
    KINDS,
    LOSSES,
    SENSORS,
    HeadSpec,
    Output,
    Quantity,
    Tick,
    carrier_of,
    head_spec,
    head_specs,
    load_named,
    loss_parts,
    register_head,
)
from tests.types.speed_limit import SPEED_LIMIT


def test_the_heads_of_the_project_come_first() -> None:
    assert tuple(head_specs())[:3] == HEADS == ("class", "box", "control")
    assert tuple(loss_parts(())) == LOSSES == ("class", "box", "distance", "control")
    assert [carrier_of(name) for name in HEADS] == ["detections", "detections", "control"]
    assert carrier_of("speed_limit") == "speed_limit"


def test_everything_that_a_specification_names_is_there() -> None:
    for spec in head_specs().values():
        for name in (*spec.metrics, *filter(None, [spec.module])):
            assert inspect.isclass(load_named(name))
        for part in spec.losses:
            methods = load_named(part.methods)
            assert part.default in methods or not part.default
            assert all(callable(load_named(method.function)) for method in methods.values())
    for kind in KINDS.values():
        assert inspect.isclass(load_named(kind.encoder))
        assert hasattr(perception.types, kind.message)
        assert set(kind.arrays) < set(Inputs._fields)


def test_configurations_accept_the_policies_of_each_kind() -> None:
    for name, section in zip(SENSORS, (CameraConfig, RangeConfig, StatusConfig), strict=True):
        policies = get_args(section.model_fields["policy"].annotation)
        assert set(policies) == set(KINDS[name].policies)


def test_registering_the_same_head_again_changes_nothing() -> None:
    assert register_head(replace(SPEED_LIMIT)) is head_spec("speed_limit")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rests_on": ("camera",), "score": "other"}, "another head is called 'speed_limit'"),
        ({"name": "control"}, "another head is called 'control'"),
        ({"name": "timing"}, "that outputs do not use otherwise"),
        ({"name": "Limit!"}, "lower-case letters"),
        ({"name": "other", "carrier": "control"}, "expected the carrier extra"),
        ({"name": "other", "rests_on": ("sonar",)}, "rests_on: expected some of camera, range, status"),
        ({"name": "other", "channels": ()}, "channels: expected at least one"),
        ({"name": "other", "channels": (Quantity("a", ""), Quantity("a", "m"))}, "different names"),
        ({"name": "other"}, "losses: expected names that begin with the head's, found speed_limit"),
    ],
)
def test_a_specification_that_cannot_work_is_refused(changes: dict[str, object], words: str) -> None:
    before = tuple(head_specs())
    with pytest.raises(ValueError, match=words):
        register_head(replace(SPEED_LIMIT, **changes))  # type: ignore[arg-type]
    assert tuple(head_specs()) == before


def test_unknown_heads_are_named() -> None:
    with pytest.raises(KeyError, match="no head is called 'depth'; there are class, box, control"):
        head_spec("depth")
    with pytest.raises(KeyError, match="this output has no head 'control'; it has none"):
        Output(Tick(0, "reference", 0, 0), None, None)["control"]
    assert isinstance(head_spec("box"), HeadSpec)
