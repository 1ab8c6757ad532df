"""Stages, turns and focus: which head has which weight at which step."""

from __future__ import annotations

from itertools import pairwise

from perception.training.loop.head_schedule import HeadSchedule
from perception.training.loop.optimiser import rate_factor
from perception.training.train_config import FocusConfig, ScheduleConfig, StageConfig

ALL = {"class": 1.0, "box": 1.0, "distance": 1.0, "control": 1.0}


def test_without_a_plan_every_head_is_taught_in_every_step() -> None:
    plan = HeadSchedule(ScheduleConfig())
    assert all(plan.weights(step) == ALL for step in (0, 17, 4999))


def test_stages_follow_each_other_and_then_everything_is_taught() -> None:
    stages = (
        StageConfig(until=0.2, heads=("class",), min_height_px=20),
        StageConfig(until=0.5, heads=("class", "box"), min_height_px=10),
    )
    plan = HeadSchedule(ScheduleConfig(steps=100, warmup_steps=0, curriculum=stages))
    assert plan.weights(19) == {"class": 1.0}
    assert plan.weights(20) == {"class": 1.0, "box": 1.0}
    assert [plan.stage(step).min_height_px for step in (0, 19, 20, 49, 50, 99)] == [20, 20, 10, 10, 0, 0]
    assert plan.weights(50) == ALL


def test_heads_in_turn_are_taught_equally_often() -> None:
    plan = HeadSchedule(ScheduleConfig(alternate="heads"))
    seen = [next(iter(plan.weights(step))) for step in range(40)]
    assert all(len(plan.weights(step)) == 1 for step in range(40))
    assert {head: seen.count(head) for head in ALL} == dict.fromkeys(ALL, 10)


def test_focus_goes_to_the_head_that_has_gained_least_and_ends() -> None:
    plan = HeadSchedule(ScheduleConfig(focus=FocusConfig(every=10, steps=5, weight=4)))
    for step in range(10):
        plan.update(
            step, {"class": 4 - 0.3 * step, "box": 2.0, "distance": 1 - 0.2 * step, "control": 1 - 0.1 * step}
        )
    assert plan.weights(10) == {**ALL, "box": 4.0}
    assert plan.weights(14)["box"] == 4.0
    assert plan.weights(15) == ALL


def test_focus_on_the_head_furthest_from_its_reference() -> None:
    focus = FocusConfig(
        every=10, steps=5, reference={"class": 0.5, "box": 1.9, "distance": -1, "control": -1}
    )
    plan = HeadSchedule(ScheduleConfig(focus=focus))
    for step in range(10):
        plan.update(
            step,
            {
                "class": 4.0 - 0.05 * step,
                "box": 2 - 0.005 * step,
                "distance": 1 - 0.2 * step,
                "control": 1 - 0.2 * step,
            },
        )
    assert plan.weights(10)["class"] == 3.0


def test_a_plan_goes_on_where_it_was() -> None:
    schedule = ScheduleConfig(focus=FocusConfig(every=4, steps=2))
    one, two = HeadSchedule(schedule), HeadSchedule(schedule)
    for step in range(4):
        one.update(step, {"class": 1.0, "box": 2.0 - step / 10})
    two.load_state_dict(one.state_dict())
    assert two.weights(4) == one.weights(4) != ALL


def test_the_learning_rate_rises_then_follows_a_cosine_to_its_end() -> None:
    schedule = ScheduleConfig(steps=1000, warmup_steps=100, final_lr=0.05)
    rates = [rate_factor(schedule, step) for step in range(1001)]
    assert rates[0] > 0
    assert all(b > a for a, b in pairwise(rates[:101]))
    assert max(rates) == rates[100] == 1
    assert all(b < a for a, b in pairwise(rates[100:]))
    assert abs(rates[550] - 0.525) < 1e-6
    assert abs(rates[1000] - 0.05) < 1e-9
