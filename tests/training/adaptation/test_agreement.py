"""Boxes of two views and of neighbouring samples: what is joined, confirmed, and becomes a label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.models import FusionModel
from perception.models.checkpoint import Checkpoint
from perception.models.decode import subset_index
from perception.models.tensors import Predictions
from perception.training.adaptation import AdaptOptions
from perception.training.adaptation import views as views_module
from perception.training.adaptation.adapt_config import round_config
from perception.training.adaptation.agreement import AgreedBoxes, SelfAgreement, agreed_boxes, self_agreement
from perception.training.adaptation.calibration_renewal import renew_calibration, usual_sensors
from perception.training.adaptation.enlarged_views import EVERYWHERE, RegionView
from perception.training.adaptation.pseudo_labels import (
    CONFIRMED,
    FEWEST_BOXES,
    LEAST_LABEL_SCORE,
    ClassRule,
    class_rules,
    labels_of,
)
from perception.training.adaptation.report import SelfCheck
from perception.training.adaptation.self_check import got_worse
from perception.training.adaptation.views import SeenBoxes, TwoViews, seen_twice
from perception.training.data.dataset import Dataset
from perception.training.data.sample_cache import CachedLog
from perception.training.data.training_sample import IGNORED, SampleId
from perception.training.losses import DenseTruth, make_targets
from perception.training.losses.targets import Grid
from perception.types import SENSORS, Quantity
from tests.training.conftest import SHAPE

NO_CONTROL = np.full(2, np.nan)
SIZE = np.array([128.0, 64.0])


def seen(*rows: tuple[int, float, float], std: float = 1.0, distance: float = 9.0) -> SeenBoxes:
    """Boxes 10 x 20 at (class, score, left side)."""
    boxes = np.array([[x, 5.0, x + 10, 25.0] for _, _, x in rows]).reshape(-1, 4)
    count = len(rows)
    return SeenBoxes(
        np.array([label for label, _, _ in rows], np.int64),
        np.array([score for _, score, _ in rows], np.float64),
        boxes,
        np.full((count, 4), std),
        np.full(count, distance),
        np.full(count, 0.5),
    )


def twice(plain: SeenBoxes, mirrored: SeenBoxes | None = None) -> TwoViews:
    return TwoViews(plain, plain if mirrored is None else mirrored, NO_CONTROL)


def test_boxes_of_both_views_are_joined_and_others_have_half_their_score() -> None:
    plain = seen((0, 0.9, 0.0), (1, 0.8, 50.0))
    mirrored = seen((0, 0.3, 2.0), (2, 0.6, 50.0))
    (boxes,) = agreed_boxes([twice(plain, mirrored)], [[]])
    assert boxes.labels.tolist() == [0, 1, 2]
    assert boxes.scores == pytest.approx([0.6, 0.4, 0.3])
    assert boxes.claimed == pytest.approx([0.6, 0.8, 0.6])
    assert boxes.confirmed.tolist() == [True, False, False]
    assert boxes.boxes[0, 0] == pytest.approx(0.5)  # the surer view counts three times
    assert self_agreement([twice(plain, mirrored)]).share == pytest.approx(2 / 4)


def test_a_view_is_only_asked_about_boxes_in_its_region() -> None:
    """A small object that two parts show is confirmed; a part that shows only some of it is not asked."""
    left, right = (
        RegionView(seen((0, 0.8, 20.0)), np.array([a, 0.0, b, 64.0])) for a, b in ((0, 64), (16, 96))
    )
    elsewhere = RegionView(seen(), np.array([24.0, 0.0, 128.0, 64.0]))  # the box begins at 20
    silent = RegionView(seen(), EVERYWHERE)
    (boxes,) = agreed_boxes([twice(seen())], [[]], [[left, right, elsewhere]])
    assert boxes.scores == pytest.approx([2 * 0.8 / 4])
    assert boxes.confirmed.tolist() == [True]
    (boxes,) = agreed_boxes([twice(seen())], [[]], [[left, right, elsewhere, silent]])
    assert boxes.confirmed.tolist() == [False]  # two of five
    (boxes,) = agreed_boxes([twice(seen())], [[]], [[left, elsewhere]])
    assert boxes.confirmed.tolist() == [False]  # one view alone


def test_a_view_has_a_box_once() -> None:
    twins = seen((0, 0.9, 0.0), (0, 0.5, 1.0), (0, 0.7, 60.0))
    (boxes,) = agreed_boxes([twice(twins)], [[]])
    assert boxes.scores == pytest.approx([0.9, 0.7])


def test_a_box_that_no_neighbour_has_is_not_certain() -> None:
    here, moved, gone = seen((0, 0.9, 0.0)), seen((0, 0.9, 4.0)), seen((1, 0.9, 0.0))
    alone, flicker, steady, _ = agreed_boxes(
        [twice(here), twice(here), twice(here), twice(moved)], [[], [], [1, 3], [2]]
    )
    assert alone.certain.all()
    assert flicker.certain.all()
    assert steady.certain.all()
    (lost, _) = agreed_boxes([twice(here), twice(gone)], [[1], [0]])
    assert lost.confirmed.all()
    assert not lost.certain.any()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.05, 1.0), st.booleans()), max_size=60),
    st.randoms(use_true_random=False),
)
def test_the_score_of_a_class_is_the_lowest_from_which_enough_boxes_are_confirmed(
    rows: list[tuple[int, float, bool]], random: Any
) -> None:
    """Against every score tried one by one, in any order of samples."""

    def one(label: int, score: float, sure: bool) -> AgreedBoxes:
        boxes = np.array([[0.0, 0.0, 10.0, 10.0]])
        joined = score if sure else score / 2
        return AgreedBoxes(
            np.array([label]),
            np.array([joined]),
            boxes,
            np.array([score]),
            np.array([sure]),
            np.array([True]),
        )

    samples = [one(*row) for row in rows] or [one(0, 0.1, False)]
    rules = class_rules(samples, 3)
    for label, rule in enumerate(rules):
        mine = sorted(
            ((s, sure) for c, s, sure in rows if c == label and s >= LEAST_LABEL_SCORE), reverse=True
        )
        possible = [
            score
            for score in {s for s, _ in mine}
            if (count := sum(s >= score for s, _ in mine)) >= FEWEST_BOXES
            and sum(sure for s, sure in mine if s >= score) / count >= CONFIRMED
        ]
        if len({s for s, _ in mine}) == len(mine):  # of equal scores the order decides
            assert rule.score == (min(possible) if possible else None)
    random.shuffle(samples)
    assert [rule.boxes for rule in class_rules(samples, 3)] == [rule.boxes for rule in rules] or len(
        {s for _, s, _ in rows}
    ) < len(rows)


def test_doubts_are_neither_learned_nor_punished_and_an_uncertain_class_is_left_alone() -> None:
    certain, doubt, unsure_class = (0, 0.9, 4.0), (0, 0.4, 44.0), (1, 0.9, 84.0)
    (boxes,) = agreed_boxes([twice(seen(certain, doubt, unsure_class))], [[]])
    rules = [ClassRule(0.6, 0.9, 20), ClassRule(None, 0.3, 20), ClassRule(0.5, 0.9, 20)]
    truth = labels_of(boxes, rules, np.zeros(2), SIZE)
    assert truth.visible.tolist() == [1.0, IGNORED, IGNORED]
    assert truth.complete.tolist() == [1, 0, 1]
    dense = DenseTruth(
        torch.from_numpy(truth.labels)[None],
        torch.from_numpy(truth.boxes)[None],
        torch.from_numpy(truth.distance_m)[None],
        torch.from_numpy(truth.visible < 0)[None],
        torch.ones(1),
        torch.zeros(1, 2),
        complete=torch.from_numpy(truth.complete)[None],
    )
    targets = make_targets(dense, 3, Grid(16, 32))
    assert float(targets.objects) == 1
    assert float(targets.heatmap[0, 0, 3, 2]) == 1  # the label
    assert float(targets.counted[0, 0, 3, 12]) == 0  # the doubt
    assert float(targets.counted[0, 0, 12, 20]) == 1  # background of a class that is certain
    assert float(targets.counted[0, 1, 12, 20]) == 0  # of one that is not
    assert float(targets.distance_weight.sum()) == 0  # no return, no distance


@pytest.mark.parametrize("name", ["curvature", "wheel_angle"])
def test_the_mirrored_view_is_turned_back(
    name: str, cached: CachedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a channel that nobody calls odd the value of the sample itself counts: the mean would be 0."""
    shape = replace(SHAPE, control=(Quantity(name, "1/m"), SHAPE.control[1]))
    model = FusionModel(shape)
    options = AdaptOptions(("a.mcap",))
    config = round_config(options, Checkpoint(config=shape), Path("start"), Path("out"), 5, 1.0)
    assert config.augment.mirror == (0.5 if name == "curvature" else 0.0)

    def predict(_: Any, samples: Any, __: Any) -> Predictions:
        count = len(samples)
        box = np.tile(np.array([10.0, 5.0, 30.0, 25.0]), (count, 1, 1))
        box[count // 2 :, :, [0, 2]] = 128 - box[count // 2 :, :, [2, 0]]
        std = np.tile(np.array([1.0, 2.0, 3.0, 4.0]), (count, 1, 1))
        std[count // 2 :] = std[count // 2 :][..., [2, 1, 0, 3]]
        control = np.tile(np.array([0.2, 0.5]), (count, 1))
        control[count // 2 :, 0] *= -1  # curvature changes sign
        one = np.ones((count, 1))
        return Predictions(0.7 * one, one.astype(int), box, std, 9 * one, one, control, control)

    monkeypatch.setattr(views_module, "predict", predict)
    for plain, mirrored, control in seen_twice(model, Dataset([cached], [np.arange(5)])):
        assert mirrored.boxes == pytest.approx(plain.boxes)
        assert mirrored.box_std == pytest.approx(plain.box_std)
        assert control == pytest.approx([0.2, 0.5])


def test_calibration_lowers_scores_that_are_not_confirmed_and_raises_no_other() -> None:
    sure, unsure = seen(*[(0, 0.8, 0.0)] * 1), seen((1, 0.8, 50.0))
    both = SeenBoxes(*(np.concatenate(pair) for pair in zip(sure, unsure, strict=True)))
    views = [twice(both, sure)] * 40
    model = FusionModel(SHAPE)
    changes = {change.name: change for change in renew_calibration(model, views, np.zeros((0, 3)), views)}
    assert changes.keys() == {"mean score of vehicle"}
    assert changes["mean score of vehicle"].new < 0.5 < changes["mean score of vehicle"].old
    logit = torch.tensor(np.log(0.8 / 0.2), dtype=torch.float32).expand(1, 3, 1, 1)
    spread = torch.full((1, 1, 1, 1), float(np.log(0.3)))
    scores = model.decoder.calibration.logits(logit, spread, torch.tensor([7])).sigmoid().flatten()
    assert float(scores[0]) == pytest.approx(0.8)
    assert float(scores[1]) == pytest.approx(changes["mean score of vehicle"].new, abs=1e-4)


def test_boxes_claim_no_more_than_those_of_the_weights_that_labelled_them() -> None:
    """The model became surer of the same boxes; that both views agree does not say that it is right."""
    rng = np.random.default_rng(1)
    first_scores = rng.uniform(0.1, 0.7, 60)
    odds = (first_scores / (1 - first_scores)) ** 1.7 * 6
    surer = odds / (1 + odds)
    first, now = (
        [twice(seen((0, float(score), 0.0), (1, 0.5, 60.0))) for score in scores]
        for scores in (first_scores, surer)
    )
    model = FusionModel(SHAPE)
    changes = {change.name: change for change in renew_calibration(model, now, np.zeros((0, 3)), first)}
    assert changes.keys() == {"mean score of person"}
    assert changes["mean score of person"].old == pytest.approx(surer.mean())
    logits = torch.from_numpy(np.log(odds)).float().reshape(60, 1, 1, 1).expand(-1, 3, 1, 1)
    spread = torch.zeros(60, 1, 1, 1)
    renewed = (
        model.decoder.calibration.logits(logits, spread, torch.full((60,), 7))
        .sigmoid()[:, 0]
        .flatten()
        .numpy()
    )
    np.testing.assert_allclose(renewed, first_scores, atol=0.01)
    np.testing.assert_array_equal(np.argsort(renewed), np.argsort(surer))
    assert renew_calibration(FusionModel(SHAPE), first, np.zeros((0, 3)), now) == []  # less sure: as it is


def test_calibration_fits_distances_to_returns_and_only_widens_boxes() -> None:
    rng = np.random.default_rng(0)
    measured = rng.uniform(5, 20, 400)
    rows = np.stack([measured + rng.laplace(0, 1.0, 400), measured, np.full(400, 0.5)], 1)
    exact, shifted = twice(seen((0, 0.8, 0.0))), twice(seen((0, 0.8, 0.0)), seen((0, 0.8, 3.0)))
    for views, wider in (([exact] * 40, False), ([shifted] * 40, True)):
        model = FusionModel(SHAPE)
        renew_calibration(model, views, rows, views)
        calibration = model.decoder.calibration
        assert float(calibration.distance_factor[-1, 0]) == pytest.approx(2 * 2**0.5, rel=0.15)
        assert bool((calibration.box_factor >= 1).all())
        assert bool(calibration.box_factor[-1, 0] > 1.2) == wider
        assert bool((calibration.box_factor[:-1] == 1).all())


@given(st.sets(st.sampled_from(SENSORS), min_size=1))
def test_calibration_changes_for_the_sensors_of_the_samples_alone(sensors: set[str]) -> None:
    exact, shifted = seen((0, 0.8, 0.0)), seen((0, 0.8, 4.0), (1, 0.8, 60.0))
    rows = np.stack([np.full(40, 9.0), np.full(40, 5.0), np.full(40, 0.5)], 1)
    model, untouched = FusionModel(SHAPE), FusionModel(SHAPE)
    now, first = [twice(shifted, exact)] * 40, [twice(shifted)] * 40
    assert renew_calibration(model, now, rows, first, sorted(sensors))
    present = torch.tensor([[name in sensors for name in SENSORS]])
    here = int(subset_index(present))
    before = untouched.decoder.calibration.state_dict()
    for name, buffer in model.decoder.calibration.state_dict().items():
        changed = (buffer != before[name]).any(1).nonzero().flatten().tolist()
        assert changed in ([here], []), name
    assert float(model.decoder.calibration.distance_factor[here, 0]) > 1


def test_the_usual_sensors_are_those_of_most_samples() -> None:
    present = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0]], np.float32)
    log = SimpleNamespace(column=lambda name: {"present": present}[name])
    dataset: Any = SimpleNamespace(logs=[log], ids=[SampleId(0, row) for row in (4, 1, 0, 3)])
    sensors, places = usual_sensors(dataset)
    assert (sensors, places.tolist()) == (("camera", "range"), [0, 2])


