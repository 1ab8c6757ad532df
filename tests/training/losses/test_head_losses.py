"""The losses of all heads as a configuration names them: faults, masks, and what scales learn."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from perception.errors import ConfigError
from perception.models import DenseOutputs
from perception.models.camera_encoder import Pyramid
from perception.training.losses import HeadLosses, Targets, make_targets, resolve_losses
from perception.training.losses.methods import BOX, CLASS, VALUE
from perception.training.losses.targets import Grid
from perception.types import heads
from tests.fusion_scenes import SMALL, lively_model, scene
from tests.training.losses.test_targets import H, W, perfect, truth
from tests.types.speed_limit import SPEED_LIMIT

HEADS = ("class", "box", "distance", "control")
EVERY = [
    *(("laplace", {"class": name}) for name in CLASS),
    *((family, {"box": name}) for name in BOX for family in ("laplace", "gaussian")),
    *(
        (family, {"distance": name, "control": name})
        for name in VALUE
        for family in ("laplace", "gaussian")
        if (name, family) not in {("laplace", "gaussian"), ("gaussian", "laplace"), ("beta_nll", "laplace")}
    ),
]


def test_every_fault_is_named_at_once_with_the_nearest_valid_name() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_losses(
            {
                "clas": "focal",
                "class": {"name": "focal", "gama": 2},
                "box": "giuo",
                "distance": {"name": "kl", "std": 0},
                "control": 3,
            }
        )
    assert list(caught.value.errors) == [
        "losses.clas: unknown key; did you mean class?",
        "losses.class.gama: unknown option of focal; did you mean gamma?",
        "losses.box: expected one of giou, smooth_l1, mse; found 'giuo', did you mean giou?",
        "losses.distance.std: expected a number from 0.0001 to 100, found 0",
        "losses.control: expected a name, or {name: ..., options}; found 3",
    ]


@pytest.mark.parametrize("value", [True, "1", -1, math.nan, math.inf, None])
def test_weights_are_numbers_from_0(value: object) -> None:
    with pytest.raises(ConfigError, match=r"losses\.box\.weight: expected a number from 0, found"):
        HeadLosses({"box": {"name": "giou", "weight": value}})


@pytest.mark.parametrize("name", ["gaussian", "beta_nll"])
def test_a_likelihood_of_another_family_is_a_fault_that_says_what_to_set(name: str) -> None:
    with pytest.raises(ConfigError, match=r"losses\.distance: .* set model\.loss_family: gaussian, or"):
        resolve_losses({"distance": name}, "laplace")
    assert resolve_losses({"distance": name}, "gaussian")["distance"].name == name
    with pytest.raises(ConfigError, match=r"losses\.control: laplace .* set model\.loss_family: laplace"):
        resolve_losses({"control": "laplace"}, "gaussian")


def test_without_a_name_distance_has_the_likelihood_of_the_family_and_control_the_squared_error() -> None:
    for family in ("laplace", "gaussian"):
        chosen = resolve_losses({}, family)
        assert [chosen[head].name for head in HEADS] == ["gaussian_focal", "giou", family, "mse"]


def test_weights_of_the_box_loss_may_stand_in_the_section_itself() -> None:
    inside = resolve_losses({"box": {"name": "giou", "weight": 3.0, "scale_weight": 0.5}})
    assert resolve_losses({"giou_weight": 3.0, "scale_weight": 0.5}) == inside
    assert resolve_losses({"box": {"giou_weight": 3.0, "scale_weight": 0.5}}) == inside
    assert resolve_losses({"box": "giou", "giou_weight": 3.0, "scale_weight": 0.5}) == inside
    with pytest.raises(ConfigError, match=r"losses\.scale_weight: given again"):
        resolve_losses({"box": {"scale_weight": 0.1}, "scale_weight": 0.2})


def test_a_choice_reads_back_from_what_it_is_written_as() -> None:
    chosen = resolve_losses({"class": {"name": "focal", "gamma": 1}, "control": "l1"})
    assert resolve_losses({head: choice.to_dict() for head, choice in chosen.items()}) == chosen


@cache
def batch() -> tuple[DenseOutputs, Targets]:
    """A lively model's words on a scene, and what it should have predicted."""
    boxes = [[10.0, 8, 60, 50], [70.0, 20, 90, 44]]
    with torch.no_grad():
        predicted = lively_model(seed=3).dense(scene(SMALL, 1))
    return predicted, make_targets(truth(boxes, [0, 2]), len(SMALL.classes), Grid(H, W))


def test_the_default_losses_are_what_they_were() -> None:
    """Gaussian focal, GIoU and the likelihood of sides, likelihoods of the rest: golden values."""
    losses = HeadLosses({"control": "laplace"})(*batch())
    expected = {"class": 112.14384, "box": 20147.359, "distance": 6.8412547, "control": 0.12226152}
    assert {head: float(loss.detach()) for head, loss in losses.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("family", "config"), EVERY, ids=str)
