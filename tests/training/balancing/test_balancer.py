"""What all methods have in common: weights, faults, heads that a step leaves out, parts of a batch."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from perception.errors import ConfigError
from perception.training.balancing import make_balancer, resolve_balancing
from perception.training.balancing.options import METHODS
from perception.training.loop.state_file import load_state, save_state

HEADS = ("class", "box", "distance", "control")
OVER_MAPS = [name for name in METHODS if name not in ("static", "uncertainty", "dwa")]


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


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (
            {"method": "pcgard"},
            r"balancing\.method: expected one of .*static.*; found 'pcgard', did you mean pcgrad\?",
        ),
        ({"weights": {"boxes": 1}}, r"balancing\.weights\.boxes: no head is called so; did you mean box\?"),
        ({"weights": {"box": -1}}, r"balancing\.weights\.box: expected a number from 0, found -1"),
        ({"weights": 2}, r"balancing\.weights: expected head"),
        ({"wieghts": {}}, r"balancing\.wieghts: unknown option of static; did you mean weights\?"),
        ({"method": "gradnorm", "alhpa": 1}, r"balancing\.alhpa: .* did you mean alpha\?"),
        ({"method": "dwa", "period": 1.5}, r"balancing\.period: expected a whole number from 1, found 1\.5"),
        ({"method": ["dwa"]}, r"balancing\.method: expected one of"),
    ],
)
def test_faults_are_named(config: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        make_balancer(config)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_balancing({"method": "cagrad", "c": -1, "d": 2, "weights": {"box": "much", "cone": 1}})
    assert len(caught.value.errors) == 4


@pytest.mark.parametrize("method", OVER_MAPS)
def test_a_head_without_truth_does_not_stop_the_others(method: str) -> None:
    """Alone with a gradient, a head gets its own; without any, the shared maps get zeros."""
    if method != "gradnorm":
        pytest.importorskip("torchjd")
    shared = torch.zeros(2, requires_grad=True)
    for row, expected in (([1.0, 0.0], [1.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])):
        losses = {"class": (shared * torch.tensor(row)).sum() + 1, "box": shared.sum() * 0}
        balancer = make_balancer({"method": method})
        balancer.observe({head: float(loss.detach()) for head, loss in losses.items()})
        balancer.backward(losses, [shared])
        assert shared.grad is not None
        assert shared.grad.tolist() == expected


def test_a_variance_is_learned_from_the_whole_step_however_it_is_divided() -> None:
    """In four parts, or by four processes, the gradient of each `s` is that of the whole: `1 - exp(-s) L`."""
    whole, parts = (make_balancer({"method": "uncertainty"}) for _ in range(2))
    whole.backward({"box": torch.tensor(3.0)})
    for _ in range(4):
        parts.backward({"box": torch.tensor(3.0) / 4}, share=1 / 4)
    found = [dict(b.named_parameters())["log_variance.box"].grad for b in (whole, parts)]
    assert found == [torch.tensor(-2.0)] * 2


def test_a_variance_stays_where_the_batch_has_no_truth_for_its_head() -> None:
    balancer = make_balancer({"method": "uncertainty"})
    losses = {"box": torch.tensor(3.0), "control": torch.zeros((), requires_grad=True)}
    balancer.observe({head: float(loss.detach()) for head, loss in losses.items()})
    balancer.backward(losses)
    grads = {name: p.grad for name, p in balancer.named_parameters()}
    assert grads["log_variance.box"] == -2
    assert grads["log_variance.control"] == 0


@pytest.mark.parametrize("method", ["uncertainty", "dwa", "gradnorm"])
def test_what_a_method_remembers_is_kept_exactly(method: str, tmp_path: Path) -> None:
    """Stopped half way and read back from a file, its weights go on with the same bits."""
    config = {"method": method, **({"period": 4} if method == "dwa" else {})}
    whole, first, second = (make_balancer(config) for _ in range(3))
    optimisers = {
        id(b): torch.optim.SGD(b.parameters(), 0.1) for b in (whole, first, second) if method == "uncertainty"
    }

    def teach(balancer: torch.nn.Module, steps: range) -> None:
        for step in steps:
            shared = torch.ones(4, requires_grad=True)
            balancer.zero_grad()
            values = {h: (k + 1) / (1 + 0.3 * step * k) for k, h in enumerate(HEADS)}
            balancer.observe(values)  # type: ignore[operator]
            losses = {h: value * shared[k] for k, (h, value) in enumerate(values.items())}
            balancer.backward(losses, [shared])  # type: ignore[operator]
            if id(balancer) in optimisers:
                optimisers[id(balancer)].step()

    teach(whole, range(14))
    teach(first, range(6))
    save_state(tmp_path / "state", dict(first.state_dict()))
    second.load_state_dict(load_state(tmp_path / "state"))
    teach(second, range(6, 14))
    assert second.weights() == whole.weights()
    assert len(set(whole.weights().values())) == 4
    for one, other in zip(whole.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_weights_stay_finite_whatever_the_losses() -> None:
    for method in ("dwa", "gradnorm"):
        balancer = make_balancer(
            {"method": method, **({"period": 1} if method == "dwa" else {})}, ["control"]
        )
        for step in range(12):
            shared = torch.ones(3, requires_grad=True)
            values = {"class": 10.0 ** (3 - step), "box": math.nan, "control": 80.0 * (-1) ** step}
            balancer.observe(values)
            losses = {h: shared.sum() * (1e-6 if h == "class" else 1.0) for h in values}
            balancer.backward(losses, [shared])
        assert all(math.isfinite(weight) and weight > 0 for weight in balancer.weights().values())
        assert sum(balancer.weights().values()) == pytest.approx(4)
