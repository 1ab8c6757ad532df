"""Reading, checking and writing the configuration of a training run, from a file or a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from perception.config import error_line
from perception.config.safe_yaml import read_config_yaml
from perception.errors import ConfigError
from perception.models.config import SMALL, ModelConfig
from perception.training.balancing.options import resolve_balancing
from perception.training.losses.methods import resolve_losses
from perception.training.train_config import TrainConfig

RECIPES = Path(__file__).parent / "recipes"
"""Configurations that come with the package: `perception train newcomer`."""


def recipe_names() -> list[str]:
    """Return the names of all recipes: paths below `RECIPES` without `.yaml`."""
    paths = RECIPES.rglob("*.yaml")
    return sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in paths)


def load_train_config(source: Path | str, changes: Mapping[str, Any] | None = None) -> TrainConfig:
    """Return the configuration in a file, or in a recipe of this package by name.

    Args:
        source: A path, or a name in `RECIPES`.
        changes: Dotted path -> value, which replaces the value in the file (`run.out`).

    Raises:
        ConfigError: It cannot be read, or has errors; lists all of them, each with its path.
    """
    path = Path(source)
    recipe = RECIPES / f"{source}.yaml"
    if not path.is_file() and recipe.is_file():
        path = recipe
    data = read_config_yaml(path, f"; give a file, or one of the recipes {', '.join(recipe_names())}")
    return parse_train_config(lay_over(data, changes or {}), str(path))


def parse_train_config(data: object, source: str = "") -> TrainConfig:
    """Return the configuration in a mapping loaded from YAML, with every option of losses and balancing.

    Raises:
        ConfigError: It has errors; lists all of them, each with its path and the nearest valid name.
    """
    if not isinstance(data, Mapping):
        found = "an empty file" if data is None else type(data).__name__
        raise ConfigError([f"expected a mapping with model, data, ...; found {found}"], source)
    errors: list[str] = []
    config = None
    try:
        config = TrainConfig.model_validate(data)
    except ValidationError as error:
        errors += sorted({_line(detail) for detail in error.errors()})
    errors += _section_errors(data)
    if errors or config is None:
        raise ConfigError(errors, source)
    return _filled_in(config)


def lay_over(data: Any, changes: Mapping[str, Any]) -> Any:
    """Return the mapping with some values replaced; anything but a mapping is returned unchanged."""
    if not isinstance(data, Mapping):
        return data
    data = dict(data)
    for path, value in changes.items():
        head, _, rest = path.partition(".")
        if rest:
            data[head] = lay_over(data.get(head) or {}, {rest: value})
        else:
            data[head] = value
    return data


def to_yaml(config: TrainConfig) -> str:
    """Return the configuration as YAML, defaults included, as a run folder stores it."""
    data = config.model_dump(mode="json", by_alias=True)
    data["model"] = config.model_shape().to_dict()
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)


def _filled_in(config: TrainConfig) -> TrainConfig:
    """Return the configuration with the name and all options of each loss and of balancing filled in."""
    shape = config.model_shape()
    losses = resolve_losses(config.losses, shape.loss_family, shape.extra_heads)
    method, weights = resolve_balancing(config.balancing)
    balancing = {"method": method.name, **method.options, "weights": weights}
    plain = {head: choice.to_dict() for head, choice in losses.items()}
    return config.model_copy(update={"losses": plain, "balancing": balancing})


def _section_errors(data: Mapping[Any, Any]) -> list[str]:
    """Return the errors in the sections that the packages they configure check."""
    errors: list[str] = []
    model, losses, balancing = (data.get(key, {}) for key in ("model", "losses", "balancing"))
    shape = ModelConfig()
    if isinstance(model, Mapping):
        try:
            shape = ModelConfig.from_dict(model)
        except ConfigError as error:
            errors += [f"model.{line}" for line in error.errors]
    transfer = data.get("transfer", {})
    backbone = model.get("backbone", SMALL) if isinstance(model, Mapping) else ""
    if isinstance(transfer, Mapping) and transfer.get("pretrained") is True and backbone == SMALL:
        errors.append(
            "transfer.pretrained: weights are published for backbones from torchvision, and model.backbone "
            f"is {SMALL}; set model.backbone: resnet18, or leave pretrained out"
        )
    for section, check in (
        (losses, lambda: resolve_losses(losses, shape.loss_family, shape.extra_heads)),
        (balancing, lambda: resolve_balancing(balancing)),
    ):
        try:
            if isinstance(section, Mapping):
                check()
        except ConfigError as error:
            errors += error.errors
    return errors


def _line(error: Any) -> str:
    return error_line(error, TrainConfig).removeprefix(": ")
