"""Errors of positions along the ray and across it, and the calibration of their covariances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception.evaluation.metrics import PositionErrors, Rules
from perception.evaluation.metrics.frame import ScoredFrames
from perception.evaluation.metrics.frame_columns import columns_of
from perception.geometry import TransformTree, pose_matrix
from perception.types import CameraInfo, Output, Rig, TruthBox, TruthFrame
from tests.evaluation.metrics.build import Pair, detection, frame

BOX = (100.0, 100.0, 140.0, 140.0)
CENTRE = (3.0, 0.0, 4.0)  # of the object, as the camera sees it: the ray is (0.6, 0, 0.8)
BASE_FROM_CAMERA = pose_matrix((1.0, 0.0, 1.5), (-0.5, 0.5, -0.5, 0.5))
K = np.array([[400.0, 0, 320], [0, 400.0, 240], [0, 0, 1]])
INFO = CameraInfo("/c", 0, 0, "camera", 640, 480, K, np.zeros(0))
RIG = Rig(INFO, TransformTree({"camera": ("base_link", BASE_FROM_CAMERA)}))
COV = tuple(tuple(row) for row in (np.eye(3) * 0.25).tolist())


def pair(error: tuple[float, float, float] | None, rig: Rig | None = RIG, cov: object = COV) -> Pair:
    """One matched object whose position is off by `error`, as the camera sees it."""
    item = detection(BOX)
    if error is not None:
        place = BASE_FROM_CAMERA @ [*np.add(CENTRE, error), 1.0]
        item = replace(item, position_m=tuple(place[:3]), position_cov_m2=cov, position_unknown="")
    output, truth = frame([item], [TruthBox("vehicle", BOX, 5.0, 1.0, "", CENTRE)])
    assert output.detections is not None
    head = replace(output.detections, position_frame="base_link")
    return Output(output.tick, head, None), TruthFrame(truth.stamp_ns, truth.boxes, rig=rig)


def values(*pairs: Pair) -> dict[str, float | None]:
    metric = PositionErrors(Rules(min_support=1))
    for output, truth in pairs:
        metric.update(output, truth)
    return {name: value.value for name, value in metric.compute().values.items()}


def test_an_error_has_a_part_along_the_ray_and_one_across_it() -> None:
    along = (0.6 * 2.0, 0.0, 0.8 * 2.0)
    across = (0.8 * 0.5, 0.0, -0.6 * 0.5)
    found = values(pair(tuple(np.add(along, across))))
    assert found["position_along"] == pytest.approx(2.0, rel=1e-5)
    assert found["position_across"] == pytest.approx(0.5, rel=1e-5)
    assert found["position_abs/vehicle"] == pytest.approx(np.hypot(2.0, 0.5), rel=1e-5)
    assert found["position_NEES"] == pytest.approx((2.0**2 + 0.5**2) / 0.25 / 3, rel=1e-5)
    assert found["position_coverage80"] == 0.0


def test_every_detection_of_every_frame_has_its_own_error() -> None:
    """Whether frames are scored one by one, or several in one piece, each with a rig of its own."""
    rng = np.random.default_rng(5)
    pairs, along, across, nees = [], [], [], []
    for _ in range(4):
        base_from_camera = pose_matrix(tuple(rng.normal(size=3)), tuple(rng.normal(size=4)))
        rig = Rig(INFO, TransformTree({"camera": ("base_link", base_from_camera)}))
        predicted, true = [], []
        for place in range(3):
            box = (100.0 * place, 100.0, 100.0 * place + 40.0, 140.0)
            centre, error = rng.uniform([-3, -2, 5], [3, 2, 20]), rng.normal(size=3)
            root = rng.normal(size=(3, 3)) + 2 * np.eye(3)
            covariance = root @ root.T
            position = (base_from_camera @ [*(centre + error), 1.0])[:3]
            stated = tuple(map(tuple, covariance.tolist()))
            item = replace(detection(box), position_m=tuple(position), position_cov_m2=stated)
            predicted.append(replace(item, position_unknown=""))
            true.append(TruthBox("vehicle", box, 5.0, 1.0, "", tuple(centre)))
            part = error @ centre / np.linalg.norm(centre)
            along.append(abs(part))
            across.append(np.sqrt(error @ error - part**2))
            turned = base_from_camera[:3, :3] @ error
            nees.append(turned @ np.linalg.inv(covariance) @ turned / 3)
        output, truth = frame(predicted, true)
        head = replace(output.detections, position_frame="base_link")
        pairs.append((Output(output.tick, head, None), TruthFrame(truth.stamp_ns, truth.boxes, rig=rig)))
    together = PositionErrors(Rules(min_support=1))
    together.add(ScoredFrames(columns_of(pairs), together.rules))
    for found in (values(*pairs), {name: value.value for name, value in together.compute().values.items()}):
        assert found["position_along"] == pytest.approx(np.mean(along), rel=1e-5)
        assert found["position_across"] == pytest.approx(np.mean(across), rel=1e-5)
        assert found["position_NEES"] == pytest.approx(np.mean(nees), rel=1e-5)


def test_errors_as_large_as_the_covariance_says_are_calibrated() -> None:
    rng = np.random.default_rng(1)
    covariance = np.array([[0.9, 0.2, 0.0], [0.2, 0.4, 0.1], [0.0, 0.1, 0.2]])  # in the base frame
    rotation = BASE_FROM_CAMERA[:3, :3]
    drawn = rng.multivariate_normal(np.zeros(3), rotation.T @ covariance @ rotation, size=800)
    stated = tuple(tuple(row) for row in covariance.tolist())
    found = values(*(pair(tuple(error), cov=stated) for error in drawn))
    assert found["position_NEES"] == pytest.approx(1.0, abs=0.1)
    assert found["position_coverage80"] == pytest.approx(0.8, abs=0.05)


def test_what_is_not_known_is_left_out_and_counted() -> None:
    metric = PositionErrors(Rules(min_support=1))
    for output, truth in (pair(None), pair((0.0, 0.0, 1.0), rig=None), pair((0.0, 0.0, 1.0), rig=Rig())):
        metric.update(output, truth)
    result = metric.compute()
    assert result.details == {"truth": 3, "missing": 3}
    assert result.values["position_abs"].value is None
    assert "0 matches that state a position" in result.values["position_abs"].why
    flat = ((1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    found = values(pair((0.0, 0.0, 1.0), cov=flat), pair((0.0, 0.0, 1.0), cov=None))
    assert found["position_abs"] == pytest.approx(1.0, rel=1e-5)
    assert found["position_NEES"] is None
