"""The optimiser: its arithmetic and its state are those of torch's AdamW."""

from __future__ import annotations

import torch

from perception.training.loop.optimiser import PlainAdamW


def test_it_is_the_optimiser_of_torch_bit_for_bit() -> None:
    ends = []
    for kind in (PlainAdamW, torch.optim.AdamW):
        weights = [torch.linspace(-1, 1, 6).reshape(2, 3), torch.ones(2)]
        for weight in weights:
            weight.requires_grad_()
        groups = [{"params": weights[:1], "lr": 0.1, "weight_decay": 0.05}, {"params": weights[1:]}]
        optimiser = kind(groups, lr=0.01, betas=(0.9, 0.98), fused=True)
        for step in range(6):
            if step == 3:  # resumed
                state = optimiser.state_dict()
                optimiser = kind(groups, lr=0.01, betas=(0.9, 0.98), fused=True)
                optimiser.load_state_dict(state)
            optimiser.zero_grad()
            assert weights[0].grad is None
            (weights[0].pow(3).sum() + weights[1].exp().sum() * step).backward()
            optimiser.step()
        ends.append((weights, optimiser.state_dict()))
    (weights, state), (expected, expected_state) = ends
    assert all(torch.equal(a, b) for a, b in zip(weights, expected, strict=True))
    assert state["param_groups"] == expected_state["param_groups"]
    for index, moments in expected_state["state"].items():
        assert all(torch.equal(state["state"][index][name], value) for name, value in moments.items())
