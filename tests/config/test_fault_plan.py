"""Tests of parsing fault texts, and of the draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.config.fault_plan import EPISODE_NS
from perception.errors import ConfigError
from perception.pipeline.faults import KINDS, Fault, fault_names, parse_plan, plan_errors
from perception.pipeline.faults.draws import episode, uniform
from perception.types import SENSORS


@given(
    name=st.sampled_from(fault_names()),
    severity=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**63 - 1),
)
def test_a_plan_round_trips_through_its_texts(name: str, severity: float, seed: int) -> None:
    fault = parse_plan([f"{name}={severity!r},seed={seed}"]).faults[0]
    assert (fault.name, fault.severity, fault.seed) == (name, severity, seed)
    again = parse_plan(parse_plan([f"{name}={severity:.3g},seed={seed}"]).texts())
    assert again.texts() == parse_plan([f"{name}={severity:.3g},seed={seed}"]).texts()


def test_all_selects_every_sensor_and_a_seed_applies_to_its_text() -> None:
    plan = parse_plan(["all.latency=0.2,camera.blur=1,seed=5", "range.bias=0.5"])
    assert {f.name for f in plan.faults if f.seed == 5} == {*(f"{s}.latency" for s in SENSORS), "camera.blur"}
    assert plan.get("range", "bias") == Fault("range", "bias", 0.5, 0)


def test_severity_0_is_left_out() -> None:
    assert not parse_plan(["camera.blackout=0", "all.loss=0"])


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["camera.blackuot=0.3"], "did you mean camera.blackout?"),
        (["lidar.loss=0.3"], "no fault is called 'lidar.loss'"),
        (["range.dropout=1.5"], "from 0 to 1, found '1.5'"),
        (["range.dropout=nan"], "from 0 to 1, found 'nan'"),
        (["range.dropout"], "from 0 to 1, found ''"),
        (["range.dropout=0.1,seed=-1"], "seed: expected a whole number from 0, found '-1'"),
        (["seed=1"], "expected a fault such as camera.blackout=0.3"),
        (["camera.blur=0.1", "camera.blur=0.2"], "camera.blur is given twice"),
    ],
)
def test_an_invalid_fault_is_named_with_a_suggestion(texts: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_plan(texts)
    assert told in str(error.value)


def test_every_invalid_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        parse_plan(["camera.blackuot=0.3", "range.bias=7,seed=x"])
    assert len(error.value.errors) == 3


def test_an_invalid_entry_is_named_with_its_position() -> None:
    with pytest.raises(ConfigError, match=r"faults\.1: no fault is called 'range\.los'"):
        parse_plan(["camera.blur=0.1", "range.los=1"])
    with pytest.raises(ConfigError, match=r"--fault: no fault is called"):
        parse_plan(["range.los=1"], "--fault")


def test_a_fault_of_an_unconfigured_sensor_is_an_error_and_all_skips_it() -> None:
    texts = ["all.loss=0.1", "camera.blur=0.2,range.bias=0.1", "status.offset=0.3"]
    assert plan_errors(texts, ("camera", "range", "status")) == []
    assert plan_errors(texts, ("range", "status")) == [
        "faults.1: camera.blur: no camera is configured, only range, status"
    ]
    assert len(plan_errors(["camera.blur=2", "status.loss=1"], ("range",), "--fault")) == 2


def test_a_fault_of_a_kind_is_one_of_each_of_its_sensors_whose_own_goes_first() -> None:
    sensors = {"left": "camera", "right": "camera", "lidar": "range"}
    plan = parse_plan(["left.loss=0.5", "camera.loss=0.1,camera.blur=0.2,seed=3"], sensors=sensors)
    assert set(plan.resolved(sensors).faults) == {
        Fault("left", "loss", 0.5),
        Fault("left", "blur", 0.2, 3),
        Fault("right", "loss", 0.1, 3),
        Fault("right", "blur", 0.2, 3),
    }


def test_how_late_and_how_far_back_faults_reach() -> None:
    plan = parse_plan(["camera.latency=0.5,camera.jitter=0.25,camera.reordering=0.1", "range.corruption=0.1"])
    assert [plan.delay_ns(sensor) for sensor in SENSORS] == [650_000_000, 0, 0]
    assert plan.memory_ns == 4_650_000_000
    assert [plan.thins(sensor) for sensor in SENSORS] == [False, True, False]
    assert parse_plan([]).memory_ns == 0


def test_every_kind_documents_its_severity() -> None:
    assert set(KINDS) == set(SENSORS)
    assert all(len(text) > 20 for kinds in KINDS.values() for text in kinds.values())


@given(share=st.floats(0.01, 1.0), seed=st.integers(0, 10))
def test_an_episode_is_contiguous_and_lasts_for_its_share(share: float, seed: int) -> None:
    fault = Fault("camera", "blackout", share, seed)
    times = np.arange(0, 3 * EPISODE_NS, EPISODE_NS // 400)
    numbers = np.array([-1 if (e := episode(fault, int(t))) is None else e for t in times])
    for stretch in range(3):
        inside = numbers[stretch * 400 : (stretch + 1) * 400] == stretch
        assert abs(np.mean(inside) - share) <= 1 / 400 + 1e-9
        assert np.count_nonzero(np.diff(inside.astype(int)) > 0) <= 1


def test_draws_are_uniform_and_depend_on_seed_kind_and_key() -> None:
    drawn = [uniform(Fault("range", "loss", 0.5, 1), "/scan", k) for k in range(2000)]
    assert abs(np.mean(drawn) - 0.5) < 0.03
    assert abs(np.quantile(drawn, 0.1) - 0.1) < 0.03
    assert min(drawn) >= 0
    assert max(drawn) < 1
    same = uniform(Fault("range", "loss", 0.9, 1), "/scan", 3)
    assert same == drawn[3]  # a severer fault hits what a milder one hit, and more
    assert uniform(Fault("range", "loss", 0.5, 2), "/scan", 3) != drawn[3]
    assert uniform(Fault("range", "jitter", 0.5, 1), "/scan", 3) != drawn[3]
