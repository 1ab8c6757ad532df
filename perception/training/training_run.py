"""A training run from configuration to report: what `perception train` does, for a program."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from perception.errors import CheckpointError, ConfigError, TrainingError
from perception.models import FusionModel, ModelConfig
from perception.models.checkpoint import DEFAULT_PREPROCESS, Checkpoint, save_checkpoint
from perception.models.container import write_whole
from perception.training.data.augmentation import Augmenter
from perception.training.data.dataset import Dataset
from perception.training.data.loader import Batches, Loader
from perception.training.data.splits import cache_folder, cache_spec, open_samples, say_what_is_known
from perception.training.data.stored_features import check_store, stored
from perception.training.final_evaluation import calibrate, evaluate
from perception.training.loop.journal import Journal
from perception.training.loop.loss_step import LossStep, check_losses
from perception.training.loop.process_group import ProcessGroup, process_group
from perception.training.loop.state_file import save_state
from perception.training.loop.trainer import Probe, Trainer
from perception.training.loop.watcher import Silent, Watcher
from perception.training.run_folder import BEST, LAST, REPORT, STATE, open_folder
from perception.training.run_plots import draw_run
from perception.training.train_config import TrainConfig
from perception.training.transfer import check_transfer, starting_model
from perception.training.validation import units


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended.

    Attributes:
        reason: `done`, `early_stop`, `max_cpu` or `interrupted`.
        folder: The run's.
        steps: How many were made.
        best_step: After which the kept weights were taken.
        scores: Of the kept weights on the validation logs, by the final evaluation; empty without one.
        cpu_s: CPU time of the training loop.
    """

    reason: str
    folder: Path
    steps: int
    best_step: int
    scores: Mapping[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0


def train(
    config: TrainConfig,
    resume: bool = False,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
    probe: Probe | None = None,
) -> Finished:
    """Train a model.

    The run's folder gets `train.yaml` (the resolved configuration), `metrics.jsonl`, `events/` (TensorBoard),
    `last.safetensors` and `best.safetensors` (checkpoints), `state.safetensors` (to go on from), `plots.svg`
    (where the extra `eval` is installed) and `report.json` (the final evaluation).

    Args:
        config: What to do.
        resume: Go on with the run that lies in `run.out`. It ends with the same weights as one that was
            never stopped.
        watcher: Sees it.
        stop: Asked after each step; the run is then saved and ends.
        probe: Looks at the trainer after each step, in every process.

    Raises:
        ConfigError: The configuration has faults, or does not fit the logs.
        LogError: A log cannot be read, or is empty.
        TrainingError: The run cannot go on; what was trained is kept.
        CheckpointError: A checkpoint to start from cannot be loaded.
    """
    device = _device(config)
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    with process_group(device) as processes:
        return _train(
            config,
            resume,
            watcher if watcher and processes.first else Silent(),
            stop,
            probe,
            processes,
            device,
        )


def _train(
    config: TrainConfig,
    resume: bool,
    watcher: Watcher,
    stop: Callable[[], bool],
    probe: Probe | None,
    processes: ProcessGroup,
    device: torch.device,
) -> Finished:
    shape = config.model_shape()
    part = processes.part(config.schedule.batch)
    check_losses(config)
    check_transfer(config)
    if config.transfer.store:
        check_store(config)
    folder = config.run.out
    state = open_folder(config, resume, processes)
    recipe = cache_spec(config, shape)
    learning, validation = open_samples(config, recipe, watcher, processes)
    say_what_is_known(learning, watcher)
    # A step takes a sixth less time in this layout, on CPUs too (bfloat16; a tenth in float32).
    model = starting_model(config, shape, learning, watcher).to(device).to(memory_format=torch.channels_last)
    lessons = LossStep(config, model, processes.total)
    augmenter = Augmenter(config.augment, shape, recipe.spec)
    autocast = _autocast(config, device)
    loader = Loader(learning, augmenter, config.schedule.batch, part, config.run.seed, config.run.loaders)
    batches: Batches = loader
    if config.transfer.store:
        kept = cache_folder(config)
        batches = stored(config, model, loader, kept, watcher, processes, stop, autocast)
    trainer = Trainer(config, model, batches, validation, lessons, processes, autocast)
    if state is not None:
        trainer.load_state_dict(state)
    meta = _meta(config, shape, learning)
    journal = Journal(folder, trainer.step, config.run.tensorboard) if processes.first else None
    try:
        if journal is not None:
            journal.note("begin", trainer.step, _begin(learning, validation, model, processes))
        reason = trainer.run(journal, _saver(folder, meta, processes), watcher, stop, probe)
        scores: Mapping[str, float] = {}
        if processes.first and reason != "interrupted":
            _keep_best(folder)
            calibrate(config, folder / BEST, recipe, cache_folder(config), watcher)
            if config.run.evaluate and config.data.validate_:
                scores = evaluate(config, folder / BEST, folder / REPORT, watcher)
                assert journal is not None
                journal.note("report", trainer.step, scores)
    finally:
        if journal is not None:
            journal.close()
            if config.run.plots:
                draw_run(folder, watcher)
    processes.wait()
    return Finished(reason, folder, trainer.step, trainer.best_step, scores, trainer.cpu_s)


def _device(config: TrainConfig) -> torch.device:
    wanted = config.run.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(["run.device: expected a CUDA device, found none; use cpu"])
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _autocast(config: TrainConfig, device: torch.device) -> bool:
    """Whether forward passes run in bfloat16: where the hardware has it, unless the configuration says."""
    if config.run.precision != "auto":
        return config.run.precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def _meta(config: TrainConfig, shape: ModelConfig, learning: Dataset) -> Checkpoint:
    reach = cache_spec(config, shape).spec.max_range_m
    rate = next((r for log in learning.logs if (r := log.about["status_rate_hz"])), None)
    preprocess = {**DEFAULT_PREPROCESS, "max_range_m": reach}
    if rate is not None:
        preprocess["status_rate_hz"] = rate
    return Checkpoint(config=shape, preprocess=preprocess, trained_on=tuple(learning.sources()))


def _saver(folder: Path, meta: Checkpoint, processes: ProcessGroup) -> Callable[[Trainer, bool], None]:
    """Keeps weights first and the state last: a run that dies in between goes on from the state before."""

    def save(trainer: Trainer, best: bool) -> None:
        if not processes.first:
            return
        try:
            names = [LAST, BEST] if best else [LAST]
            for name in names:
                save_checkpoint(folder / name, trainer.average.model, meta)
        except CheckpointError as error:
            raise TrainingError(f"{error}; the state before is kept, make room and use --resume") from None
        save_state(folder / STATE, trainer.state_dict())

    return save


def _keep_best(folder: Path) -> None:
    """A run that never validated keeps its last weights as the best."""
    if not (folder / BEST).exists():
        try:
            write_whole(folder / BEST, (folder / LAST).read_bytes())
        except CheckpointError as error:
            raise TrainingError(f"{error}; the same weights are in {folder / LAST}") from None


def _begin(
    learning: Dataset, validation: Dataset | None, model: FusionModel, processes: ProcessGroup
) -> dict[str, Any]:
    return {
        "samples": len(learning),
        "validation_samples": len(validation) if validation is not None else 0,
        "parameters": sum(p.numel() for p in model.parameters()),
        "processes": processes.size,
        "device": str(next(model.parameters()).device),
        "known": json.dumps(learning.knows()),
        "units": units(model.config),
    }
