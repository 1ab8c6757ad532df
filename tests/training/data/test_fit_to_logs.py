"""The input and the length of a run, fitted to its logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perception.training import load_train_config
from perception.training.data.fit_to_logs import fit_to_logs
from perception.training.data.splits import cache_spec
from perception.training.train_config import FEWEST_STEPS, TrainConfig
from tests.scripted_scene import write_scene
from tests.training.conftest import small_config


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of pictures of 160x120."""
    path = tmp_path_factory.mktemp("small") / "small.mcap"
    return write_scene(path, duration_s=1.0, image_size=(160, 120))


def _fitted(street: Path, tmp_path: Path, **sections: dict[str, Any]) -> tuple[TrainConfig, list[str]]:
    config = small_config(street, tmp_path / "cache", tmp_path / "run", **sections)
    lines: list[str] = []
    return fit_to_logs(config, [street], cache_spec(config), lines.append), lines


def test_the_input_is_no_larger_than_the_pictures(small: Path, tmp_path: Path) -> None:
    model = {"input_height": 256, "input_width": 512}
    fitted, lines = _fitted(small, tmp_path, model=model, data={"fit_input": True})
    assert (fitted.model_shape().input_height, fitted.model_shape().input_width) == (96, 128)
    assert len(lines) == 1
    assert "160x120" in lines[0]


def test_the_largest_picture_of_all_logs_decides(small: Path, street: Path, tmp_path: Path) -> None:
    config = small_config(small, tmp_path / "c", tmp_path / "r", data={"fit_input": True})
    config = config.model_copy(update={"model": {**config.model, "input_height": 2048, "input_width": 4096}})
    shape = fit_to_logs(config, [small, street], cache_spec(config), lambda text: None).model_shape()
    assert (shape.input_height, shape.input_width) == (256, 512)


def test_a_small_input_is_not_enlarged(street: Path, tmp_path: Path) -> None:
    fitted, lines = _fitted(street, tmp_path, data={"fit_input": True})
    assert (fitted.model_shape().input_height, fitted.model_shape().input_width) == (64, 128)
    assert not lines


def test_nothing_changes_unless_asked(street: Path, tmp_path: Path) -> None:
    fitted, lines = _fitted(street, tmp_path, model={"input_height": 2048, "input_width": 4096})
    assert fitted.model_shape().input_height == 2048
    assert not lines


@pytest.mark.parametrize(
    ("steps", "passes", "data", "expected"),
    [
        (10_000, 200, {}, 1500),  # 30 samples, 4 a step
        (10_000, 200, {"validate": [], "validate_last": 0.2}, 1200),
        (10_000, 200, {"end_s": 1.5}, 750),
        (10_000, 200, {"repeat": {"street*": 3}}, 4500),
        (10_000, 15, {}, FEWEST_STEPS),
        (100, 200, {}, 100),
        (100, 15, {}, 100),
    ],
)
def test_passes_shorten_a_run(
    steps: int, passes: float, data: dict[str, Any], expected: int, street: Path, tmp_path: Path
) -> None:
    schedule = {"steps": steps, "passes": passes}
    fitted, lines = _fitted(street, tmp_path, schedule=schedule, data=data)
    assert fitted.schedule.steps == pytest.approx(expected, rel=0.05)
    assert bool(lines) == (expected != steps)
    again = fit_to_logs(fitted, [street], cache_spec(fitted), lines.append)
    assert again == fitted


def test_the_recipe_sees_small_pictures_at_their_size(small: Path) -> None:
    config = load_train_config("finetune")
    fitted = fit_to_logs(config, [small], cache_spec(config), lambda text: None)
    assert fitted.schedule.steps == FEWEST_STEPS
    assert fitted.model_shape().input_width == 128
