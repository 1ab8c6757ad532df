"""GradNorm: weighted gradients meet what the paper asks of them, and heads then learn at equal rates."""

from __future__ import annotations

import math

import pytest
import torch

from perception.training.balancing import make_balancer
from perception.training.balancing.gradnorm import GradNorm

HEADS = ("class", "box", "distance", "control")
SIZES = {"class": 8.0, "box": 0.5, "distance": 1.0, "control": 2.0}


def settled(
    alpha: float, left: dict[str, float], signed: tuple[str, ...] = (), steps: int = 350
) -> dict[str, float]:
    """Weights of heads whose gradients have the lengths `SIZES`, and of whose losses so much is left."""
    balancer = make_balancer({"method": "gradnorm", "alpha": alpha, "lr": 0.02}, signed)
    balancer.observe(dict.fromkeys(HEADS, 3.0))
    for _ in range(steps):
        shared = torch.zeros(4, requires_grad=True)
        balancer.observe(left)
        balancer.backward({h: SIZES[h] * shared[k] for k, h in enumerate(HEADS)}, [shared])
    assert sum(balancer.weights().values()) == pytest.approx(4)
    return balancer.weights()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
def test_weighted_gradients_go_by_the_rates(alpha: float) -> None:
    """At rest `w |g| = mean(w |g|) r^alpha` (equation 1), so w is r^alpha / |g|, with sum 4."""
    left = {"class": 3.0, "box": 1.5, "distance": 0.75, "control": 2.0}
    behind = {h: (left[h] / 3) ** alpha for h in HEADS}
    whole = sum(behind[h] / SIZES[h] for h in HEADS)
    expected = {h: 4 * behind[h] / SIZES[h] / whole for h in HEADS}
    assert settled(alpha, left) == pytest.approx(expected, rel=0.1, abs=0.02)


def test_a_likelihood_counts_by_how_much_its_errors_shrank() -> None:
    """Half of a loss, and a likelihood that fell by log 2, below 0 or not, are the same rate."""
    positive = dict.fromkeys(HEADS, 3.0) | {"control": 1.5}
    signed = dict.fromkeys(HEADS, 3.0) | {"control": 3.0 - math.log(2)}
    assert settled(1.5, positive, steps=50) == pytest.approx(settled(1.5, signed, ("control",), 50), rel=1e-6)


def descend(config: dict[str, object]) -> list[float]:
    """What is left of four losses of very different steepness after gradient descent on a shared vector."""
    balancer = make_balancer(config)
    x, goal = torch.zeros(4, 3), torch.ones(4, 3)
    steep = torch.tensor([30.0, 1.0, 3.0, 0.3])
    first = 1.5 * steep
    for _ in range(400):
        shared = x.clone().requires_grad_()
        each = steep * (shared - goal).square().sum(1) / 2
        losses = dict(zip(HEADS, each, strict=True))
        balancer.observe({head: float(loss.detach()) for head, loss in losses.items()})
        balancer.backward(losses, [shared])
        assert shared.grad is not None
        x = x - 0.003 * shared.grad
    return (each.detach() / first).tolist()


def test_heads_of_different_scale_learn_at_equal_rates_the_more_so_the_higher_alpha() -> None:
    def uneven(left: list[float]) -> float:
        return max(left) / min(left)

    fixed = descend({"method": "static"})
    low, high = (descend({"method": "gradnorm", "alpha": alpha, "lr": 0.05}) for alpha in (0.5, 3.0))
    assert uneven(fixed) > 1000
    assert uneven(low) < 6
    assert uneven(high) < 1.3
    assert max(high) < 0.5 * max(fixed)


def test_the_shared_gradient_is_the_weighted_sum_and_heads_own_parameters_get_their_weighted_share() -> None:
    balancer = make_balancer({"method": "gradnorm", "weights": {"box": 2.0}})
    shared, own = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    losses = {"class": 3 * shared[0] * own[0], "box": 5 * shared[1] * own[1]}
    balancer.observe({"class": 3.0, "box": 5.0})
    balancer.backward(losses, [shared])
    assert shared.grad is not None
    assert own.grad is not None
    assert shared.grad.tolist() == [3.0, 10.0]
    assert own.grad.tolist() == [3.0, 10.0]


def test_a_head_that_a_step_leaves_out_keeps_its_weight() -> None:
    balancer = make_balancer({"method": "gradnorm"})
    assert isinstance(balancer, GradNorm)
    shared = torch.zeros(4, requires_grad=True)

    def step(heads: tuple[str, ...], idle: tuple[str, ...] = ()) -> None:
        losses = {h: (0 if h in idle else SIZES[h]) * shared[HEADS.index(h)] for h in heads}
        balancer.observe({h: 0.0 if h in idle else 1.0 for h in heads})
        balancer.backward(losses, [shared])

    step(HEADS)
    before = balancer.weights()
    step(("class", "box"))
    step(("class", "box", "control"), idle=("control",))
    after = balancer.weights()
    assert (after["distance"], after["control"]) == (before["distance"], before["control"])
    assert after["class"] < before["class"]
    assert after["box"] > before["box"]
    assert sum(after.values()) == pytest.approx(4)
    again = balancer.state_dict()
    step(("distance",))  # alone there is nothing to compare
    assert all(torch.equal(a, b) for a, b in zip(again.values(), balancer.state_dict().values(), strict=True))


def test_gradients_that_are_no_numbers_leave_the_weights_as_they_are() -> None:
    balancer = make_balancer({"method": "gradnorm"})
    shared = torch.zeros(2, requires_grad=True)
    balancer.observe({"class": 1.0, "box": 1.0})
    balancer.backward({"class": shared[0] * torch.nan, "box": shared[1] * 3}, [shared])
    assert balancer.weights() == dict.fromkeys(HEADS, 1.0)
