"""Two processes train what one does with the same global batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from perception.checkpoint import load_checkpoint, save_checkpoint
from perception.errors import ConfigError
from perception.models import FusionModel
from perception.training import TrainConfig, read_journal, to_yaml, train
from perception.training.distributed import World
from tests.training.conftest import SHAPE, small_config

SHARED = {
    "schedule": {"steps": 4, "validate_every": 2, "ema": 0.5},
    # With Adam a weight moves by its gradient's sign, however small: a tiny difference in summation may move
    # it by a whole step.
    "optimiser": {"lr": 1e-4},
}


def test_parts_of_a_batch_are_disjoint_and_whole() -> None:
    parts = [World(rank, 4).part(8) for rank in range(4)]
    assert [i for part in parts for i in range(8)[part]] == list(range(8))
    with pytest.raises(ConfigError, match="multiple of 3 processes, found 8"):
        World(0, 3).part(8)


def train_in_two_processes(config: TrainConfig, tmp_path: Path) -> None:
    """As `torchrun` would, over gloo."""
    path = tmp_path / "two.yaml"
    path.write_text(to_yaml(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        f"from perception.training import load_train_config, train; train(load_train_config({str(path)!r}))"
    )
    base = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], env={**base, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


@pytest.mark.parametrize("method", ["uncertainty", "upgrad"])
def test_two_processes_end_with_the_weights_of_one(
    method: str, street: Path, cache_root: Path, tmp_path: Path
) -> None:
    if method == "upgrad":
        pytest.importorskip("torchjd")
    shared = {**SHARED, "balancing": {"method": method}}
    one = small_config(street, cache_root, tmp_path / "one", **shared)  # type: ignore[arg-type]
    two = small_config(street, cache_root, tmp_path / "two", **shared)  # type: ignore[arg-type]
    train(one)
    train_in_two_processes(two, tmp_path)
    losses = [[line for line in read_journal(c.run.out) if line["kind"] == "train"][-1] for c in (one, two)]
    for head in ("class", "box", "distance", "control"):
        assert losses[1][f"loss/{head}"] == pytest.approx(losses[0][f"loss/{head}"], rel=2e-3)
    scores = [[line for line in read_journal(c.run.out) if line["kind"] == "validate"] for c in (one, two)]
    assert [line["step"] for line in scores[0]] == [line["step"] for line in scores[1]] == [2, 4]
    mine, theirs = (load_checkpoint(c.run.out / "last.safetensors")[0].state_dict() for c in (one, two))
    strays = 0
    for name, value in mine.items():
        learned = "running_" not in name
        moved = 4 * 1e-4 if learned else 2e-3 * float(value.abs().max().nan_to_num() + 1)
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=moved, equal_nan=True, msg=name)
        strays += int(((value - theirs[name]).abs() > 0.3 * moved).sum()) if learned else 0
    # A bias whose effect is normalised away has a gradient of rounding errors, and Adam goes by their signs.
    assert strays < 1e-3 * sum(value.numel() for value in mine.values())


def test_two_processes_learn_from_stored_readings_what_one_does(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    trunk = tmp_path / "trunk.safetensors"
    save_checkpoint(trunk, FusionModel(SHAPE, seed=3))
    frozen = [name for name, _ in FusionModel(SHAPE).named_children() if not name.startswith(("n", "d"))]
    frozen = [name for name in frozen if name != "control_head"] + ["control_head.reduce"]

    def config(name: str) -> TrainConfig:
        transfer = {"checkpoint": str(trunk), "freeze": frozen, "store": 2}
        data = {"cache": str(tmp_path / f"{name}-cache")}
        return small_config(street, cache_root, tmp_path / name, **SHARED, transfer=transfer, data=data)  # type: ignore[arg-type]

    train(config("one"))
    train_in_two_processes(config("two"), tmp_path)
    one, two = (
        load_checkpoint(tmp_path / name / "last.safetensors")[0].state_dict() for name in ("one", "two")
    )
    start = load_checkpoint(trunk)[0].state_dict()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=0, atol=1e-5, equal_nan=True, msg=name)
        if name.startswith(("control_head.hidden", "control_head.predict")):
            assert not torch.equal(value, start[name])
