"""Every run of a study differs from the joint one in what its name says, and in nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception.errors import ConfigError
from perception.training.ablation import SECTIONS, StudyOptions
from perception.training.ablation.study_plan import budget, runs_of
from perception.training.balancing.options import METHODS
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.run_folder import result_values
from perception.training.train_config import TrainConfig
from perception.types import LOSSES
from tests.training.conftest import small_config


def base(**sections: object) -> TrainConfig:
    return small_config(Path("a.mcap"), Path("cache"), Path("out"), **sections)  # type: ignore[arg-type]


def test_a_whole_study_has_each_head_each_method_and_each_weight_once() -> None:
    runs = runs_of(base(), StudyOptions(Path("s"), steps=20, seeds=2))
    names = [run.name for run in runs]
    assert names[0] == "joint"
    first = [run.name for run in runs if run.seed == 0]
    methods = {f"method-{method}" for method in METHODS if method != "static"}
    controls = {"control-0.1", "control-0.3", "control-3", "control-10"}
    alone = {f"alone-{head}" for head in LOSSES}
    assert set(first) == {"joint"} | alone | methods | controls
    assert {run.name for run in runs if run.seed == 1} == set(first) - controls
    assert len({run.folder for run in runs}) == len(runs)
    assert budget(runs) == {"runs": len(runs), "steps": 20 * len(runs), "samples": 80 * len(runs)}


@pytest.mark.parametrize("method", ["static", "upgrad"])
def test_runs_differ_in_what_their_name_says(method: str) -> None:
    config = base(balancing={"method": method, "weights": {"box": 2.0, "control": 0.5}})
    runs = {run.name: run for run in runs_of(config, StudyOptions(Path("s"), steps=20, seeds=1))}
    assert f"method-{method}" not in runs  # it is the joint one
    joint = result_values(runs["joint"].config)
    for name, run in runs.items():
        plain = result_values(run.config)
        changed = {path for path in joint | plain if joint.get(path) != plain.get(path)}
        heads = run.config.schedule.curriculum[0].heads if run.config.schedule.curriculum else LOSSES
        allowed = ("balancing", "schedule.curriculum") if name.startswith("alone-") else ("balancing",)
        assert all(path.startswith(allowed) for path in changed), (name, changed)
        assert heads == run.heads
        assert changed or name == "joint", name
    assert runs["control-3"].config.balancing["weights"] == {"box": 2.0, "control": 1.5}
    assert runs["control-3"].config.balancing["method"] == "static"


def test_a_head_alone_is_taught_in_every_step_also_under_a_curriculum() -> None:
    stages = [{"until": 0.3, "heads": ["class"], "min_height_px": 9.0}, {"until": 0.6}]
    config = base(schedule={"curriculum": stages})
    runs = runs_of(config, StudyOptions(Path("s"), steps=10, seeds=1, only=("heads",)))
    alone = next(run for run in runs if run.name == "alone-box").config.schedule
    plan = HeadSchedule(alone)
    assert [set(plan.weights(step)) for step in range(10)] == [{"box"}] * 10
    assert [plan.stage(step).min_height_px for step in (0, 5)] == [9.0, 0.0]


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_can_be_made_alone(section: str) -> None:
    runs = runs_of(base(), StudyOptions(Path("s"), steps=20, seeds=1, only=(section,)))
    assert len(runs) == {"heads": 5, "gradients": 1, "balancing": 9, "pareto": 5}[section]


def test_wrong_options_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        StudyOptions(Path("s"), steps=1, seeds=0, only=("heads", "wat"))
    assert len(caught.value.errors) == 3
    assert "expected some of heads, gradients, balancing, pareto; found 'wat'" in str(caught.value)
