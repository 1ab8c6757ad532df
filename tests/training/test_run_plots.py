"""A run draws its metrics; where it cannot, it says so and goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from perception.installation import install_command
from perception.training.run_plots import control_courses, course, courses, draw_run
from tests.training.test_training_run import Seen


def journal(folder: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"kind": "begin", "step": 0, "samples": 5}]
    losses = {"loss/control": None, "lr": 0.1, "weight/class": 1.0}
    lines += [{"kind": "train", "step": n, "loss/class": 4.0 / n, **losses} for n in (10, 20, 30)]
    lines.append({"kind": "validate", "step": 20, "joint": 0.4, "mAP50": 0.2, "best": True,
                  "MAE/curvature": 0.01, "MAE_persistence/curvature": 0.02})  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines


def test_courses_leave_out_what_was_not_known(tmp_path: Path) -> None:
    lines = journal(tmp_path)
    assert courses(lines, "loss/") == {"class": ([10, 20, 30], [0.4, 0.2, 4 / 30]), "control": ([], [])}
    assert course(lines, "joint") == ([20], [0.4])
    assert control_courses(lines) == {"curvature": ([20], [0.5])}


def test_a_run_has_its_metrics_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    journal(tmp_path)
    seen = Seen()
    draw_run(tmp_path, seen)
    assert not seen.texts
    drawn = (tmp_path / "plots.svg").read_text()
    for words in ("loss of each head", "curvature", "mAP50", "learning rate", "weight of each head", "kept"):
        assert words in drawn, words


@pytest.mark.parametrize("case", ["no extra", "no journal", "cut short", "unwritable"])
def test_what_cannot_be_drawn_is_no_failure(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case != "no extra":
        pytest.importorskip("matplotlib")
    journal(tmp_path)
    seen = Seen()
    if case == "no extra":
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    elif case == "no journal":
        (tmp_path / "metrics.jsonl").unlink()
    elif case == "cut short":
        (tmp_path / "metrics.jsonl").write_text('{"kind": "tra')
    else:
        (tmp_path / "plots.svg").mkdir()
    draw_run(tmp_path, seen)
    (text,) = seen.texts
    assert text.startswith("no plots: ")
    assert (install_command("eval") in text) == (case == "no extra")
