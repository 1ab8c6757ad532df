"""Cosines of the heads' gradients: known answers, and measuring changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from perception.models.checkpoint import load_checkpoint
from perception.training import train
from perception.training.ablation.gradient_courses import (
    FILE,
    PAIRS,
    conflicts,
    mean_course,
    mean_norms,
    read_course,
)
from perception.training.ablation.gradient_probe import Probe, cosine, describe
from tests.training.conftest import small_config


def test_cosines_of_known_vectors() -> None:
    x, y = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 2.0])
    assert cosine(x, y) == 0.0
    assert cosine(x, 7 * x) == 1.0
    assert cosine(x, -x) == -1.0
    assert cosine(x, x + 3 / 2 * y) == pytest.approx(0.5**0.5)
    tiny = torch.tensor([1e-30, 1e-30])
    assert cosine(tiny, x) == pytest.approx(0.5**0.5)  # gradients over maps are small


def test_heads_without_a_gradient_are_in_no_pair() -> None:
    found = describe({"class": torch.tensor([1.0, 0.0]), "control": torch.tensor([0.0, 4.0])})
    assert found == {"cosine": {"class-control": 0.0}, "norm": {"class": 1.0, "control": 4.0}}


def test_courses_of_two_seeds_are_summed_up() -> None:
    def entry(step: int, value: float) -> dict[str, object]:
        return {"step": step, "cosine": {"class-box": value}, "norm": {"class": 1.0, "box": 3.0}}

    courses = [[entry(1, 0.5), entry(2, -0.1)], [entry(1, 0.3), entry(2, 0.1)]]
    assert conflicts(courses) == {
        "class-box": {"mean": pytest.approx(0.2), "low": pytest.approx(0.2), "high": pytest.approx(0.2),
                      "share": 0.25}
    }  # fmt: skip
    assert mean_norms(courses) == {"class": 0.5, "box": 1.5}
    assert [e["cosine"]["class-box"] for e in mean_course(courses)] == pytest.approx([0.4, 0.0])
    assert conflicts([]) == {}


def test_a_course_survives_interruptions(tmp_path: Path) -> None:
    """Steps that were repeated count once, as they were last; a line cut short does not count."""
    lines = [{"step": 1, "norm": {}}, {"step": 2, "norm": {}}, {"step": 2, "norm": {"box": 1.0}}]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"step": 3, "no'
    (tmp_path / FILE).write_text(text)
    assert read_course(tmp_path) == [lines[0], lines[2]]
    assert read_course(tmp_path / "nowhere") == []


def test_measuring_changes_no_bit_of_a_run(street: Path, cache_root: Path, tmp_path: Path) -> None:
    schedule = {"steps": 4, "validate_every": 4, "save_every": 4, "warmup_steps": 1}
    runs = [
        small_config(street, cache_root, tmp_path / name, schedule=schedule) for name in ("plain", "seen")
    ]
    train(runs[0])
    train(runs[1], probe=Probe(tmp_path / "seen", every=2, samples=4))
    weights = [load_checkpoint(run.run.out / "last.safetensors")[0].state_dict() for run in runs]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert tensor.numpy().tobytes() == weights[1][name].numpy().tobytes(), name
    course = read_course(tmp_path / "seen")
    assert [entry["step"] for entry in course] == [1, 2, 4]
    for entry in course:
        assert set(entry["cosine"]) == set(PAIRS)
        assert all(-1 <= value <= 1 for value in entry["cosine"].values())
        assert all(value > 0 for value in entry["norm"].values())
