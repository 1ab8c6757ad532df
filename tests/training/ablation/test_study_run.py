"""A study as a user has it, on a small model: it reports, goes on where it was, and says what it cost."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from perception.errors import ConfigError, MissingExtraError
from perception.installation import install_command
from perception.models.checkpoint import read_metadata
from perception.training import Silent, TrainConfig
from perception.training.ablation import StudyOptions, study, summary
from tests.scripted_scene import write_scene
from tests.training.conftest import small_config


class Heard(Silent):
    """Keeps what was predicted."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


def config(street: Path, cache_root: Path, **sections: Any) -> TrainConfig:
    data = {"train": [str(street)], "validate": [str(street)], "validate_samples": 4, "stats_samples": 8}
    return small_config(
        street, cache_root, Path("unused"), data={**data, "cache": str(cache_root)}, **sections
    )


@pytest.mark.slow
def test_a_study_is_interrupted_goes_on_and_keeps_what_is_there(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    options = StudyOptions(tmp_path, steps=3, seeds=1, only=("heads", "gradients"), measure=3)
    base = config(street, cache_root)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 5  # in the second run, after two of its three steps

    first = study(base, options, stop=stop)
    assert first.reason == "interrupted"
    assert first.report["status"] == "interrupted"
    assert first.report["runs"] == {"done": 1, "planned": 5}
    kept = (tmp_path / "runs/joint-s0/result.json").stat().st_mtime_ns

    heard = Heard()
    done = study(base, options, heard)
    assert (done.reason, done.report["runs"]["done"]) == ("done", 5)
    assert next(t for t in heard.texts if t.startswith("run ")) == "run 2 of 5: alone-class, seed 0"
    assert sum("same 1 log(s)" in text for text in heard.texts) == 1  # once, not in every run
    assert (tmp_path / "runs/joint-s0/result.json").stat().st_mtime_ns == kept

    found = json.loads((tmp_path / "study.json").read_text())
    assert found == done.report
    assert found["schema"] == "perception.study/1"
    assert found["cost"]["all"]["steps"] == 5 * 3
    assert found["cost"]["all"]["samples"] == 5 * 3 * 4
    assert found["cost"]["all"]["cpu_s"] > 0
    for head in ("class", "box", "distance", "control"):
        about = found["heads"][head]
        assert about["loss"]["seeds"] == [0]
        assert about["loss"]["verdict"] == "cannot tell"  # one seed never tells
        change = about["loss"]["after"]["median"] - about["loss"]["before"]["median"]
        assert about["loss"]["change"]["median"] == pytest.approx(change)
    assert [entry["step"] for entry in found["gradients"]["course"]] == [1, 2, 3]
    assert (tmp_path / "heads.svg").read_text().startswith("<?xml")
    assert "| class | loss |" in (tmp_path / "study.md").read_text()
    assert max(len(line) for line in summary(found).splitlines()) <= 80

    cut = tmp_path / "runs/alone-box-s0/result.json"
    cut.write_text(cut.read_text()[:40])  # killed while it was written: the run is scored again
    again = study(base, options).report
    assert (again["heads"], again["gradients"]) == (found["heads"], found["gradients"])

    with pytest.raises(ConfigError, match=r"optimiser\.lr: the run began with 0\.002, found 0\.5"):
        study(config(street, cache_root, optimiser={"lr": 0.5}), options)


def test_a_study_goes_on_with_the_logs_of_its_results_alone(
    street: Path, cache_root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    logs, options = tmp_path / "logs", StudyOptions(tmp_path / "study", steps=2, seeds=1, only=("gradients",))
    logs.mkdir()
    (logs / "a.mcap").symlink_to(street)
    base = config(street, cache_root)
    base = base.model_copy(update={"data": base.data.model_copy(update={"train": (str(logs),)})})
    first = study(base, options).report
    assert study(base, options).report == first
    write_scene(logs / "b.mcap", seed=4, duration_s=0.5, image_size=(64, 32))
    with pytest.raises(ConfigError, match="no longer those of its results"):
        study(base, options)


def test_the_runs_of_a_study_are_fitted_to_the_pictures_and_as_long_as_it_says(
    cache_root: Path, tmp_path: Path
) -> None:
    """The recipe `finetune` asks for an input of the size of the pictures, and for a number of passes."""
    pytest.importorskip("matplotlib")
    log = write_scene(tmp_path / "small.mcap", seed=3, duration_s=1.0, image_size=(64, 32))
    options = StudyOptions(tmp_path / "study", steps=3, seeds=1, only=("gradients",))
    base = config(log, cache_root)
    fitted = base.model_copy(
        update={
            "data": base.data.model_copy(update={"fit_input": True}),
            "schedule": base.schedule.model_copy(update={"passes": 1.0}),
        }
    )
    done = study(fitted, options).report
    assert done["cost"]["all"]["steps"] == 3
    assert "class" in done["gradients"]["norms"]
    assert study(fitted, options).report == done
    assert read_metadata(tmp_path / "study/runs/joint-s0/last.safetensors").config.input_width == 64


def test_a_run_that_cannot_go_on_is_a_result(street: Path, cache_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    base = config(street, cache_root, optimiser={"lr": 1e30, "clip_norm": None}, run={"on_nan": "stop"})
    options = StudyOptions(tmp_path, steps=4, seeds=1, only=("gradients",))
    done = study(base, options)
    assert done.reason == "done"
    error = json.loads((tmp_path / "runs/joint-s0/result.json").read_text())["error"]
    assert "is not a finite number" in error


def test_without_logs_to_validate_on_or_matplotlib_nothing_begins(
    street: Path, cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = StudyOptions(tmp_path / "none", steps=4, seeds=1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("eval"))):
        study(config(street, cache_root), options)
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    bare = config(street, cache_root)
    bare = bare.model_copy(update={"data": bare.data.model_copy(update={"validate_": ()})})
    with pytest.raises(ConfigError, match=r"data\.validate: missing"):
        study(bare, options)
    assert not options.out.exists()
