"""Answers worked out by hand, one for each formula."""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest

from perception.evaluation.metrics import (
    BoxErrors,
    Confusion,
    ControlErrors,
    DetectionCalibration,
    DistanceErrors,
    MeanAveragePrecision,
    PrecisionRecall,
    Rules,
)
from perception.evaluation.metrics.curves import best_f1, calibration_error, equal_mass_bins, precision_curve
from perception.types import Control, ControlChannel, Output, TruthFrame
from tests.evaluation.metrics.build import control_frame, detection, frame, tick, truth_box

ONE = Rules(min_support=1)
BOX = (0.0, 0.0, 100.0, 100.0)
FAR = (300.0, 300.0, 400.0, 400.0)


def numbers(metric, *frames):
    for output, truth in frames:
        metric.update(output, truth)
    return {name: value.value for name, value in metric.compute().values.items()}


def test_ap_reads_the_best_precision_at_101_recalls() -> None:
    # Hit, false alarm, hit; two truths: precision 1 up to recall 0.5 (51 of 101 points), then 2/3.
    curve = precision_curve(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]), 2)
    assert curve.precision.mean() == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert curve.score[50] == 0.9
    assert curve.score[51] == 0.7


def test_map_over_overlaps_counts_each_threshold_that_is_reached() -> None:
    # 100 x 100 against 100 x 77 inside it: overlap 0.77, so hits at 0.5, 0.55, ... 0.75: 6 of 10.
    found = numbers(MeanAveragePrecision(ONE), frame([detection((0.0, 0.0, 100.0, 77.0))], [truth_box(BOX)]))
    assert found["mAP50"] == 1.0
    assert found["mAP75"] == 1.0
    assert found["mAP"] == pytest.approx(0.6)
    assert found["mAP/large"] == pytest.approx(0.6)
    assert found["mAP/small"] is None
    assert found["AP/vehicle"] == pytest.approx(0.6)


def test_f1_is_best_where_twice_the_hits_over_kept_and_truth_is_greatest() -> None:
    # Cut-offs 0.9: 2*1/(1+2); 0.8 keeps both of equal score: 2*2/(3+2).
    best = best_f1(np.array([True, False, True]), np.array([0.9, 0.8, 0.8]), 2)
    assert best == pytest.approx((0.8, 0.8, 2 / 3, 1.0))


def test_f1_per_class_and_over_all() -> None:
    predicted = [detection(BOX, 0.9), detection(FAR, 0.6, "person")]
    found = numbers(
        PrecisionRecall(ONE), frame(predicted, [truth_box(BOX), truth_box((0, 200, 50, 250), "person")])
    )
    assert found["F1/vehicle"] == 1.0
    assert found["F1_score/vehicle"] == 0.9
    assert found["F1/person"] == 0.0
    assert found["F1"] == pytest.approx(2 / 3)
    assert (found["precision"], found["recall"], found["F1_score"]) == (1.0, 0.5, 0.9)


def test_calibration_error_is_the_weighted_gap_between_score_and_share_correct() -> None:
    # Two bins of two: mean scores 0.2 and 0.8, shares correct 0.5 and 1: (0.3 + 0.2) / 2.
    bins = equal_mass_bins(np.array([0.1, 0.3, 0.7, 0.9]), np.array([True, False, True, True]), 2)
    assert bins.size.tolist() == [2, 2]
    assert calibration_error(bins) == pytest.approx(0.25)


def test_detection_calibration_leaves_out_low_scores_and_ignore_regions() -> None:
    # All of score 0.7 and right: error 0.3, whatever lies below score 0.1 or in an ignore region.
    frames = [
        frame(
            [detection(BOX, 0.7), detection(FAR, 0.09), detection((0, 200, 50, 250), 0.99)],
            [truth_box(BOX), truth_box((0, 200, 50, 250), visible=0.1)],
        )
    ] * 15
    metric = DetectionCalibration(ONE)
    assert numbers(metric, *frames)["D-ECE"] == pytest.approx(0.3)
    assert metric.compute().values["D-ECE"].support == 15


