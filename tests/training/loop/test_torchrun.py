"""The command that docs/training.md names for several processes, as it stands there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perception.training import read_journal, to_yaml
from tests.training.conftest import small_config

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow  # two processes import torch and train: 20 s of CPU
def test_torchrun_trains_one_run_in_two_processes(street: Path, cache_root: Path, tmp_path: Path) -> None:
    sections: dict[str, Any] = {"balancing": {"method": "gradnorm"}, "schedule": {"steps": 8}}
    config = small_config(street, cache_root, tmp_path / "run", **sections)
    (tmp_path / "train.yaml").write_text(to_yaml(config))
    page = (ROOT / "docs" / "training.md").read_text()
    launcher = "torchrun --nproc-per-node 2 -m perception_tools.cli train "
    assert launcher in page
    command = [sys.executable, "-m", "torch.distributed.run", *launcher.split()[1:], "train.yaml", "--json"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    documents = [json.loads(text) for text in done.stdout.replace("}\n{", "}\0{").split("\0")]
    assert [document["status"] for document in documents] == ["clean"]  # the first process alone answers
    assert (tmp_path / "run" / "best.safetensors").exists()
    lines = [line for line in read_journal(tmp_path / "run") if line["kind"] == "train"]
    assert lines[-1]["step"] == 8
