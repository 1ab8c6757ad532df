"""What is said to stand out is what the numbers say, and nothing is said of too little."""

from __future__ import annotations

from typing import Any

import pytest

from perception.evaluation.report import highlights, stress_highlights
from perception.evaluation.report.drawing_schema import DistanceBinReport, DistanceErrorReport, FiguresReport
from perception.evaluation.report.headline import headline
from perception.evaluation.report.schema import DivergenceReport, EvaluationReport, GateReport
from perception.evaluation.report.stress_schema import StreamingReport
from perception.evaluation.report.value_schema import DifferenceReport, IntervalReport, SliceReport
from tests.evaluation.report.build import full, heads, metric, value


def report(**changes: Any) -> EvaluationReport:
    return EvaluationReport(status="clean").model_copy(update=changes)


def gate(passed: bool) -> GateReport:
    return GateReport(
        require="box.mAP50 >= 0.5", name="box.mAP50", value=0.5, judged=0.5, passed=passed, why=""
    )


def beside(diverged: int, frames: int = 100) -> DivergenceReport:
    return DivergenceReport(log="a", head="box", frames=frames, diverged=diverged, at_s=None)


@pytest.mark.parametrize(
    ("changes", "text", "bad"),
    [
        ({}, "No requirement was set, so nothing passes or fails.", False),
        ({"gates": [gate(True)]}, "Passes: the requirement is met.", False),
        ({"gates": [gate(True)] * 2}, "Passes: all 2 requirements are met.", False),
        ({"gates": [gate(True), gate(False)]}, "Fails: 1 of 2 requirements is not met.", True),
        ({"gates": [gate(False)] * 2}, "Fails: 2 of 2 requirements are not met.", True),
        ({"reference": [beside(0)]}, "Passes: every decision is that of the reference.", False),
        ({"gates": [gate(True)], "reference": [beside(3)]}, "Fails: 1 head decides otherwise than the", True),
        ({"reference": [beside(0, frames=0)]}, "Fails: 1 head decides otherwise than the reference.", True),
        (
            {"gates": [gate(True)], "status": "interrupted"},
            "The evaluation was not finished: interrupted.",
            True,
        ),
    ],
)
def test_the_headline_is_the_verdict(changes: dict[str, Any], text: str, bad: bool) -> None:
    told = headline(report(**changes))
    assert told.text.startswith(text)
    assert told.bad == bad


def bins(*found: int, of: int = 50) -> EvaluationReport:
    rows = [
        DistanceBinReport(label="cone", from_m=10 * at, to_m=10 * at + 10, objects=of, found=number)
        for at, number in enumerate(found)
    ]
    return report(figures=FiguresReport(cut=0.4, recall=rows))


def test_where_a_class_begins_to_be_missed() -> None:
    (told,) = highlights.missed(bins(48, 45, 10, 5))
    assert told.text == "cone is mostly missed beyond 20 m: 15 % of 100 found, 93 % nearer."
    assert told.bad
    assert highlights.recall_title(bins(48, 45, 10, 5)) == told.text


@pytest.mark.parametrize("found", [bins(48, 46, 47), bins(30, 28, 25), bins(5, 2, 0, of=6), bins()])
def test_no_edge_is_made_up(found: EvaluationReport) -> None:
    assert highlights.missed(found) == []


def test_the_title_over_recall_where_nothing_breaks_off() -> None:
    assert highlights.recall_title(bins(48, 46, 47)) == "Found at every distance: 92 % and more"
    assert highlights.recall_title(bins(40, 30, 35)) == "Fewest are found of cone at 10 to 20 m: 60 %"