def test_confusion_counts_what_is_taken_for_what() -> None:
    predicted = [
        detection(BOX, 0.9, "vehicle"),
        detection((200, 0, 250, 50), 0.8, "person"),
        detection(FAR, 0.7, "person"),
        detection((0, 200, 50, 250), 0.2, "vehicle"),
        detection((400, 0, 450, 50), 0.9, "vehicle"),
        detection((400, 200, 450, 250), 0.9, "vehicle"),
    ]
    true = [
        truth_box((400, 0, 450, 50)),
        truth_box((400, 200, 450, 250)),
        truth_box(BOX),
        truth_box((200, 0, 250, 50)),
        truth_box((0, 200, 50, 250)),
        truth_box((0, 300, 50, 350), "person"),
    ]
    metric = Confusion(Rules(min_support=1, classes=("vehicle", "person")), score=0.5)
    found = numbers(metric, frame(predicted, true))
    details = metric.compute().details
    assert details["labels"] == ["vehicle", "person", "background"]
    assert details["matrix"] == [[3, 1, 1], [0, 0, 1], [0, 1, 0]]
    assert found["confused"] == 0.25


def test_confusion_knows_nothing_of_ignore_regions() -> None:
    predicted = [
        detection((0, 0, 40, 9)),
        detection((200, 0, 240, 40), 0.9, "person"),
        detection((300, 0, 340, 9)),
    ]
    true = [truth_box((0, 0, 40, 9)), truth_box((200, 0, 240, 40), visible=0.1), truth_box(FAR, "person")]
    metric = Confusion(Rules(min_support=1, classes=("vehicle", "person")), score=0.0)
    numbers(metric, frame(predicted, true))
    assert metric.compute().details["matrix"] == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_a_region_of_one_class_takes_no_other_in_the_confusion() -> None:
    crowd = replace(truth_box((0, 0, 400, 400), "person"), ignore=True)
    found = [detection((10, 10, 60, 60), 0.9, "person"), detection((200, 200, 260, 260), 0.9, "vehicle")]
    metric = Confusion(Rules(min_support=1, classes=("vehicle", "person")), score=0.0)
    numbers(metric, frame(found, [crowd]))
    assert metric.compute().details["matrix"] == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_confusion_cuts_at_its_best_f1_unless_told() -> None:
    metric = Confusion(ONE)
    numbers(
        metric,
        frame(
            [detection(BOX, 0.6), detection(FAR, 0.3), detection((0, 200, 50, 250), 0.2)], [truth_box(BOX)]
        ),
    )
    assert metric.compute().details["score"] == 0.6


@pytest.mark.parametrize(
    ("family", "nll", "width"),
    [
        ("laplace", log(2 * 3 / sqrt(2)) + 2 * sqrt(2) / 3, 1.6094379 / sqrt(2) * 3),
        ("gaussian", log(3 * sqrt(2 * np.pi)) + 2**2 / (2 * 3**2), 1.2815516 * 3),
    ],
)
def test_likelihood_and_coverage_of_each_family(family, nll, width) -> None:
    rules = Rules(min_support=1, family=family)
    found = numbers(
        DistanceErrors(rules), frame([detection(BOX, 0.9, "vehicle", 12.0, 3.0)], [truth_box(BOX)])
    )
    assert found["distance_NLL"] == pytest.approx(nll)
    inside, outside = 10.0 + width * 0.999, 10.0 + width * 1.001
    for distance, covered in ((inside, 1.0), (outside, 0.0)):
        predicted = [detection(BOX, 0.9, "vehicle", distance, 3.0)]
        assert (
            numbers(DistanceErrors(rules), frame(predicted, [truth_box(BOX)]))["distance_coverage80"]
            == covered
        )


def test_distance_errors() -> None:
    predicted = [
        detection(BOX, 0.9, "vehicle", 12.0),
        detection(FAR, 0.8, "vehicle", 18.0),
        detection((0, 200, 50, 250)),
    ]
    found = numbers(
        DistanceErrors(ONE),
        frame(predicted, [truth_box(BOX, distance_m=10.0), truth_box(FAR, distance_m=24.0)]),
    )
    assert found["distance_abs"] == pytest.approx((2 + 6) / 2)
    assert found["distance_bias"] == pytest.approx((2 - 6) / 2)
    assert found["distance_rel"] == pytest.approx((0.2 + 0.25) / 2)
    assert found["distance_rel_median"] == pytest.approx((0.2 + 0.25) / 2)


