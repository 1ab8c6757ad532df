"""The training and validation splits of a configuration: their logs, decoded once, and their truth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from perception.autoconfig.class_words import class_mapping, dropped_text
from perception.caches import UntrustedFolderError, cache_root, check_trusted, private_folder
from perception.config import load_config
from perception.errors import ConfigError
from perception.models.checkpoint import DEFAULT_PREPROCESS
from perception.models.preprocess import InputSpec
from perception.training.data.augmentation import sides_unsaid
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.cache_writer import Progress
from perception.training.data.dataset import Dataset, open_dataset
from perception.training.data.sample_cache import find_logs
from perception.training.loop.observer import Watcher
from perception.training.loop.process_group import ProcessGroup
from perception.training.train_config import DataConfig, TrainConfig

Splits = Callable[[TrainConfig, Watcher, ProcessGroup], tuple[Dataset, Dataset | None]]
"""Returns the training and the validation samples of a run."""


def cache_spec(config: TrainConfig) -> CacheSpec:
    """Return how the logs of a training configuration become arrays."""
    base = load_config(config.data.config) if config.data.config is not None else None
    limits = [section.max_range_m for section in base.sensors.ranges.values()] if base else []
    max_range_m = max(limits, default=None)
    model = config.model_shape()
    spec = InputSpec.of(model, DEFAULT_PREPROCESS, max_range_m)
    return CacheSpec(model, spec, base, tuple(sorted(config.data.classes.items())))


def cache_folder(config: TrainConfig) -> Path:
    """Return the folder of all caches: that of the configuration, else one in the user's cache.

    Raises:
        ConfigError: Another user could have written to it.
    """
    chosen = config.data.cache
    try:
        if chosen is not None:
            check_trusted(chosen)
        else:
            private_folder(cache_root())
    except UntrustedFolderError as error:
        text = f"data.cache: {error.filename} is not trusted: {error.strerror}"
        raise ConfigError([text], head="the cache of decoded logs") from None
    except OSError:
        pass  # it cannot be made, which is said where it is written
    return chosen or cache_root() / "training"


def open_splits(
    config: TrainConfig, watcher: Watcher, processes: ProcessGroup
) -> tuple[Dataset, Dataset | None]:
    """Return the training and validation samples; the first process decodes, the others wait for it.

    Raises:
        ConfigError: No logs to train on are configured, or they do not fit, or `data.config` names incomplete
            classes.
        LogError, OutputError: As `open_dataset`.
    """
    if not config.data.train:
        raise ConfigError(["data.train: missing; name logs, folders or patterns (or give --train)"])
    spec = cache_spec(config)
    if spec.config is not None and spec.config.truth.incomplete_classes:
        text = "is for evaluations; a training is told in data.complete_classes which classes are complete"
        raise ConfigError([f"truth.incomplete_classes: {text}"], str(config.data.config))
    train = find_logs(config.data.train, "train")
    validate = [] if config.data.validate_last else validation_logs(config.data)
    _check_patterns(config, [*train, *validate, *find_logs(config.data.calibrate, "calibrate")])
    if not processes.first:
        processes.wait()

    def progress(log: Path, done: int, total: int) -> None:
        watcher.cached(f"decoding {log.name}", done, total)

    training = open_dataset(train, config.data, spec, cache_folder(config), progress, "first")
    training = training.repeated(config.data.repeat) if config.data.repeat else training
    validation = open_validation(config, progress) if validation_logs(config.data) else None
    if processes.first:
        processes.wait()
    if validation is not None and not config.data.validate_last:
        _say_shared(training, validation, watcher)
    sizes = {log.folder: log.bytes_on_disk for data in (training, validation) if data for log in data.logs}
    watcher.message(
        f"the decoded logs take {sum(sizes.values()) / 1e6:.1f} MB in {cache_folder(config)}; set data.cache "
        "for another place"
    )
    return training, validation


def _say_shared(training: Dataset, validation: Dataset, watcher: Watcher) -> None:
    """Tell the watcher about logs of one content in both, which are validated on as a whole."""
    shared = {log.folder for log in training.logs} & {log.folder for log in validation.logs}
    if shared:
        watcher.message(
            f"trained and validated on the same {len(shared)} log(s): scores say nothing of other logs, nor "
            "of other parts of these; data.validate_last holds out a part"
        )


def labelled_splits(
    config: TrainConfig, watcher: Watcher, processes: ProcessGroup
) -> tuple[Dataset, Dataset | None]:
    """Return the samples as `open_splits`, and tell the watcher about truth that is missing, and about what a
    mirror image may turn."""
    training, validation = open_splits(config, watcher, processes)
    report_missing_truth(training, config.model_shape().classes, watcher)
    report_unsaid_sides(config, watcher)
    return training, validation


def report_unsaid_sides(config: TrainConfig, watcher: Watcher) -> None:
    """Tell the watcher about channels of which nobody has said whether a mirror image changes their sign."""
    unsaid = sides_unsaid(config.model_shape(), config.augment.odd)
    if config.augment.mirror and unsaid:
        odd = json.dumps([*config.augment.odd, *unsaid], ensure_ascii=False)
        watcher.message(
            f"mirrored samples keep the sign of {', '.join(unsaid)}; if left and right differ in it, say so "
            f"by --set 'augment.odd={odd}'"
        )


def _check_patterns(config: TrainConfig, logs: Sequence[Path]) -> None:
    """Raise where a pattern of `complete_classes` or `repeat` fits no log, or names unknown classes."""
    classes, errors = config.model_shape().classes, []
    for key in ("complete_classes", "repeat"):
        for pattern in getattr(config.data, key):
            if not any(fnmatch(log.name, pattern) for log in logs):
                known = ", ".join(log.name for log in logs)
                errors.append(f"data.{key}[{pattern!r}]: fits none of the logs {known:.200}")
    for pattern, names in config.data.complete_classes.items():
        path = f"data.complete_classes[{pattern!r}]"
        if unknown := [name for name in names if name not in classes]:
            errors.append(f"{path}: the model has no class {', '.join(unknown)}; it has {', '.join(classes)}")
    if errors:
        raise ConfigError(errors)


def validation_logs(data: DataConfig) -> list[Path]:
    """Return the logs that a run is validated on: those of `validate`, or all, of which the last part is.

    Raises:
        ConfigError: An entry names no log.
    """
    if data.validate_last is not None:
        return find_logs(data.train, "train")
    return find_logs(data.validate_, "validate")


def open_validation(config: TrainConfig, progress: Progress | None = None) -> Dataset:
    """Return the samples that a run of this configuration is validated on.

    Args:
        config: Names at least one log to validate on.
        progress: Called after each sample that is decoded.

    Raises:
        ConfigError, LogError, OutputError: As `open_dataset`.
    """
    whole = {} if config.data.validate_last else {"start_s": None, "end_s": None}
    data = config.data.model_copy(update={**whole, "stride": 1})
    logs = validation_logs(config.data)
    dataset = open_dataset(logs, data, cache_spec(config), cache_folder(config), progress, "last")
    return dataset.some(config.data.validate_samples)


def report_missing_truth(training: Dataset, classes: Sequence[str], watcher: Watcher) -> None:
    """Tell the watcher about heads without truth, damaged logs and unknown class names.

    A head without truth is masked.

    Args:
        training: The samples to learn from.
        classes: Of the model.
        watcher: Is told.

    Raises:
        ConfigError: No sample has any truth.
    """
    counts = training.truth_counts()
    if not any(counts.values()):
        raise ConfigError(
            [
                "data.train: no sample has truth of boxes or control; "
                "name its topics under truth in data.config"
            ]
        )
    if not counts["boxes"]:
        watcher.message("no sample has truth of boxes: class, box and distance are masked and stay untrained")
    if not counts["control"]:
        watcher.message("no sample has truth of control: its loss is masked and the head stays untrained")
    unknown: Counter[str] = Counter()
    for log in training.logs:
        for head, reasons in log.about["missing_truth"].items():
            for count, reason in reasons.values():
                watcher.message(
                    f"{log.log.name}: {count} of {len(log)} samples have no truth of {head}: {reason}"
                )
        unknown.update(log.about["unknown_words"])
        if text := dropped_text(log.about["dropped_words"]):
            watcher.message(f"{log.log.name}: {text}")
        if log.about["damage"]:
            watcher.message(
                f"{log.log.name} is damaged, so only what can be read of it is learned from: "
                + "; ".join(log.about["damage"][:3])
            )
    if unknown:
        names = ", ".join(f"{name} ({count})" for name, count in sorted(unknown.items()))
        mapping = class_mapping(unknown, classes) or {min(unknown): classes[0]}
        example = f"--set 'data.classes={json.dumps(mapping, ensure_ascii=False)}'"
        watcher.message(
            f"truth has classes that the model does not have, which are left out: {names}; name one of the "
            f"model's ({', '.join(classes)}) for each, as in {example}"
        )
