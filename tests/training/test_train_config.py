"""A training configuration is checked whole, and comes back from the file that a run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from perception.errors import ConfigError, TrainingError
from perception.training import load_train_config, parse_train_config, run_folder, to_yaml
from perception.training.config_file import recipe_names


def test_every_fault_is_named_at_once_with_its_path_and_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_train_config(
            {
                "modle": {},
                "model": {"fusion": "sum", "input_hight": 64},
                "data": {"trian": ["a"], "stride": 0},
                "optimiser": {"lr": "fast"},
                "augment": {"mirror": 1.5, "drop": {"lidar": 0.1}},
                "run": {"precision": "fp16"},
            }
        )
    text = "\n".join(caught.value.errors)
    for expected in (
        "modle: unknown key, did you mean model?",
        "model.input_hight: unknown key, did you mean input_height?",
        "data.trian: unknown key, did you mean train?",
        "data.stride: ",
        "optimiser.lr: ",
        "augment.mirror: ",
        "augment.drop.lidar: unknown key",
        "run.precision: ",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        ({"batch": 8, "accumulate": 3}, "schedule.accumulate: expected a divisor of schedule.batch = 8"),
        ({"steps": 10, "warmup_steps": 10}, "schedule.warmup_steps: expected fewer than"),
        ({"curriculum": [{"until": 0.5}, {"until": 0.4}]}, "schedule.curriculum: expected `until` to rise"),
    ],
)
def test_what_contradicts_itself_is_named(schedule: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse_train_config({"schedule": schedule})


def test_the_resolved_configuration_reads_back_equal() -> None:
    config = parse_train_config({"model": {"input_height": 128}, "data": {"train": ["a"], "validate": ["b"]}})
    again = parse_train_config(yaml.safe_load(to_yaml(config)))
    assert again.model_shape() == config.model_shape()
    assert again.model_copy(update={"model": config.model}) == config


def test_changes_are_laid_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("optimiser: {lr: 0.1}\n")
    config = load_train_config(path, {"run.seed": 7, "optimiser.weight_decay": 0.5, "data.train": ["x"]})
    assert (config.run.seed, config.optimiser.lr, config.optimiser.weight_decay) == (7, 0.1, 0.5)
    assert config.data.train == ("x",)


@pytest.mark.parametrize("recipe", recipe_names())
def test_the_recipes_of_the_package_are_valid(recipe: str) -> None:
    config = load_train_config(recipe)
    assert config.schedule.steps > config.schedule.warmup_steps


def test_a_file_that_is_not_there_is_answered_with_the_recipes() -> None:
    with pytest.raises(ConfigError, match=r"one of the recipes .*newcomer"):
        load_train_config("nowhere.yaml")


def test_the_configuration_of_a_run_is_read_as_all_yaml_is(tmp_path: Path) -> None:
    for text, error in (("#" * (1 << 20) + "\n", "larger than 1 MiB"), ("a: &x 1\nb: *x\n", "aliases")):
        (tmp_path / "train.yaml").write_text(text)
        with pytest.raises(TrainingError, match=error):
            run_folder._config_of_run(tmp_path)