@pytest.mark.parametrize(
    ("accuracy", "error", "text", "bad"),
    [
        ([0.2, 0.5], 0.02, "Scores can be taken at their word", False),
        ([0.1, 0.3], 0.15, "Scores claim too much: 0.15 off", True),
        ([0.4, 0.7], 0.2, "Scores claim too little", True),
        ([0.3, 0.4], 0.1, "Scores are off", True),
    ],
)
def test_whether_scores_claim_too_much(accuracy: list[float], error: float, text: str, bad: bool) -> None:
    shown = {"confidence": [0.2, 0.5], "accuracy": accuracy, "size": [50, 50]}
    metrics = {"detection_calibration": metric({"D-ECE": value(error)}, bins=shown)}
    told = highlights.scores(report(heads={"class": metrics}))
    assert told is not None
    assert told.text.startswith(text)
    assert told.bad == bad


def test_the_hardest_class_and_the_one_it_is_taken_for() -> None:
    found = full()
    hardest, confused = highlights.hardest_class(found), highlights.confused(found)
    assert hardest is not None
    assert confused is not None
    assert hardest.text == "other person is the hardest class: AP50 0.700, person 0.900."
    assert confused.text in (
        "person is taken for other person most: 3 of 56.",
        "other person is taken for person most: 3 of 56.",
    )


@pytest.mark.parametrize(
    ("low", "high", "text", "bad"),
    [
        (0.78, 0.99, "Stated uncertainties may hold: 80 % intervals cover 95 % of distance, which", False),
        (0.9, 0.99, "The uncertainty of distance is stated too large: 80 % intervals cover 95 %.", True),
    ],
)
def test_an_uncertainty_is_off_only_where_the_interval_says_so(
    low: float, high: float, text: str, bad: bool
) -> None:
    interval = IntervalReport(low=low, high=high, std_error=0.05)
    stated = value(0.95).model_copy(update={"interval": interval})
    found = report(heads={"box": {"distance_errors": metric({"distance_coverage80": stated})}})
    told = highlights.coverage(found)
    assert told is not None
    assert told.text.startswith(text)
    assert told.bad is bad


def test_uncertainties_hold_only_where_all_of_them_do() -> None:
    """Of box sides it is sure that they are near 80 %; of distance nothing is."""
    near, wide = (
        value(share).model_copy(update={"interval": IntervalReport(low=low, high=high, std_error=0.1)})
        for share, low, high in ((0.78, 0.77, 0.79), (0.6, 0.3, 0.9))
    )
    box = {
        "box_errors": metric({"box_coverage80": near}),
        "distance_errors": metric({"distance_coverage80": wide}),
    }
    told = highlights.coverage(report(heads={"box": box}))
    assert told is not None
    assert told.text.startswith("Stated uncertainties may hold: 80 % intervals cover 60 % of distance")


def errors(*rows: tuple[float, float]) -> EvaluationReport:
    found = [
        DistanceErrorReport(
            from_m=10 * at, to_m=10 * at + 10, matches=50, mean_abs_m=size, p90_abs_m=2 * size, bias_m=bias
        )
        for at, (size, bias) in enumerate(rows)
    ]
    return report(figures=FiguresReport(cut=0.4, distance=found))


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([(0.3, 0.0), (1.2, 0.1)], "Distances are 0.30 m off up to 10 m, 1.2 m off from 10 m on."),
        ([(0.5, 0.4), (1.0, 0.9)], "Distances come out too far, by 0.65 m on average."),
        ([(0.5, -0.4), (1.0, -0.9)], "Distances come out too near, by 0.65 m on average."),
    ],
)
def test_how_far_off_distances_are(rows: list[tuple[float, float]], text: str) -> None:
    told = highlights.distances(errors(*rows))
    assert told is not None
    assert told.text == text


@pytest.mark.parametrize(
    ("bias", "text"),
    [
        (-0.03, "Distances are 0.50 m off up to 10 m, 1 m off from 10 m on."),
        (0.71, "Distances come out too far, by 0.71 m on average."),
    ],
)
def test_what_is_said_of_distances_is_what_the_tables_say(bias: float, text: str) -> None:
    """Few matches far away are in no bin, and in the mean of all."""
    found = errors((0.5, 0.4), (1.0, 0.9)).model_copy(
        update={"heads": {"box": {"distance_errors": metric({"distance_bias": value(bias)})}}}
    )
    told = highlights.distances(found)
    assert told is not None
    assert told.text == text