def test_every_loss_has_gradients_where_there_is_truth_and_none_where_there_is_not(
    family: str, config: dict[str, str]
) -> None:
    predicted, true = batch()
    leaves = {
        name: value.detach().requires_grad_()
        for name, value in predicted._asdict().items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    for known in (True, False):
        if not known:
            none = truth(
                [[10.0, 8, 60, 50]], boxes_known=torch.zeros(1), control=torch.full((1, 2), torch.nan)
            )
            true = make_targets(none, len(SMALL.classes), Grid(H, W))
        losses = HeadLosses(config, family)(predicted._replace(**leaves), true)
        gradients = dict(
            zip(
                leaves,
                torch.autograd.grad(sum(losses.values(), torch.zeros(())), [*leaves.values()]),
                strict=True,
            )
        )
        for name, gradient in gradients.items():
            assert bool(gradient.isfinite().all()), name
            assert bool(gradient.any()) is known, name
        if not known:
            assert [float(losses[head].detach()) for head in HEADS] == [0, 0, 0, 0]
    weight = true.box_weight.expand(1, 4, H, W)
    assert not gradients["ltrb"][weight == 0].any()


@pytest.mark.parametrize(("family", "config"), [e for e in EVERY if "class" not in e[1]], ids=str)
def test_standard_deviations_mean_something_whatever_the_loss(family: str, config: dict[str, str]) -> None:
    """Of errors with a standard deviation of 0.2, and of 0.8 px: below it the scale learns to grow, above it
    to shrink. (That of `kl` has the truth's own 0.05 on top.)"""
    g = torch.Generator().manual_seed(0)
    noise = (
        torch.empty(200).exponential_(generator=g) if family == "laplace" else torch.randn(200, generator=g)
    )
    noise = torch.cat([noise, -noise])
    typical = noise.abs().mean() if family == "laplace" else noise.square().mean().sqrt()
    error = 0.2 * noise / (typical * (math.sqrt(2) if family == "laplace" else 1.0))
    sides = torch.stack([16 + 4 * error, 8 + 4 * error, 16 - 4 * error, 8 - 4 * error])[None, :, None]
    one = torch.ones(1, 1, 1, 400)
    true = make_targets(truth([]), 3, Grid(1, 1))._replace(
        ltrb=sides, box_weight=one, distance_log=error.view_as(one), distance_weight=one,
        objects=torch.tensor(400.0), control=error[None], control_known=torch.ones(1, 400),
    )  # fmt: skip
    losses, per_scale = HeadLosses(config, family), math.sqrt(2) if family == "laplace" else 1.0

    def wants_more(factor: float) -> list[bool]:
        """For sides, distance and control, whether the loss falls as the scale grows."""
        log = math.log(factor * 0.2 / per_scale)
        scales = [torch.tensor(value, requires_grad=True) for value in (log + math.log(4), log, log)]
        predicted = perfect(SMALL, true)._replace(
            ltrb=torch.tensor([16.0, 8, 16, 8]).view(1, 4, 1, 1).expand_as(sides),
            ltrb_log_scale=scales[0].expand_as(sides),
            distance_log=torch.zeros_like(one),
            distance_log_scale=scales[1].expand_as(one),
            control=torch.zeros(1, 400),
            control_log_scale=scales[2].expand(1, 400),
        )
        found = losses(predicted, true)
        (found["box"] + found["distance"] + found["control"]).backward()
        return [float(s.grad) < 0 for s in scales if s.grad is not None]

    assert wants_more(0.97) == [True] * 3
    assert wants_more(1.12) == [False] * 3


def test_only_losses_that_are_no_likelihoods_say_that_they_stay_above_0() -> None:
    assert HeadLosses().signed == {"distance", "control"}
    assert HeadLosses({"distance": "kl"}).signed == {"control"}


def test_losses_of_parts_of_a_batch_add_up_to_those_of_the_whole() -> None:
    """As processes that share a batch do: each divides by the counts of all."""
    boxes = torch.tensor([[[10.0, 8, 60, 50], [70.0, 20, 90, 44]], [[20.0, 20, 40, 40], [0, 0, 1, 1.0]]])
    both = truth([])._replace(
        labels=torch.tensor([[0, 2], [1, -1]]), boxes=boxes,
        distance_m=torch.tensor([[3.0, 8.0], [5.0, 1.0]]),
        ignored=torch.zeros(2, 2, dtype=torch.bool), boxes_known=torch.ones(2),
        control=torch.tensor([[0.5, torch.nan], [0.1, 0.2]]),
    )  # fmt: skip
    predicted = lively_model(seed=3).dense(scene(SMALL, 2))
    true = make_targets(both, 3, Grid(H, W))
    losses = HeadLosses({"distance": "l1", "control": "kl", "box": "smooth_l1"})
    whole = losses(predicted, true)
    counts = (true.objects, true.distance_weight.sum(), true.control_known.sum())
    parts = []
    for row in range(2):
        totals = iter(counts)
        own = make_targets(type(both)(*(t[row : row + 1] for t in both)), 3, Grid(H, W))
        mine = DenseOutputs(*(v if isinstance(v, Pyramid) else v[row : row + 1] for v in predicted))
        parts.append(losses(mine, own, lambda count, totals=totals: next(totals)))  # type: ignore[misc]
    for head in HEADS:
        torch.testing.assert_close(parts[0][head] + parts[1][head], whole[head])


def test_the_loss_of_a_further_head_is_a_mean_over_the_samples_with_its_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(heads._registered, SPEED_LIMIT.name, SPEED_LIMIT)
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [9.0, 9.0, 9.0], [0.0, 0.0, 1.0]])
    limits = torch.tensor([[30.0], [80.0], [torch.nan], [50.0]])
    predicted = lively_model(seed=3).dense(scene(SMALL, 1))._replace(extra=(logits,))
    true = make_targets(truth([]), 3, Grid(H, W))._replace(extra=limits)
    found = HeadLosses(extra_heads=("speed_limit",))(predicted, true)
    right = (math.exp(2) / (math.exp(2) + 2), 1 / 3, 1 / (2 + math.e))
    assert found["speed_limit"].item() == pytest.approx(-sum(map(math.log, right)) / 3, rel=1e-5)
