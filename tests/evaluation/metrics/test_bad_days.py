"""No truth, nothing said, invalid heads, values that are not numbers: undefined or counted, never 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception.evaluation.metrics import (
    BoxErrors,
    ControlErrors,
    DetectionCalibration,
    DistanceErrors,
    MeanAveragePrecision,
    PrecisionRecall,
    Rules,
    Suite,
)
from perception.types import Control, Detections, Output, TruthFrame, invalid_output
from tests.evaluation.metrics.build import (
    Pair,
    control_frame,
    detection,
    frame,
    random_frames,
    tick,
    truth_box,
)

BOX = (0.0, 0.0, 100.0, 100.0)
NAN = float("nan")


def suite_of(frames: list[Pair], rules: Rules | None = None) -> dict[str, object]:
    suite = Suite(rules)
    for output, truth in frames:
        suite.update(output, truth)
    return {result.metric: result for result in suite.compute()}


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [frame([], None)],
        [frame([], [])],
        [frame([detection(BOX)], [])] * 9,
        [frame([detection(BOX)], [truth_box(BOX)])] * 9,
        [(invalid_output(tick(), ("class", "box", "control"), "x"), TruthFrame(0, (), {"a": 1.0}))] * 50,
        [control_frame(1.0, 1.0)] * 9,
        [control_frame(NAN, 1.0)] * 50,
    ],
    ids=["no frame", "no truth", "empty", "no truth box", "9 of each", "invalid", "9 readings", "NaN"],
)
def test_values_with_too_little_support_are_undefined_with_a_reason(frames: list[Pair]) -> None:
    for result in suite_of(frames).values():
        for name, value in result.values.items():
            if result.metric != "joint":
                assert value.value is None, name
                assert value.why, name
                assert str(value) == "undefined"


def test_a_class_with_truth_that_is_never_found_has_ap_0() -> None:
    found = suite_of([frame([detection(BOX)], [truth_box(BOX), truth_box((0, 200, 50, 250), "person")])] * 10)
    assert found["precision_recall"].values["AP50/person"].value == 0.0
    assert found["precision_recall"].values["AP50/vehicle"].value == 1.0
    assert found["mean_average_precision"].values["mAP50"].value == 0.5


def test_a_class_that_was_promised_and_never_seen_is_reported_undefined() -> None:
    found = suite_of([frame([detection(BOX)], [truth_box(BOX)])] * 10, Rules(classes=("cyclist",)))
    assert found["precision_recall"].values["AP50/cyclist"].value is None
    assert found["mean_average_precision"].values["AP/cyclist"].why.startswith("0 truth boxes")
    assert found["mean_average_precision"].values["mAP50"].value == 1.0


def test_an_invalid_head_is_counted_and_neither_hit_nor_miss() -> None:
    good = [frame([detection(BOX)], [truth_box(BOX)])] * 20
    broken = [(invalid_output(tick(), ("class", "box"), "lens covered"), good[0][1])] * 5
    found = suite_of(good + broken)
    for name in ("mean_average_precision", "precision_recall", "box_errors"):
        assert (found[name].frames["scored"], found[name].frames["invalid"]) == (20, 5)
    assert found["mean_average_precision"].values["mAP"].value == 1.0
    assert found["joint"].values["joint/boxes"].value == pytest.approx(20 / 25)


def test_a_head_that_is_invalid_throughout_is_worth_0_in_the_joint_score() -> None:
    frames = []
    for index in range(20):
        output, truth = control_frame(float(index), float(index))
        frames.append((replace(output, detections=Detections(False)), replace(truth, boxes=())))
    found = suite_of(frames)["joint"]
    assert found.details["parts"] == ["boxes", "calibration", "control", "distance"]
    assert found.values["joint"].value == pytest.approx(0.25)


def test_detections_that_are_not_numbers_are_false_alarms_and_counted() -> None:
    bad = [
        detection((NAN, 0, 100, 100), 0.95),
        detection((100, 0, 0, 100), 0.94),  # inside out
        detection((0, 0, float("inf"), 100), 0.93),
    ]
    found = suite_of([frame([*bad, detection(BOX, 0.5)], [truth_box(BOX)])] * 10)["precision_recall"]
    assert found.frames["malformed_detections"] == 30
    assert found.values["precision/vehicle"].value == 0.25
    assert found.values["AP50/vehicle"].value == pytest.approx(0.25)


def test_a_score_that_is_not_a_number_ranks_last() -> None:
    found = suite_of([frame([detection(BOX, NAN), detection(BOX, 0.2)], [truth_box(BOX)])] * 10)
    assert found["precision_recall"].values["AP50/vehicle"].value == 1.0
    assert found["precision_recall"].frames["malformed_detections"] == 10


def test_truth_that_is_not_a_number_is_left_out_and_counted() -> None:
    found = suite_of([frame([detection(BOX)], [truth_box(BOX), truth_box((NAN, 0, 1, 1))])] * 10)
    assert found["mean_average_precision"].frames["malformed_truth"] == 10
    assert found["mean_average_precision"].values["mAP"].value == 1.0


def test_values_without_a_standard_deviation_have_no_likelihood() -> None:
    for std in (0.0, -1.0, NAN):
        predicted = [detection(BOX, std=std, distance_std_m=std)]
        found = suite_of([frame(predicted, [truth_box(BOX)])] * 10)
        assert found["box_errors"].values["box_NLL"].value is None
        assert found["box_errors"].values["IoU"].value == 1.0
        assert found["distance_errors"].values["distance_coverage80"].value is None
        assert found["distance_errors"].values["distance_abs"].value == 0.0


def test_distances_that_are_not_numbers_are_missing() -> None:
    found = suite_of(
        [frame([detection(BOX, distance_m=NAN)], [truth_box(BOX)])] * 10
        + [frame([detection(BOX)], [truth_box(BOX, distance_m=NAN)])] * 10
    )["distance_errors"]
    assert found.details == {"truth": 10, "missing": 10}
    assert found.values["distance_abs"].value is None


def test_truth_that_never_changes_has_no_r2() -> None:
    metric = ControlErrors()
    for _ in range(20):
        metric.update(*control_frame(1.0, 2.0))
    values = metric.compute().values
    assert values["MAE/curvature"].value == 1.0
    assert values["R2/curvature"].value is None
    assert values["R2/curvature"].why == "truth never changes"


def test_truth_of_control_that_is_not_a_number_is_no_truth() -> None:
    metric = ControlErrors(Rules(min_support=1))
    metric.update(*control_frame(1.0, NAN))
    metric.update(*control_frame(1.0, 2.0))
    assert metric.compute().values["MAE/curvature"].support == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "outcome"),
    [
        (truth_box((0, 0, 40, 11.9)), detection((0, 0, 40, 11.9)), "dropped"),
        (truth_box((0, 0, 40, 12)), detection((0, 0, 40, 12)), "hit"),
        (truth_box((0, 0, 40, 40), visible=0.29), detection((0, 0, 40, 40)), "dropped"),
        (truth_box((0, 0, 40, 40), visible=0.3), detection((0, 0, 40, 40)), "hit"),
        (truth_box((0, 0, 90, 90), visible=0.1), detection((10, 10, 40, 40)), "dropped"),
        (truth_box((0, 0, 90, 90), "person", visible=0.1), detection((10, 10, 40, 40)), "false alarm"),
        (truth_box((0, 0, 90, 90)), detection((200, 200, 240, 211)), "dropped"),
        (truth_box((0, 0, 90, 90)), detection((200, 200, 240, 213)), "false alarm"),
        (truth_box((0, 0, 40, 12.5)), detection((0, 0, 40, 11.5)), "hit"),
    ],
    ids=[
        "low",
        "just high enough",
        "hidden",
        "just visible enough",
        "inside a region",
        "a region of another class",
        "too low to judge",
        "a false alarm",
        "low but right",
    ],
)
def test_what_falls_below_the_rules_is_neither_hit_nor_miss(truth, predicted, outcome) -> None:
    suite = Suite(Rules())
    scored = suite.update(*frame([predicted], [truth]))
    found = "hit" if scored.hit50[0] else "dropped" if scored.dropped50[0] else "false alarm"
    assert found == outcome


def test_a_frame_that_repeats_costs_little_memory() -> None:
    metrics = [
        PrecisionRecall(),
        MeanAveragePrecision(),
        BoxErrors(),
        DistanceErrors(),
        DetectionCalibration(),
    ]
    frames = random_frames(np.random.default_rng(0), 100)
    count = sum(len(output.detections.items) for output, _ in frames)
    for output, truth in frames:
        for metric in metrics:
            metric.update(output, truth)
    assert sum(m.rows.nbytes + m.truth.nbytes for m in metrics) < 600 * count


@pytest.mark.parametrize(
    "wrong", [{"min_height_px": -1}, {"min_visible": 2}, {"min_support": 0}, {"family": "cauchy"}]
)
def test_rules_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rules(**wrong)


def test_heads_that_a_plugin_has_not_are_not_scored() -> None:
    output = Output(tick(), None, Control(True))
    found = suite_of([(output, TruthFrame(0, (truth_box(BOX),), None))] * 3)
    assert found["mean_average_precision"].frames["no_head"] == 3
    assert found["control_errors"].frames["no_truth"] == 3
    assert found["joint"].values["joint"].value is None