def test_the_error_of_an_agreement_is_that_of_drawing_other_pictures() -> None:
    rng = np.random.default_rng(3)
    counted = rng.integers(2, 12, 40) * 2.0
    shared = 2 * rng.binomial((counted / 2).astype(int), rng.uniform(0.5, 1, 40)).astype(float)
    drawn = [SelfAgreement(shared[i], counted[i]).share for i in rng.integers(0, 40, (2000, 40))]
    assert SelfAgreement(shared, counted).error == pytest.approx(float(np.std(drawn)), rel=0.1)
    assert SelfAgreement(np.zeros(3), np.zeros(3)).error == 0


def test_agreement_of_as_many_boxes_as_before_does_not_fall_where_hard_ones_are_added() -> None:
    """Two sure boxes that both views have, and two less sure ones that one view misses."""
    sure = ((0, 0.9, 0.0), (0, 0.8, 40.0))
    views = [twice(seen(*sure, (0, 0.5, 80.0), (0, 0.4, 100.0)), seen(*sure))]
    assert self_agreement(views).share == pytest.approx(4 / 6)
    assert self_agreement(views, most=2).share == 1
    assert self_agreement(views, most=3).share == pytest.approx(4 / 5)
    assert self_agreement(views, most=9).share == pytest.approx(4 / 6)
    spread = [twice(seen((0, 0.9, 0.0)), seen((0, 0.9, 0.0))), twice(seen((0, 0.5, 40.0)), seen())]
    assert self_agreement(spread, most=1).share == 1  # of all samples together
    assert self_agreement([twice(seen(), seen())], most=2).share is None


def test_less_agreement_or_no_box_at_all_is_refused() -> None:
    before = SelfCheck(0.8, 3.0, None, 0)
    assert not got_worse(before, replace(before, agreement=0.8, boxes=1.6))
    assert "1.4 boxes are left" in got_worse(before, replace(before, boxes=1.4))[0]
    assert "agree on 70.0%" in got_worse(before, replace(before, agreement=0.7))[0]
    unsure = replace(before, agreement_error=0.04)
    assert not got_worse(unsure, replace(before, agreement=0.77))  # as chance between pictures may do
    assert "standard error 4.0%" in got_worse(unsure, replace(before, agreement=0.75))[0]
    assert "no box is left" in got_worse(before, SelfCheck(None, 0.0, None, 0))[0]
    assert not got_worse(SelfCheck(None, 0.0, None, 0), before)