@pytest.mark.parametrize(
    ("error", "text", "bad"),
    [
        (0.01, "steer: 75 % less error than saying the last measured value.", False),
        (0.04, "steer: no better than saying the last measured value.", True),
        (0.06, "steer: 50 % more error than saying the last measured value.", True),
    ],
)
def test_the_command_is_held_against_the_best_simple_answer(error: float, text: str, bad: bool) -> None:
    found = {"MAE/steer": value(error), "MAE_persistence/steer": value(0.04), "MAE_mean/steer": value(0.1)}
    told = highlights.control(report(heads={"control": {"control_errors": metric(found)}}), "steer")
    assert told == (text, "control", bad)


def test_the_sensor_that_boxes_need_most() -> None:
    whole, without_camera, without_range = (heads(["a", "b"], "steer", scale) for scale in (1.0, 0.1, 0.9))
    told = stress_highlights.sensors(
        report(ablation={"camera+range": whole, "range": without_camera, "camera": without_range})
    )
    assert told is not None
    assert told.text == "Boxes rest on camera most: without it 10 % of mAP50 is left, 90 % without range."


def late(*scores: tuple[float, float]) -> list[StreamingReport]:
    common = {
        "measured": False,
        "truths": 9,
        "unanswered": 0,
        "processed": 9,
        "skipped": 0,
        "age_ms": {},
        "heads": {},
    }
    return [StreamingReport(latency_ms=ms, scores={"box": score}, **common) for ms, score in scores]


def test_what_latency_leaves() -> None:
    told = stress_highlights.latency(late((0, 0.4), (100, 0.2), (500, 0.0)))
    assert told == ("Answers that come 100 ms late keep 50 % of the box score at 0 ms.", "latency", True)
    assert stress_highlights.latency(late((0, 0.4))) is None
    only_late = stress_highlights.latency(late((200, 0.4), (500, 0.3)))
    assert only_late == (
        "Answers that come 500 ms late keep 75 % of the box score at 200 ms.",
        "latency",
        False,
    )


def part(name: str, here: float, verdict: Any, p: float | None = 0.5) -> SliceReport:
    return SliceReport(
        by="distance",
        part=name,
        head="class",
        metric="recall",
        support=50,
        rest_support=90,
        value=here,
        rest=0.8,
        difference=DifferenceReport(value=here - 0.8, verdict=verdict, p=p, p_corrected=p),
    )


def test_the_part_that_is_worst_by_most_is_named_only_where_it_is_sure() -> None:
    told = highlights.slices(
        [part("near", 0.7, "worse"), part("far", 0.2, "worse"), part("x", 0.1, "cannot tell")]
    )
    assert told == ("Surely worse: distance far, recall 0.200 against 0.800 elsewhere.", "slices", True)
    unsure = highlights.slices([part("far", 0.2, "cannot tell")])
    assert unsure is not None
    assert unsure.text == "No part is surely worse than the rest."
    assert highlights.slices([]) is None


def test_parts_that_were_not_compared_are_not_called_as_good_as_the_rest() -> None:
    """Without intervals, as of short logs, no part has a p."""
    told = highlights.slices([part("far", 0.2, "cannot tell", None), part("near", 0.9, "cannot tell", None)])
    assert told is not None
    assert told.text == "Too little data to tell whether a part is worse than the rest."


def test_what_needs_a_look_comes_first_and_an_empty_report_says_nothing() -> None:
    found = highlights.all_highlights(full())
    marks = [one.bad for one in found]
    assert marks == sorted(marks, reverse=True)
    assert len(found) >= 10
    assert highlights.all_highlights(report()) == []
