"""Two processes train what one does with the same global batch."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import ConfigError
from perception.files import claimed_folder
from perception.models import FusionModel
from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.training import TrainConfig, read_journal, to_yaml, train
from perception.training.data.training_sample import FeatureBatch, SampleId
from perception.training.loop.process_group import ProcessGroup
from perception.training.loop.trainer import _split
from tests.forked_python import ForkedPython
from tests.training.conftest import SHAPE, small_config

SHARED: dict[str, dict[str, Any]] = {
    "schedule": {"steps": 2, "warmup_steps": 1, "validate_every": 1, "save_every": 2, "ema": 0.5},
    # With Adam a weight moves by its gradient's sign, however small: a tiny difference in summation may move
    # it by a whole step.
    "optimiser": {"lr": 1e-4},
}


def test_parts_of_a_batch_are_disjoint_and_whole() -> None:
    parts = [ProcessGroup(rank, 4).shard(8) for rank in range(4)]
    assert [i for part in parts for i in range(8)[part]] == list(range(8))
    with pytest.raises(ConfigError, match="multiple of 3 processes, found 8"):
        ProcessGroup(0, 3).shard(8)


@given(size=st.integers(1, 6), accumulate=st.integers(1, 6), batch=st.integers(1, 48))
def test_every_sample_of_a_batch_is_in_one_part_of_one_process_or_the_batch_is_refused(
    size: int, accumulate: int, batch: int
) -> None:
    """12 samples in two processes of four parts each: a sixth part of each would not be seen."""
    if batch % (size * accumulate):
        with pytest.raises(ConfigError, match=f"found {batch}"):
            ProcessGroup(0, size).shard(batch, accumulate)
        return
    found: list[object] = []
    for rank in range(size):
        own = np.arange(batch)[ProcessGroup(rank, size).shard(batch, accumulate)]
        ids = tuple(SampleId(0, int(row)) for row in own)
        rows = FeatureBatch(own[:, None].astype(np.float32), own[:, None].astype(np.float32), ids)
        found += [sample.row for part in _split(rows, accumulate) for sample in part.ids]
    assert found == list(range(batch))


def train_in_two_processes(python: ForkedPython, configs: Sequence[TrainConfig], tmp_path: Path) -> None:
    """One run after the other, as `torchrun` would, over gloo."""
    paths = []
    for index, config in enumerate(configs):
        paths.append(str(tmp_path / f"{index}.yaml"))
        Path(paths[-1]).write_text(to_yaml(config))
    ports = [free_port() for _ in configs]
    code = (
        "import os, sys\n"
        "from perception.training import load_train_config, train\n"
        "import perception.training.training_run\n"
        "child = os.fork()\n"
        "os.environ['RANK'] = str(int(child == 0))\n"
        f"for path, port in zip({paths!r}, {ports!r}):\n"
        "    os.environ['MASTER_PORT'] = port  # each run has a meeting place of its own\n"
        "    train(load_train_config(path))\n"
        "assert 'torch._dynamo' not in sys.modules  # which takes longer than to import torch\n"
        "assert not child or os.waitpid(child, 0)[1] == 0\n"
    )
    environment = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    done = python.run(program=code, env=environment)
    assert done.returncode == 0, done.stderr


def test_all_processes_are_told_that_the_folder_is_taken(
    street: Path, cache_root: Path, tmp_path: Path, forked_torch: ForkedPython
) -> None:
    """The first alone looks; before, the others lost it, and called that a bug."""
    config = small_config(street, cache_root, tmp_path / "run", **SHARED)
    config.run.out.mkdir()
    with claimed_folder(config.run.out), pytest.raises(AssertionError) as failure:
        train_in_two_processes(forked_torch, [config], tmp_path)
    assert str(failure.value).count("perception.errors.ConfigError") == 2
    assert str(failure.value).count(f"another program trains in {config.run.out}") == 2


@pytest.mark.parametrize(
    "names",
    [
        ("gradnorm",),
        # "pcgrad" draws at random, alike in each process.
        pytest.param(("uncertainty", "stored", "upgrad", "pcgrad"), marks=pytest.mark.slow),
    ],
    ids=["gradnorm", "others"],
)
def test_two_processes_end_with_the_weights_of_one(
    names: tuple[str, ...], street: Path, cache_root: Path, tmp_path: Path, forked_torch: ForkedPython
) -> None:
    """Heads balanced by their losses, by their gradients, and the control head alone from stored readings."""
    trunk = tmp_path / "trunk.safetensors"
    save_checkpoint(trunk, FusionModel(SHAPE, seed=3))
    frozen = [name for name, _ in FusionModel(SHAPE).named_children() if not name.startswith(("n", "d"))]
    frozen = [name for name in frozen if name != "control_head"] + ["control_head.reduce"]
    kinds: dict[str, dict[str, Any]] = {
        "uncertainty": {"balancing": {"method": "uncertainty"}},
        "gradnorm": {"balancing": {"method": "gradnorm"}},
        "stored": {"transfer": {"checkpoint": str(trunk), "freeze": frozen, "store": 2}},
    }
    if find_spec("torchjd") is not None:
        kinds |= {name: {"balancing": {"method": name}} for name in ("upgrad", "pcgrad")}
    kinds = {name: kind for name, kind in kinds.items() if name in names}

    def config(kind: str, by: str) -> TrainConfig:
        cache = tmp_path / f"cache-{by}" if kind == "stored" else cache_root
        return small_config(street, cache, tmp_path / f"{kind}-{by}", **SHARED, **kinds[kind])

    for kind in kinds:
        train(config(kind, "one"))
    train_in_two_processes(forked_torch, [config(kind, "two") for kind in kinds], tmp_path)
    for kind in kinds:
        assert_same_end(config(kind, "one").run.out, config(kind, "two").run.out)


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def assert_same_end(one: Path, two: Path) -> None:
    """The same losses, scores and weights, but for the order of sums."""
    losses = [[line for line in read_journal(out) if line["kind"] == "train"][-1] for out in (one, two)]
    taught = [name for name in losses[0] if name.startswith("loss/")]
    assert "loss/control" in taught
    for name in taught:
        assert losses[1][name] == pytest.approx(losses[0][name], rel=2e-3), (two, name)
    scores = [[line for line in read_journal(out) if line["kind"] == "validate"] for out in (one, two)]
    assert [line["step"] for line in scores[0]] == [line["step"] for line in scores[1]] == [1, 2]
    mine, theirs = (load_checkpoint(out / "last.safetensors")[0].state_dict() for out in (one, two))
    strays = 0
    for name, value in mine.items():
        learned = "running_" not in name
        moved = 2 * 1e-4 if learned else 2e-3 * float(value.abs().max().nan_to_num() + 1)
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=moved, equal_nan=True, msg=name)
        strays += int(((value - theirs[name]).abs() > 0.3 * moved).sum()) if learned else 0
    # A bias whose effect is normalised away has a gradient of rounding errors, and Adam goes by their signs.
    assert strays < 1e-3 * sum(value.numel() for value in mine.values())
