"""Each method against its paper's definition, on problems whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from perception.training.balancing import make_balancer

HEADS = ("class", "box", "distance", "control")
angle = st.floats(0, 2 * math.pi, allow_nan=False)
length = st.floats(0.1, 10, allow_nan=False)


def combined(method: str, rows: list[list[float]], scale: float = 1.0, **options: float) -> Tensor:
    """What a method makes of gradients over one shared vector."""
    pytest.importorskip("torchjd")
    shared = torch.zeros(len(rows[0]), requires_grad=True)
    losses = {h: (shared * scale * torch.tensor(row)).sum() for h, row in zip(HEADS, rows, strict=False)}
    make_balancer({"method": method, **options}).backward(losses, [shared])
    assert shared.grad is not None
    return shared.grad / scale


def arrow(angle: float, length: float) -> list[float]:
    return [length * math.cos(angle), length * math.sin(angle)]


def random_rows(seed: int, heads: int, size: int = 6) -> list[list[float]]:
    found: list[list[float]] = np.random.default_rng(seed).normal(size=(heads, size)).tolist()
    return found


def test_pcgrad_projects_conflicting_gradients_onto_each_others_normal_plane() -> None:
    """Of (1, 0) and (-1, 1): (1, 0) + 1/2 (-1, 1), and (-1, 1) + (1, 0)."""
    assert combined("pcgrad", [[1.0, 0.0], [-1.0, 1.0]]).tolist() == pytest.approx([0.5, 1.5], abs=1e-5)


@pytest.mark.parametrize("method", ["pcgrad", "upgrad"])
def test_gradients_without_conflict_are_added_or_averaged(method: str) -> None:
    rows = [[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [0.0, 0.0, 3.0]]
    expected = np.sum(rows, 0) / (3 if method == "upgrad" else 1)
    assert combined(method, rows).tolist() == pytest.approx(expected.tolist(), abs=1e-3)


@given(angle, length, angle, length)
@settings(max_examples=25, deadline=None)
def test_mgda_finds_the_shortest_vector_between_two_gradients(a: float, m: float, b: float, n: float) -> None:
    """In closed form (Sener and Koltun 2018, equation 4)."""
    one, other = np.array(arrow(a, m)), np.array(arrow(b, n))
    apart = float((one - other) @ (one - other))
    part = 0.5 if apart == 0 else np.clip((other - one) @ other / apart, 0, 1)
    expected = part * one + (1 - part) * other
    found = combined("mgda", [one.tolist(), other.tolist()]).numpy()
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected), abs=0.02 * max(m, n))


def test_mgda_of_known_gradients() -> None:
    """The segment from (2, 0) to (0, 1) comes nearest to the origin at (2, 4) / 5."""
    assert combined("mgda", [[2.0, 0.0], [0.0, 1.0]]).tolist() == pytest.approx([0.4, 0.8], abs=2e-2)


@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
def test_cagrad_is_best_for_the_worst_head_in_a_ball_around_the_mean(c: float) -> None:
    """`max over d of min_i g_i d, |d - g0| <= c |g0|` (equation 1), against a fine grid of the ball."""
    rows = np.array([[1.0, 0.2], [-0.6, 0.9], [0.3, -0.1]])
    mean = rows.mean(0)
    radius = c * float(np.linalg.norm(mean))
    found = combined("cagrad", rows.tolist(), c=c).numpy()
    assert np.linalg.norm(found - mean) <= radius * (1 + 1e-3)
    turns = np.linspace(0, 2 * math.pi, 2000)
    parts = np.linspace(0, 1, 100)[:, None, None]
    grid = mean + parts * radius * np.stack([np.cos(turns), np.sin(turns)], -1)
    best = (grid @ rows.T).min(-1).max()
    assert (rows @ found).min() == pytest.approx(best, abs=2e-3)


def test_cagrad_without_a_ball_is_the_mean() -> None:
    rows = random_rows(3, 4)
    torch.testing.assert_close(
        combined("cagrad", rows, c=0.0), torch.tensor(rows).mean(0), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("seed", range(4))
def test_upgrad_is_the_mean_of_gradients_projected_onto_the_dual_cone(seed: int) -> None:
    """The projection of g is `g + J^T v` with the v >= 0 that makes it shortest: by another program."""
    nnls = pytest.importorskip("scipy.optimize").nnls
    rows = np.array(random_rows(seed, 4, 5))
    projected = [row + rows.T @ nnls(rows.T, -row)[0] for row in rows]
    found = combined("upgrad", rows.tolist()).numpy()
    np.testing.assert_allclose(found, np.mean(projected, 0), atol=5e-3)
    assert (rows @ found > -5e-3).all()


@given(angle, length, angle, length)
@settings(max_examples=10, deadline=None)
def test_nash_of_two_heads_lies_between_their_directions(a: float, m: float, b: float, n: float) -> None:
    """`J J^T w = 1 / w` (Navon et al. 2022, claim 3.1) has for two heads weights of 1 / |g|."""
    one, other = np.array(arrow(a, m)), np.array(arrow(b, n))
    expected = one / m + other / n
    if np.linalg.norm(expected) < 0.1:  # nearly opposite: there is nothing to agree on
        return
    found = combined("nash", [one.tolist(), other.tolist()]).numpy()
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_nash_of_more_heads_solves_the_bargain(seed: int) -> None:
    """Every head's gain, `g d`, is the reciprocal of its weight, up to one factor."""
    rows = np.array(random_rows(seed, 3, 8))
    found = combined("nash", rows.tolist()).numpy()
    weight = np.linalg.lstsq(rows.T, found, rcond=None)[0]
    assert (weight > 0).all()
    product = weight * (rows @ found)
    np.testing.assert_allclose(product, product.mean(), rtol=0.02)


