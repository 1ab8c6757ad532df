"""Tests of scenario files and their errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception.errors import ConfigError
from perception.simulation.random_draws import random_stream
from perception.simulation.scenario import KINDS, USUAL, Scenario, load_scenario, parse_scenario


def test_an_empty_file_is_the_default_scenario(tmp_path: Path) -> None:
    path = tmp_path / "scene.yaml"
    path.write_text("")
    assert load_scenario(path) == Scenario()


def test_a_file_sets_its_keys_and_keeps_other_defaults(tmp_path: Path) -> None:
    path = tmp_path / "scene.yaml"
    path.write_text(
        "place: yard\ntime: dusk\nhaze: 0.4\nmirror: true\n"
        "timing:\n  range: {rate_hz: 20, latency_ms: 18, jitter_ms: 2, clock_offset_ms: -40}\n"
        "failures:\n  - {sensor: camera, kind: silent, start_s: 2, end_s: 4}\n"
    )
    scenario = load_scenario(path)
    assert (scenario.place, scenario.time, scenario.haze, scenario.mirror) == ("yard", "dusk", 0.4, True)
    assert scenario.timing.range.clock_offset_ms == -40
    assert scenario.timing.camera == Scenario().timing.camera
    assert scenario.failures[0].kind == "silent"


@pytest.mark.parametrize("sensor", USUAL)
@pytest.mark.parametrize("change", [{"clock_offset_ms": -40}, {"latency_ms": 0}, {"rate_hz": 5}, {}])
def test_what_is_left_out_of_a_timing_is_as_usual_for_that_sensor(
    sensor: str, change: dict[str, float]
) -> None:
    scenario = parse_scenario({"timing": {sensor: change}})
    assert scenario.timing.model_dump()[sensor] == {**USUAL[sensor].model_dump(), **change}
    # A log's record says all that is unlike the default.
    assert Scenario.model_validate_json(scenario.model_dump_json(exclude_defaults=True)) == scenario


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"place": "moon"}, "place"),
        ({"plaec": "yard"}, "plaec: unknown key, did you mean place?"),
        ({"haze": 2}, "haze"),
        ({"timing": {"camera": {"rate_hz": 0}}}, "timing.camera.rate_hz"),
        ({"failures": [{"sensor": "camera", "kind": "silent", "start_s": 4, "end_s": 2}]}, "failures.0"),
        ({"failures": [{"sensor": "status", "kind": "dirty", "start_s": 1, "end_s": 2}]}, "failures.0"),
        (
            {"failures": [{"sensor": "range", "kind": "reordered", "start_s": 1, "end_s": 2, "amount": -1}]},
            "failures.0",
        ),
        ([1, 2], "expected {key: value"),
    ],
)
def test_errors_are_named_by_their_path(data: object, named: str) -> None:
    with pytest.raises(ConfigError) as found:
        parse_scenario(data, "scene.yaml")
    assert any(fault.startswith(named) for fault in found.value.errors)
    assert found.value.source == "scene.yaml"


def test_all_errors_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as found:
        parse_scenario({"place": "moon", "density": -1, "time": "noon"})
    assert len(found.value.errors) == 3


def test_an_unreadable_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_scenario(tmp_path / "missing.yaml")


def test_every_kind_of_failure_is_accepted() -> None:
    for sensor, kinds in KINDS.items():
        for kind in kinds:
            data = {"failures": [{"sensor": sensor, "kind": kind, "start_s": 0, "end_s": 1}]}
            assert parse_scenario(data).failures[0].kind == kind


def test_streams_differ_by_purpose_and_by_seed() -> None:
    first = random_stream(3, "layout").random(4)
    np.testing.assert_array_equal(first, random_stream(3, "layout").random(4))
    assert not np.any(first == random_stream(3, "items").random(4))
    assert not np.any(first == random_stream(4, "layout").random(4))
