"""The options shared by `perception train` and `perception study`, and their configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from perception.training import TrainConfig

Config = Annotated[
    str,
    typer.Argument(help="A YAML file, or a recipe by name: newcomer, finetune, default.", show_default=False),
]
Train = Annotated[
    list[str] | None,
    typer.Option("--train", help="Logs, folders or patterns to learn from.", show_default="as configured"),
]
Validate = Annotated[list[str] | None, typer.Option(help="Logs to score on.", show_default="as configured")]
Threads = Annotated[int | None, typer.Option(help="Threads that compute.", min=1)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one value: optimiser.lr=0.001 (YAML).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def load_changed(source: str, assignments: list[str] | None, options: dict[str, Any]) -> TrainConfig:
    """Return the configuration of a file or recipe with the changes of the command line.

    Args:
        source: A path or the name of a recipe.
        assignments: The values of `--set`.
        options: Dotted path -> value of an option; None or empty: not set.

    Raises:
        ConfigError: An assignment cannot be read, or the configuration has errors.
    """
    from perception.config.safe_yaml import parse_yaml
    from perception.errors import ConfigError
    from perception.training import load_train_config

    changes: dict[str, Any] = {}
    errors = []
    for text in assignments or []:
        path, equals, value = text.partition("=")
        if not equals or not path:
            errors.append(f"--set: expected PATH=VALUE, found {text!r}")
            continue
        try:
            changes[path] = parse_yaml(value)
        except ValueError as error:
            errors.append(f"--set {path}: {error}")
    if errors:
        raise ConfigError(errors)
    for path, option in options.items():
        if option not in (None, []):
            changes[path] = str(option) if isinstance(option, Path) else option
    return load_train_config(source, changes)
