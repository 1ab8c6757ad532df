"""Training in workers of a Ray cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from perception.errors import ConfigError, MissingExtraError
from perception.files import claimed_folder
from perception.training import TrainConfig, read_journal, to_yaml
from perception.training.ray_training import await_end_in, train_on_ray
from tests.training.conftest import small_config

ROOT = Path(__file__).resolve().parents[2]


def command(folder: Path, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perception_tools.cli", "train", "train.yaml", "--json", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **changed},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow  # a cluster and two processes that import torch: 60 s
def test_ray_trains_one_run_in_two_workers(street: Path, cache_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.train")
    config = small_config(street, cache_root, tmp_path / "run", schedule={"steps": 8})
    (tmp_path / "train.yaml").write_text(to_yaml(config))
    done = command(tmp_path, "--on", "ray", "--processes", "2")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["status"], document["steps"]) == ("clean", 8)
    lines = read_journal(tmp_path / "run")
    assert next(line for line in lines if line["kind"] == "begin")["processes"] == 2
    assert "step 8/8" in done.stderr
    assert (tmp_path / "run" / "best.safetensors").exists()
    assert not (tmp_path / "run" / ".ray").exists()


def test_a_batch_that_the_processes_cannot_share_is_refused_at_once(tmp_path: Path) -> None:
    config = TrainConfig.model_validate({"run": {"out": str(tmp_path)}, "schedule": {"batch": 3}})
    with pytest.raises(ConfigError, match="expected a multiple of 2 processes, found 3"):
        train_on_ray(config, processes=2)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"train --on ray needs the extra 'ray'"):
        train_on_ray(TrainConfig.model_validate({"run": {"out": str(tmp_path)}}))


def test_a_process_that_replaces_a_lost_one_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with ExitStack() as lost:
        lost.enter_context(claimed_folder(tmp_path))

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                lost.close()

        monkeypatch.setattr("perception.training.ray_training.time.sleep", sleep)
        await_end_in(tmp_path)
    assert len(waits) == 2
