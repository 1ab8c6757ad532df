"""The folder of a run: its files, and whether a run may start or resume there."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from perception.config.safe_yaml import read_yaml
from perception.errors import ConfigError, TrainingError
from perception.files import claimed_folder, write_problem
from perception.models.checkpoint import read_metadata, weights_in
from perception.path_guard import marked
from perception.remote import is_remote, log_path
from perception.training.config_file import parse_train_config, to_yaml
from perception.training.loop.process_group import ProcessGroup
from perception.training.loop.state_file import load_state
from perception.training.train_config import TrainConfig

CONFIG, STATE, LAST, BEST, REPORT = (
    "train.yaml",
    "state.safetensors",
    "last.safetensors",
    "best.safetensors",
    "report.json",
)

_LOGS = ("train", "validate_", "calibrate")

FILES = (CONFIG, STATE, LAST, BEST, REPORT, "metrics.jsonl", "plots.svg")
_HEADING = "# The configuration of a training run, with every default: perception train --resume reads it.\n"
_is_config = marked(_HEADING.encode())


def is_run_file(path: Path) -> bool:
    """Return whether a file belongs to a run: its folder holds a state, or the configuration of a run."""
    config = path.with_name(CONFIG)
    has_state = any(path.with_name(name).exists() for name in (STATE, LAST))
    return has_state or (config.is_file() and _is_config(config))


@contextmanager
def open_folder(
    config: TrainConfig, resume: bool, processes: ProcessGroup
) -> Iterator[dict[str, Any] | None]:
    """Make the folder of a run, which is this run's until the end; yield the state to resume from, if any.

    Raises:
        ConfigError: The folder holds a run, or one of another configuration, or cannot be written, or another
            program trains there.
        TrainingError: The state cannot be read.
    """
    folder, text = config.run.out, to_yaml(with_absolute_paths(config))
    with ExitStack() as held:
        refused = ""
        if processes.first and not (resume and not folder.exists()):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(claimed_folder(folder))
            except OSError as error:
                refused = _unusable(folder, error)
        if refused := processes.from_first(refused):
            raise ConfigError([refused])
        state = None
        if resume:
            state = load_state(folder / STATE)
            check_same(folder, config)
        elif (folder / STATE).exists() or (folder / LAST).exists():
            raise ConfigError(
                [f"run.out: {folder} holds a run already; go on with --resume, or name another folder"]
            )
        processes.wait()
        if processes.first:
            try:
                (folder / CONFIG).write_text(_HEADING + text, encoding="utf-8")
            except OSError as error:
                raise ConfigError([_unusable(folder, error)]) from None
        yield state


def _unusable(folder: Path, error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return f"run.out: another program trains in {folder}; wait for it, or name another folder"
    return f"run.out: {folder} cannot be written: {write_problem(folder, error)}"


def _config_of_run(folder: Path) -> TrainConfig:
    """Return the configuration that the run in a folder began with."""
    try:
        return parse_train_config(read_yaml(folder / CONFIG), str(folder / CONFIG))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder / CONFIG} cannot be read, so the run cannot go on: {error}") from None


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Return the configuration with the logs, checkpoints and folders it names as absolute paths, so that it
    means the same files from any working directory."""
    data, transfer = config.data, config.transfer
    logs = {name: tuple(map(_absolute_log, getattr(data, name))) for name in _LOGS}
    folders = {
        n: Path(os.path.realpath(p)) for n in ("config", "cache") if (p := getattr(data, n)) is not None
    }
    start, distill = transfer.checkpoint, transfer.distill
    if start is not None:
        start = _absolute_checkpoint(start)
    if distill is not None:
        distill = distill.model_copy(update={"checkpoint": _absolute_checkpoint(distill.checkpoint)})
    return config.model_copy(
        update={
            "data": data.model_copy(update=logs | folders),
            "transfer": transfer.model_copy(update={"checkpoint": start, "distill": distill}),
            "run": config.run.model_copy(update={"out": Path(os.path.realpath(config.run.out))}),
        }
    )


def _absolute_log(name: str) -> str:
    """Return the absolute path of a log under its own name, which a link may have, or its URL."""
    return name if is_remote(path := log_path(name)) else os.path.abspath(path)


def _absolute_checkpoint(name: str) -> str:
    """Return the absolute path of a checkpoint, or the name of a plugin as it is."""
    return os.path.realpath(name) if weights_in(Path(name)).is_file() else name


def check_same(folder: Path, config: TrainConfig) -> None:
    """Check that a run resumes with its configuration; only where and how fast it runs may differ.

    Raises:
        ConfigError: Other values differ; all of them.
        TrainingError: The configuration in the folder cannot be read.
    """
    old, new = result_values(_config_of_run(folder)), result_values(config)
    errors = [
        f"{path}: the run began with {old.get(path)!r}, found {new.get(path)!r}"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]
    if errors:
        raise ConfigError(errors, head=f"the configuration differs from that of the run in {folder}")


def check_same_samples(folder: Path, trained_on: Sequence[Mapping[str, object]]) -> str:
    """Check that a run resumes with the samples that it began with: others would come in another order.

    Args:
        folder: Holds the last weights of the run.
        trained_on: Each log with its number of samples, as `Dataset.trained_on` gives them.

    Returns:
        What to say of logs of which as many samples have another content; empty where there are none.

    Raises:
        ConfigError: Logs were added or changed, or are missing; all of them.
        CheckpointError: The last weights cannot be read.
    """
    if not (folder / LAST).is_file():
        return ""
    before = read_metadata(folder / LAST).trained_on
    old, new = (
        Counter({str(source["log"]): int(str(source["samples"])) for source in sources})
        for sources in (before, trained_on)
    )
    errors = [
        f"{log}: the run began with {old[log]} of its samples, found {new[log]}"
        for log in sorted(old.keys() | new.keys())
        if old[log] != new[log]
    ]
    if errors:
        head = f"the samples differ from those of the run in {folder}; name the logs that it began with"
        raise ConfigError(errors, head=head)
    caches = {source.get("cache") for source in before}
    changed = ", ".join(str(source["log"]) for source in trained_on if source.get("cache") not in caches)
    text = "the content, or how it is read, is no longer what the run began with: it learns from both"
    return f"{changed}: {text}" if changed else ""


def result_values(config: TrainConfig) -> dict[str, Any]:
    """Return dotted path -> value of every setting that the result of a run depends on."""
    plain = with_absolute_paths(config).model_dump(mode="json", by_alias=True)
    plain["model"] = config.model_shape().to_dict()
    plain["run"] = {"seed": config.run.seed, "precision": config.run.precision}
    for name in _LOGS:  # under whatever name
        key = name.removesuffix("_")
        logs = plain["data"][key]
        plain["data"][key] = [log if is_remote(log_path(log)) else os.path.realpath(log) for log in logs]
    plain["data"].pop("cache")
    plain["schedule"].pop("save_every")
    plain["schedule"].pop("max_cpu_s")
    return _flat(plain)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{path}.{key}" if path else str(key))
    return flat