def test_one_box_at_the_wrong_depth_does_not_move_the_median_of_distances() -> None:
    metric = DistanceErrors(ONE)
    for metres in (10.1, 10.3, 30.0):
        metric.update(*frame([detection(BOX, 0.9, "vehicle", metres)], [truth_box(BOX, distance_m=10.0)]))
    values = metric.compute().values
    assert values["distance_rel_median"].value == pytest.approx(0.03, rel=1e-5)
    assert values["distance_rel"].value == pytest.approx((0.01 + 0.03 + 2) / 3, rel=1e-5)


def test_box_errors_pool_four_coordinates() -> None:
    # x2 is 10 px short: overlap 0.9; with std 2 (b = 1.414, half width 2.276) three of four are covered.
    found = numbers(BoxErrors(ONE), frame([detection((0, 0, 90, 100))], [truth_box(BOX)]))
    assert found["IoU"] == pytest.approx(0.9)
    assert found["box_coverage80"] == 0.75
    assert found["box_NLL"] == pytest.approx(log(2 * sqrt(2)) + 10 / sqrt(2) / 4, rel=1e-6)


def test_control_errors_beside_their_baselines() -> None:
    # Truth 1, 2, 6 (mean 3); predicted 2, 2, 4: errors 1, 0, -2.
    frames = [
        control_frame(2.0, 1.0, measured=1.5),
        control_frame(2.0, 2.0, measured=1.0),
        control_frame(4.0, 6.0),
    ]
    found = numbers(ControlErrors(ONE), *frames)
    assert found["MAE/curvature"] == pytest.approx(1.0)
    assert found["RMSE/curvature"] == pytest.approx(sqrt(5 / 3))
    assert found["bias/curvature"] == pytest.approx(-1 / 3)
    assert found["R2/curvature"] == pytest.approx(1 - 5 / (4 + 1 + 9))
    assert found["MAE_mean/curvature"] == pytest.approx((2 + 1 + 3) / 3)
    assert found["MAE_persistence/curvature"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["coverage80/curvature"] == pytest.approx(2 / 3)
    assert found["NLL/curvature"] == pytest.approx(log(sqrt(2)) + sqrt(2) * (1 + 0 + 2) / 3)


def test_control_channels_are_joined_by_name_and_keep_their_units() -> None:
    head = Control(True, channels=(ControlChannel("b", "m", 5.0, 1.0), ControlChannel("other", "", 0.0, 1.0)))
    metric = ControlErrors(ONE)
    metric.update(Output(tick(), None, head), TruthFrame(0, None, {"a": 1.0, "b": 3.0}))
    result = metric.compute()
    assert result.values["MAE/b"].value == 2.0
    assert result.values["MAE/b"].unit == "m"
    assert result.values["R2/b"].unit == ""
    assert result.values["MAE/a"].value is None
    assert result.details["missing"] == {"a": 1}
    assert not any(name.endswith("/other") for name in result.values)


@pytest.mark.parametrize(("label", "kept"), [("", 0), ("vehicle", 0), ("person", 1)])
def test_what_is_found_in_an_ignore_region_is_neither_right_nor_wrong(label: str, kept: int) -> None:
    """A region without a label is one for every class; one of another class excuses nothing."""
    region = replace(truth_box((0, 0, 400, 400), label=label), ignore=True)
    inside = [detection((10, 10, 60, 60)), detection((100, 100, 150, 150), 0.8)]
    alarm = detection((600, 600, 650, 650), 0.7)
    real = truth_box((700, 100, 760, 160))
    metric, confusion = PrecisionRecall(ONE), Confusion(ONE)
    for scored in (metric, confusion):
        scored.update(*frame([*inside, alarm, detection(real.xyxy, 0.5)], [region, real]))
    found = numbers(metric)
    assert found["recall/vehicle"] == 1.0
    assert found["precision/vehicle"] == pytest.approx(1 / (2 + 2 * kept))
    assert confusion.compute().details["labels"][-1] == "background"
    assert "" not in confusion.compute().details["labels"]
