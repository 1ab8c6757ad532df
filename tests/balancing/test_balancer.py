"""Each method weighs the heads as its paper says, and remembers what it needs."""

from __future__ import annotations

import math

import pytest
import torch

from perception.balancing import make_balancer
from perception.balancing.dwa import PERIOD, TEMPERATURE
from perception.balancing.gradients import NAMES
from perception.errors import ConfigError

HEADS = ("class", "box", "distance", "control")


def gradients(method: str, **options: object) -> dict[str, float]:
    """Of a loss of value 2 for each head, with regard to a factor on it."""
    factors = {head: torch.ones((), requires_grad=True) for head in HEADS}
    make_balancer({"method": method, **options}).backward({h: 2 * f for h, f in factors.items()})
    return {head: float(f.grad) for head, f in factors.items() if f.grad is not None}


@pytest.mark.parametrize("method", ["static", "uncertainty", "dwa"])
def test_every_method_starts_with_equal_weights(method: str) -> None:
    assert gradients(method) == pytest.approx(dict.fromkeys(HEADS, 2.0))


def test_fixed_weights_multiply() -> None:
    found = gradients("static", weights={"box": 3.0, "control": 0})
    assert found == {"class": 2.0, "box": 6.0, "distance": 2.0, "control": 0.0}


def test_uncertainty_learns_the_logarithm_of_each_loss() -> None:
    """`exp(-s) L + s` is least at `s = log L`: every head then weighs 1 / L."""
    balancer = make_balancer({"method": "uncertainty"})
    values = {"class": 4.0, "box": 0.5, "distance": 10.0, "control": 1.0}
    optimiser = torch.optim.Adam(balancer.parameters(), lr=0.05)
    for _ in range(600):
        optimiser.zero_grad()
        balancer.backward({head: torch.tensor(value) for head, value in values.items()})
        optimiser.step()
    assert balancer.weights() == pytest.approx({head: 1 / value for head, value in values.items()}, rel=1e-2)


def test_the_head_that_falls_slowest_weighs_most_and_weights_sum_to_their_number() -> None:
    balancer = make_balancer({"method": "dwa"})
    for step in range(2 * PERIOD):
        late = step >= PERIOD
        balancer.observe(
            {"class": 1.0 if late else 4.0, "box": 2.0, "distance": 3.0 if late else 2.0, "control": 1.0}
        )
    weights = balancer.weights()
    assert sum(weights.values()) == pytest.approx(4)
    assert weights["box"] == pytest.approx(weights["control"])
    assert weights["distance"] > weights["box"] > weights["class"]
    ratio = (math.exp((3 - 2) / 2.5) - 1) / TEMPERATURE
    assert weights["distance"] / weights["box"] == pytest.approx(math.exp(ratio))


def test_a_head_that_was_left_out_does_not_spoil_the_others() -> None:
    balancer = make_balancer({"method": "dwa"})
    for step in range(2 * PERIOD):
        balancer.observe({"class": 2.0 if step < PERIOD else 1.0, "box": 1.0})
    assert all(math.isfinite(weight) for weight in balancer.weights().values())
    assert balancer.weights()["control"] == pytest.approx(balancer.weights()["box"])


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"method": "pcgard"}, r"balancing\.method: expected one of .*static.*, found 'pcgard'"),
        ({"weights": {"boxes": 1}}, r"balancing\.weights: expected class"),
        ({"weights": {"box": -1}}, r"balancing\.weights"),
        ({"wieghts": {}}, r"balancing\.wieghts: unknown key"),
    ],
)
def test_faults_are_named(config: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        make_balancer(config)


def combined(method: str, rows: list[list[float]]) -> list[float]:
    """What a method makes of gradients over one shared vector."""
    pytest.importorskip("torchjd")
    shared = torch.zeros(len(rows[0]), requires_grad=True)
    losses = {head: (shared * torch.tensor(row)).sum() for head, row in zip(HEADS, rows, strict=False)}
    make_balancer({"method": method}).backward(losses, [shared])
    assert shared.grad is not None
    found: list[float] = shared.grad.tolist()
    return found


def test_pcgrad_projects_conflicting_gradients_onto_each_others_normal_plane() -> None:
    """Of (1, 0) and (-1, 1): (1, 0) + 1/2 (-1, 1), and (-1, 1) + (1, 0)."""
    assert combined("pcgrad", [[1.0, 0.0], [-1.0, 1.0]]) == pytest.approx([0.5, 1.5], abs=1e-5)


def test_mgda_finds_the_shortest_vector_between_the_gradients() -> None:
    """The segment from (2, 0) to (0, 1) comes nearest to the origin at (2, 4) / 5."""
    assert combined("mgda", [[2.0, 0.0], [0.0, 1.0]]) == pytest.approx([0.4, 0.8], abs=2e-2)


@pytest.mark.parametrize("method", ["upgrad", "mgda", "pcgrad", "cagrad"])
def test_two_conflicting_heads_both_gain(method: str) -> None:
    rows = [[1.0, 0.0], [-0.6, 0.8]]
    step = combined(method, rows)
    assert all(sum(a * b for a, b in zip(step, row, strict=True)) > -1e-4 for row in rows)
    assert any(abs(x) > 1e-3 for x in step)


@pytest.mark.parametrize("method", sorted(set(NAMES) - {"nash"}))
def test_a_head_without_truth_does_not_stop_the_others(method: str) -> None:
    assert combined(method, [[1.0, 0.0], [0.0, 0.0]]) == [1.0, 0.0]
