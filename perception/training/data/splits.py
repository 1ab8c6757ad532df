"""What a run learns from and is validated on: its logs, decoded once, and what truth they have."""

from __future__ import annotations

from pathlib import Path

from perception.config import load_config
from perception.errors import ConfigError
from perception.models import ModelConfig
from perception.models.checkpoint import DEFAULT_PREPROCESS
from perception.models.preprocess import InputSpec
from perception.training.data.dataset import Dataset, open_dataset
from perception.training.data.sample_cache import CacheSpec, Progress, find_logs
from perception.training.loop.process_group import ProcessGroup
from perception.training.loop.watcher import Watcher
from perception.training.train_config import TrainConfig


def cache_spec(config: TrainConfig, shape: ModelConfig) -> CacheSpec:
    """How samples are read and prepared."""
    base = load_config(config.data.config) if config.data.config is not None else None
    reach = base.sensors.range.max_range_m if base is not None and base.sensors.range is not None else None
    spec = InputSpec.of(shape, DEFAULT_PREPROCESS, reach)
    return CacheSpec(shape, spec, base, tuple(sorted(config.data.classes.items())))


def cache_folder(config: TrainConfig) -> Path:
    """Where decoded logs are kept."""
    return config.data.cache or config.run.out.parent / "cache"


def open_samples(
    config: TrainConfig, recipe: CacheSpec, watcher: Watcher, processes: ProcessGroup
) -> tuple[Dataset, Dataset | None]:
    """Training and validation samples; the first process decodes, the others then find it done."""
    if not config.data.train:
        raise ConfigError(["data.train: missing; name logs, folders or patterns (or give --train)"])
    learn = find_logs(config.data.train, "train")
    check = find_logs(config.data.validate_, "validate")
    shared = {p.resolve() for p in learn} & {p.resolve() for p in check}
    if shared and config.data.end_s is None and config.data.start_s is None:
        watcher.said(
            f"trained and validated on the same {len(shared)} log(s): scores say nothing of other logs"
        )
    if not processes.first:
        processes.wait()

    def tell(log: Path, done: int, total: int) -> None:
        watcher.cached(f"decoding {log.name}", done, total)

    learning = open_dataset(learn, config.data, recipe, cache_folder(config), tell)
    validation = validation_of(config, tell) if check else None
    if processes.first:
        processes.wait()
    return learning, validation


def validation_of(config: TrainConfig, tell: Progress | None = None) -> Dataset:
    """The samples that a run of this configuration is validated on.

    Args:
        config: Names at least one log for it.
        tell: Hears what is decoded.

    Raises:
        ConfigError, LogError, OutputError: As training.
    """
    whole = config.data.model_copy(update={"start_s": None, "end_s": None, "stride": 1})
    logs = find_logs(config.data.validate_, "validate")
    dataset = open_dataset(logs, whole, cache_spec(config, config.model_shape()), cache_folder(config), tell)
    return dataset.some(config.data.validate_samples)


def say_what_is_known(learning: Dataset, watcher: Watcher) -> None:
    """Name what is missing of logs and of truth.

    A head without truth is masked; without any there is nothing to learn.
    """
    known = learning.knows()
    if not any(known.values()):
        raise ConfigError(
            [
                "data.train: no sample has truth of boxes or control; "
                "name its topics under truth in data.config"
            ]
        )
    if not known["boxes"]:
        watcher.said("no sample has truth of boxes: class, box and distance are masked and stay untrained")
    if not known["control"]:
        watcher.said("no sample has truth of control: its loss is masked and the head stays untrained")
    for log in learning.logs:
        if log.about["damage"]:
            watcher.said(
                f"{log.log.name} is damaged, so only what can be read of it is learned from: "
                + "; ".join(log.about["damage"][:3])
            )
    unknown: dict[str, int] = {}
    for log in learning.logs:
        for word, count in log.about["unknown_words"].items():
            unknown[word] = unknown.get(word, 0) + count
    if unknown:
        words = ", ".join(f"{word} ({count})" for word, count in sorted(unknown.items()))
        watcher.said(
            f"truth says {words}, which the model has no class for: left out; map them in data.classes"
        )