@pytest.mark.parametrize("method", ["upgrad", "mgda", "pcgrad", "cagrad", "nash"])
def test_two_conflicting_heads_both_gain_however_small_their_gradients(method: str) -> None:
    rows = [[1.0, 0.0], [-0.6, 0.8]]
    step = combined(method, rows)
    assert all(sum(a * b for a, b in zip(step.tolist(), row, strict=True)) > -1e-4 for row in rows)
    assert bool((step.abs() > 1e-3).any())
    torch.testing.assert_close(combined(method, rows, scale=1e-5), step, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["upgrad", "mgda", "pcgrad", "cagrad", "nash"])
def test_gradients_that_are_no_numbers_are_handed_on(method: str) -> None:
    """Whoever takes the step refuses it; the aggregator does not end the run."""
    assert not bool(combined(method, [[math.nan, 1.0], [1.0, 1.0]]).isfinite().all())


@pytest.mark.parametrize("method", ["upgrad", "pcgrad", "cagrad", "nash"])
def test_a_head_with_a_tiny_gradient_does_not_stop_the_rest(method: str) -> None:
    step = combined(method, [[1.0, 0.0], [1e-5, 1e-5]])
    assert float(step[0]) > 0.4


@pytest.mark.parametrize("method", ["upgrad", "mgda", "pcgrad", "cagrad", "nash"])
def test_parts_of_a_batch_in_several_processes_are_weighed_as_the_whole(method: str) -> None:
    """Each holds some columns of all gradients; one of them has no truth for the last head."""
    rows = torch.tensor(random_rows(5, 4, 6))
    rows[3, 3:] = 0
    torch.manual_seed(0)  # PCGrad draws an order
    whole = combined(method, rows.tolist())
    parts = rows[:, :3], rows[:, 3:]
    for part, expected in zip(parts, whole.split(3), strict=True):
        balancer = make_balancer({"method": method})
        balancer.total = lambda mine: sum(p @ p.T for p in parts) + 0 * mine
        shared = torch.zeros(3, requires_grad=True)
        torch.manual_seed(0)
        balancer.backward({h: (shared * row).sum() for h, row in zip(HEADS, part, strict=True)}, [shared])
        torch.testing.assert_close(shared.grad, expected, rtol=1e-4, atol=1e-4)


def test_uncertainty_learns_the_logarithm_of_each_loss() -> None:
    """`exp(-s) L + s` is least at `s = log L`, so that sigma^2 = L: every head then weighs 1 / L."""
    balancer = make_balancer({"method": "uncertainty"})
    values = {"class": 4.0, "box": 0.5, "distance": 10.0, "control": 1.0}
    optimiser = torch.optim.Adam(balancer.parameters(), lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        balancer.backward({head: torch.tensor(value) for head, value in values.items()})
        optimiser.step()
    assert balancer.weights() == pytest.approx({head: 1 / value for head, value in values.items()}, rel=1e-2)


@given(st.lists(st.lists(st.floats(0.05, 5), min_size=4, max_size=4), min_size=2, max_size=4))
@settings(max_examples=25, deadline=None)
def test_dwa_of_losses_above_0_is_torchjds(epochs: list[list[float]]) -> None:
    """`K exp(w / T) / sum exp(w / T)`, `w` the ratio of the last two epochs' means (equation 7)."""
    reference = pytest.importorskip("torchjd.scalarization").DWA(2.0)
    balancer = make_balancer({"method": "dwa", "period": 3})
    for values in epochs:
        for wobble in (0.9, 1.0, 1.1):
            reference(torch.tensor(values) * wobble)
            balancer.observe(dict(zip(HEADS, (v * wobble for v in values), strict=True)))
        reference.step()
    factors = torch.zeros(4, requires_grad=True)
    reference(1 + factors).backward()
    assert factors.grad is not None
    assert list(balancer.weights().values()) == pytest.approx(factors.grad.tolist(), rel=1e-4)


def test_a_period_of_dwa_is_so_many_steps_whatever_parts_a_batch_has() -> None:
    """Two parts of each of four steps weigh as four steps of the mean of both."""
    whole, parts = (make_balancer({"method": "dwa", "period": 2}) for _ in range(2))
    parts.parts = 2
    for step in range(4):
        loss = {"class": 3.0 / (1 + step), "box": 2.0}
        whole.observe(loss)
        for share in (0.8, 1.2):
            parts.observe({head: share * value for head, value in loss.items()})
    assert parts.weights() == pytest.approx(whole.weights())
    assert whole.weights()["class"] < 1 < whole.weights()["box"]


def test_dwa_of_likelihoods_goes_by_how_much_the_errors_shrank() -> None:
    """A likelihood that falls by log 2 counts as a loss that is halved, below 0 too."""
    balancer = make_balancer({"method": "dwa", "period": 1}, ["distance"])
    balancer.observe({"class": 1.0, "box": 3.0, "distance": -1.0, "control": 0.4})
    balancer.observe({"class": 0.5, "box": 3.0, "distance": -1.0 - math.log(2), "control": 0.4})
    weights = balancer.weights()
    assert weights["class"] == pytest.approx(weights["distance"])
    assert weights["box"] / weights["class"] == pytest.approx(math.exp((1 - 0.5) / 2))


def test_dwa_knows_nothing_of_heads_that_were_left_out() -> None:
    balancer = make_balancer({"method": "dwa", "period": 2})
    for step in range(4):
        balancer.observe({"class": 2.0 if step < 2 else 1.0, "box": 1.0, "control": 0.0})
    weights = balancer.weights()
    assert weights["control"] == weights["distance"] == weights["box"] > weights["class"]
