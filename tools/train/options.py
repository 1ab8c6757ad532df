"""The options shared by `perception train` and `perception study`, and their configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from perception.path_guard import Read, Write
    from perception.training import TrainConfig

_CONFIG_HELP = "A YAML file, or a recipe by name: newcomer, finetune, default."
Config = Annotated[str, typer.Argument(help=_CONFIG_HELP, show_default=False)]
OptionalConfig = Annotated[
    str | None,
    typer.Argument(help=f"{_CONFIG_HELP} With --resume: that of the run in --out.", show_default=False),
]
Train = Annotated[
    list[str] | None,
    typer.Option("--train", help="Logs, folders or patterns to learn from.", show_default="as configured"),
]
Validate = Annotated[list[str] | None, typer.Option(help="Logs to score on.", show_default="as configured")]
Calibrate = Annotated[
    list[str] | None, typer.Option(help="Logs to calibrate confidence on.", show_default="as configured")
]
ValidateLast = Annotated[
    str | None,
    typer.Option(
        help="Hold out the last part of the time of each log to validate on: 20%.",
        show_default="as configured",
    ),
]
Start = Annotated[
    float | None, typer.Option(help="Learn only from here, in seconds from the log's start.", min=0)
]
End = Annotated[float | None, typer.Option(help="Learn only up to here.", min=0)]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The folder of the run.", show_default="as configured")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run in its folder; --out alone names it.")
]
On = Annotated[
    str | None,
    typer.Option(
        metavar="ray[://HOST[:PORT]]",
        help="Train in several processes of a Ray cluster (extra `ray`): that of RAY_ADDRESS or of this "
        "machine, else one is started here.",
        show_default="this process, or those of torchrun",
    ),
]
Threads = Annotated[int | None, typer.Option(help="Threads that compute.", min=1)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one value: optimiser.lr=0.001 (YAML).", show_default=False),
]
NewRunForce = Annotated[
    bool, typer.Option("--force", help="Replace files in the folder that are of no earlier run, too.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def fraction(text: str) -> float:
    """Return a fraction that is written as `20%` or `0.2`."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise typer.BadParameter(f"expected a part such as 20% or 0.2, found {text!r}") from None


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


def resumed_config(config: str | None, out: Path | None, resume: bool) -> str:
    """Return where the configuration is: the argument, or with `--resume` the file of the run in `--out`.

    Raises:
        BadParameter: Neither is there, or the folder holds no run.
    """
    if config is not None:
        return config
    if resume and out is not None:
        source = out / "train.yaml"
        if not source.is_file():
            raise typer.BadParameter(f"--resume: {out} holds no run to continue: it has no {source.name}")
        return str(source)
    raise typer.BadParameter("CONFIG: missing; name a YAML file or a recipe (or give --out RUN --resume)")


def check_run_folder(source: str, config: TrainConfig, force: bool) -> None:
    """Check the files of a new run's folder: see `check_files`."""
    from perception.path_guard import Write
    from perception.training.run_folder import FILES, is_run_file  # imports torch

    folder = config.run.out
    writes = [Write(f"--out ({name})", folder / name, is_run_file) for name in FILES]
    check_files(source, config, writes if folder.is_dir() else [], force)


def check_files(source: str, config: TrainConfig, writes: list[Write], force: bool) -> None:
    """Check the files of a training run or a study before anything is written.

    Raises:
        ConfigError, OutputError: A file to write is read, or is there and belongs to no earlier run.
    """
    from perception.path_guard import Read, check_paths

    data, transfer = config.data, config.transfer
    reads = [Read("the configuration", Path(source))]
    reads += log_reads({"train": data.train, "validate": data.validate_, "calibrate": data.calibrate})
    reads += [Read("the configuration of the logs", data.config)] if data.config is not None else []
    teacher = transfer.distill.checkpoint if transfer.distill is not None else None
    starts = [name for name in (transfer.checkpoint, teacher) if name is not None]
    reads += [Read("a checkpoint", Path(name)) for name in starts if Path(name).is_file()]  # else of a plugin
    check_paths(reads, writes, force=force)


def log_reads(sections: Mapping[str, Sequence[str]]) -> list[Read]:
    """Return the logs that are read, by section of the configuration; what is none is reported later."""
    from perception.errors import PerceptionError
    from perception.path_guard import Read
    from perception.training.data.sample_cache import find_logs

    reads = []
    for section, names in sections.items():
        with suppress(PerceptionError, OSError):  # reported where the logs are opened
            reads += [Read("a log", log) for log in find_logs(names, section)]
    return reads
