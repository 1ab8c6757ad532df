"""Each loss against an independent reference: another library, the definition as an integral, or by hand."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from perception.training.losses.beta_nll import beta_nll
from perception.training.losses.box_sides import smooth_l1_sides, squared_sides
from perception.training.losses.cross_entropy import cross_entropy
from perception.training.losses.divergence import gaussian_kl, kl_of_truth, laplace_kl
from perception.training.losses.focal import focal
from perception.training.losses.gaussian_focal import gaussian_focal
from perception.training.losses.giou import giou_loss
from perception.training.losses.likelihoods import gaussian_nll, laplace_nll
from perception.training.losses.methods import BOX, CLASS, VALUE, WEIGHTS, LossMethod
from perception.types import load_named

LOGITS = torch.linspace(-6, 6, 25)[:, None].expand(25, 9)
SOFT = torch.tensor([0.0, 1e-4, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1.0]).expand(25, 9)
number = st.floats(-5, 5, allow_nan=False)
log_scale = st.floats(-3, 3, allow_nan=False)
side = st.floats(0.5, 60, allow_nan=False)


def column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[None, :, None, None]


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 0.0), (0.5, 1.5)])
def test_focal_is_torchvisions(alpha: float, gamma: float) -> None:
    from torchvision.ops import sigmoid_focal_loss

    expected = sigmoid_focal_loss(LOGITS, SOFT, alpha, gamma)
    torch.testing.assert_close(focal(LOGITS, SOFT, alpha, gamma), expected)


def test_focal_without_focus_is_half_the_cross_entropy() -> None:
    torch.testing.assert_close(focal(LOGITS, SOFT, 0.5, 0.0), cross_entropy(LOGITS, SOFT) / 2)


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_cross_entropy_is_that_of_torch(weight: float) -> None:
    expected = F.binary_cross_entropy_with_logits(
        LOGITS, SOFT, pos_weight=torch.tensor(weight), reduction="none"
    )
    torch.testing.assert_close(cross_entropy(LOGITS, SOFT, weight), expected)


@pytest.mark.parametrize("loss", [gaussian_focal, focal, cross_entropy])
def test_a_class_loss_falls_as_the_score_rises_on_a_peak_and_as_it_sinks_beside_one(loss: object) -> None:
    logits = torch.linspace(-8, 8, 33)
    on = loss(logits, torch.ones(33))  # type: ignore[operator]
    off = loss(logits, torch.zeros(33))  # type: ignore[operator]
    assert bool((on.diff() < 0).all())
    assert bool((off.diff() > 0).all())
    assert float(on[-1]) < 1e-2


@pytest.mark.parametrize("loss", [gaussian_focal, focal, cross_entropy])
def test_class_losses_of_extreme_logits_are_finite_and_so_are_their_gradients(loss: object) -> None:
    logits = torch.tensor([-80.0, -20, 0, 20, 80]).repeat(3, 1).requires_grad_()
    heatmap = torch.tensor([[0.0], [0.5], [1.0]]).expand(3, 5)
    loss(logits, heatmap).sum().backward()  # type: ignore[operator]
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@given(st.tuples(side, side, side, side), st.tuples(side, side, side, side))
def test_giou_is_torchvisions(predicted: tuple[float, ...], true: tuple[float, ...]) -> None:
    from torchvision.ops import generalized_box_iou_loss

    def corners(sides: tuple[float, ...]) -> Tensor:
        left, top, right, bottom = sides
        return torch.tensor([[-left, -top, right, bottom]], dtype=torch.float64)

    expected = generalized_box_iou_loss(corners(predicted), corners(true))
    assert float(giou_loss(column(predicted), column(true))) == pytest.approx(float(expected), abs=1e-6)


@given(st.tuples(side, side, side, side), st.tuples(side, side, side, side))
def test_sides_are_compared_in_parts_of_the_true_box(
    predicted: tuple[float, ...], true: tuple[float, ...]
) -> None:
    width, height = max(true[0] + true[2], 1.0), max(true[1] + true[3], 1.0)
    errors = [(a - b) / size for a, b, size in zip(predicted, true, (width, height) * 2, strict=True)]
    smooth = sum(0.5 * e * e / 0.2 if abs(e) < 0.2 else abs(e) - 0.1 for e in errors)
    assert float(smooth_l1_sides(column(predicted), column(true), 0.2)) == pytest.approx(smooth, rel=1e-6)
    squares = sum(e * e for e in errors)
    assert float(squared_sides(column(predicted), column(true))) == pytest.approx(squares, rel=1e-6)


@given(st.tuples(side, side, side, side), st.tuples(side, side, side, side), st.floats(1.0, 8.0))
def test_no_box_loss_depends_on_the_size_of_the_image(
    predicted: tuple[float, ...], true: tuple[float, ...], zoom: float
) -> None:
    for loss in (giou_loss, smooth_l1_sides, squared_sides):
        small, large = (
            loss(column(predicted), column(true)),
            loss(zoom * column(predicted), zoom * column(true)),
        )
        assert float(small) == pytest.approx(float(large), rel=1e-6)


@given(number, log_scale, number)
def test_likelihoods_are_those_of_torch_but_for_a_constant(mean: float, log: float, true: float) -> None:
    m, s, y = (torch.tensor([x], dtype=torch.float64) for x in (mean, log, true))
    laplace = -torch.distributions.Laplace(m, s.exp()).log_prob(y) - math.log(2)
    torch.testing.assert_close(laplace_nll(m, s, y), laplace)
    gaussian = torch.nn.GaussianNLLLoss(reduction="none", eps=1e-12)(m, y, (2 * s).exp())
    torch.testing.assert_close(gaussian_nll(m, s, y), gaussian)


@given(number, log_scale, number, st.floats(0, 1))
def test_beta_nll_is_the_likelihood_times_a_power_of_the_variance(
    mean: float, log: float, true: float, beta: float
) -> None:
    m, s, y = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (mean, log, true))
    variance = (2 * s).exp()
    nll = 0.5 * ((y - m) ** 2 / variance + variance.log())
    expected = nll * variance.detach() ** beta
    found = beta_nll(m, s, y, beta)
    torch.testing.assert_close(found, expected)
    for mine, theirs in zip(
        torch.autograd.grad(found, (m, s)), torch.autograd.grad(expected, (m, s)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@given(number, log_scale, number)
def test_with_beta_1_the_mean_learns_as_by_the_squared_error(mean: float, log: float, true: float) -> None:
    m = torch.tensor([mean], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(beta_nll(m, torch.tensor([log]), torch.tensor([true]), 1.0), m)
    torch.testing.assert_close(gradient, m.detach() - true, rtol=1e-5, atol=1e-6)


@given(number, log_scale, number, log_scale)
@settings(max_examples=25)
def test_divergences_are_the_integrals_that_define_them(
    mean: float, log: float, target: float, target_log: float
) -> None:
    """`integral p log(p / q)` by the trapezoid rule over 60 scales of p, with a knot at each kink."""
    reach = 60 * math.exp(target_log)
    x = np.union1d(np.linspace(target - reach, target + reach, 40001), [target, mean])
    given_as = [torch.tensor([v], dtype=torch.float64) for v in (mean, log, target, target_log)]
    for kl, power, norm in ((laplace_kl, 1, math.log(2)), (gaussian_kl, 2, math.log(2 * math.pi) / 2)):
        log_p = -((np.abs(x - target) / math.exp(target_log)) ** power) / power - target_log - norm
        log_q = -((np.abs(x - mean) / math.exp(log)) ** power) / power - log - norm
        integral = np.trapezoid(np.exp(log_p) * (log_p - log_q), x)
        assert float(kl(*given_as)) == pytest.approx(integral, rel=2e-4, abs=2e-4)


@given(number, log_scale, number, log_scale)
def test_divergences_are_those_of_torch_and_never_below_0(
    mean: float, log: float, target: float, target_log: float
) -> None:
    m, s, y, t = (torch.tensor([v], dtype=torch.float64) for v in (mean, log, target, target_log))
    for kl, kind in ((laplace_kl, torch.distributions.Laplace), (gaussian_kl, torch.distributions.Normal)):
        expected = torch.distributions.kl_divergence(kind(y, t.exp()), kind(m, s.exp()))
        torch.testing.assert_close(kl(m, s, y, t), expected)
        assert float(kl(m, s, y, t)) >= -1e-12
        assert abs(float(kl(y, t, y, t))) < 1e-12


@pytest.mark.parametrize(("family", "nll"), [("laplace", laplace_nll), ("gaussian", gaussian_nll)])
def test_against_narrow_truth_the_divergence_is_the_likelihood(family: str, nll: object) -> None:
    m, y = torch.linspace(-2, 2, 9, dtype=torch.float64), torch.zeros(9, dtype=torch.float64)
    s = torch.linspace(-1, 1, 9, dtype=torch.float64)
    difference = kl_of_truth(family, m, s, y, 1e-4) - nll(m, s, y)  # type: ignore[operator]
    torch.testing.assert_close(difference, difference[:1].expand(9), rtol=0, atol=1e-3)


@pytest.mark.parametrize("family", ["laplace", "gaussian"])
def test_truth_of_a_known_spread_is_best_matched_by_that_spread(family: str) -> None:
    log = torch.linspace(-4, 2, 6001, dtype=torch.float64)
    loss = kl_of_truth(family, torch.zeros_like(log), log, torch.zeros_like(log), 0.3)
    best = float(log[loss.argmin()].exp()) * (math.sqrt(2) if family == "laplace" else 1.0)
    assert best == pytest.approx(0.3, rel=2e-3)
    assert abs(float(loss.min())) < 1e-6


@pytest.mark.parametrize("table", [CLASS, BOX, {k: v for k, v in VALUE.items() if k != "kl"}])
def test_every_method_has_its_function_with_its_options(table: dict[str, LossMethod]) -> None:
    """And the function's own defaults are those of the options."""
    for method in table.values():
        parameters = inspect.signature(load_named(method.function)).parameters
        for key in method.options.keys() - set(WEIGHTS):
            assert parameters[key].default == method.options[key].default
