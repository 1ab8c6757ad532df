"""A training run from configuration to report: the function behind `perception train`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from perception.engines.processor import processor, usable_cores
from perception.errors import CheckpointError, ConfigError, TrainingError
from perception.models import FusionModel
from perception.models.checkpoint import DEFAULT_PREPROCESS, Checkpoint, save_checkpoint
from perception.models.safetensors_file import write_whole
from perception.simulation.gl import mujoco
from perception.training.data.augmentation import Augmenter
from perception.training.data.dataset import Dataset
from perception.training.data.fit_to_logs import fit_to_logs
from perception.training.data.input_stats import seen_stretch
from perception.training.data.loader import BatchSource, Loader
from perception.training.data.object_pasting import Cutting
from perception.training.data.sample_cache import find_logs
from perception.training.data.silhouettes import cut_silhouettes
from perception.training.data.splits import Splits, cache_folder, cache_spec, labelled_splits, validation_logs
from perception.training.data.stored_features import check_stored_features, open_stored_features
from perception.training.final_evaluation import calibrate, evaluate
from perception.training.input_profile import store_input_profile
from perception.training.loop.journal import Journal
from perception.training.loop.loss_step import LossStep, check_losses
from perception.training.loop.observer import RunObserver, Save, Silent, Watcher
from perception.training.loop.process_group import ProcessGroup, process_group
from perception.training.loop.state_file import save_state
from perception.training.loop.trainer import Probe, Trainer
from perception.training.run_folder import BEST, LAST, REPORT, STATE, check_same_samples, open_folder
from perception.training.run_plots import draw_run
from perception.training.train_config import TrainConfig
from perception.training.transfer import check_transfer, starting_model
from perception.training.validation import units

CUTOUTS = 600
"""Rendered objects that are pasted into pictures; each takes about 0.1 s."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run.

    Attributes:
        reason: `done`, `early_stop`, `max_cpu` or `interrupted`.
        folder: The run's folder.
        steps: Number of steps done.
        best_step: The step after which the kept weights were taken.
        scores: Of the kept weights on the validation logs, by the final evaluation; empty without one.
        cpu_s: CPU time of the training loop.
        first: This process is the one of several that answers for all.
    """

    reason: str
    folder: Path
    steps: int
    best_step: int
    scores: Mapping[str, float] = field(default_factory=dict)
    cpu_s: float = 0.0
    first: bool = True


def train(
    config: TrainConfig,
    resume: bool = False,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
    probe: Probe | None = None,
    splits: Splits | None = None,
) -> Finished:
    """Train a model.

    The run's folder gets `train.yaml` (the resolved configuration), `metrics.jsonl`, `events/` (TensorBoard),
    `last.safetensors` and `best.safetensors` (checkpoints), `state.safetensors` (to resume from), `plots.svg`
    (where the extra `eval` is installed) and `report.json` (the final evaluation).

    Args:
        config: The configuration.
        resume: Continue the run in `run.out`. It ends with the same weights as one that was never stopped.
        watcher: Hears about progress.
        stop: Asked after each step; once it returns True, the run is saved and ends.
        probe: Called with the trainer after each step, in every process.
        splits: Returns the training and validation samples; None: those of `data`, with their truth.

    Raises:
        ConfigError: The configuration has errors, or does not fit the logs.
        LogError: A log cannot be read, or is empty.
        TrainingError: The run cannot continue; its last saved state is kept.
        CheckpointError: A checkpoint to start from cannot be loaded.
    """
    device = _device(config)
    with process_group(device) as processes, ExitStack() as held:
        seen = watcher if watcher and processes.first else Silent()
        _set_threads(config, processes, seen)
        shard = processes.shard(config.schedule.batch, config.schedule.accumulate)
        _check(config)
        logs = find_logs(config.data.train, "train") if config.data.train else []
        config = fit_to_logs(config, logs, cache_spec(config), seen.message)
        state = held.enter_context(open_folder(config, resume, processes))
        training, validation = (splits or labelled_splits)(config, seen, processes)
        if state is not None and (text := check_same_samples(config.run.out, training.trained_on())):
            seen.message(text)
        trainer = _trainer(config, training, validation, shard, seen, processes, device, stop)
        if state is not None:
            trainer.load_state_dict(state)
        reason, scores = _run(config, trainer, seen, stop, probe)
        processes.wait()
    return Finished(
        reason, config.run.out, trainer.step, trainer.best_step, scores, trainer.cpu_s, processes.first
    )


def _trainer(
    config: TrainConfig,
    training: Dataset,
    validation: Dataset | None,
    shard: slice,
    watcher: Watcher,
    processes: ProcessGroup,
    device: torch.device,
    stop: Callable[[], bool],
) -> Trainer:
    # In this layout a step takes a sixth less time, on CPUs too (bfloat16; a tenth less in float32).
    model = starting_model(config, training, watcher).to(device).to(memory_format=torch.channels_last)
    loss_step = LossStep(config, model, processes.total)
    autocast = _autocast(config, device)
    augmenter = Augmenter(config.augment, model.config, cache_spec(config).spec)
    loader = Loader(
        training,
        augmenter,
        config.schedule.batch,
        shard,
        config.run.seed,
        config.run.loaders,
        _rendered(config, model.config.classes),
        _silhouettes(config, training),
    )
    batches: BatchSource = loader
    if config.transfer.store:
        root = cache_folder(config)
        batches = open_stored_features(config, model, loader, root, watcher, processes, stop, autocast)
    return Trainer(config, model, batches, validation, loss_step, processes, autocast)


def _rendered(config: TrainConfig, classes: Sequence[str]) -> list[Cutting]:
    """Render the objects that are pasted into pictures."""
    if not (config.augment.pictures.paste and config.augment.pictures.rendered):
        return []
    from perception.simulation.cutouts import render_cutouts

    drawn = render_cutouts(CUTOUTS, config.run.seed)
    known = {"": -1, **{label: index for index, label in enumerate(classes)}}
    return [Cutting(known[each.label], each.pixels, each.opacity) for each in drawn if each.label in known]


def _silhouettes(config: TrainConfig, training: Dataset) -> list[list[Cutting]]:
    """Cut out the objects that are pasted into other pictures."""
    pictures = config.augment.pictures
    return cut_silhouettes(training, config.run.seed) if pictures.paste and pictures.silhouettes else []


def _check(config: TrainConfig) -> None:
    """Raise now for errors that would otherwise appear after hours of decoding."""
    check_losses(config)
    check_transfer(config)
    if config.augment.pictures.rendered:
        mujoco()
    if config.transfer.store:
        check_stored_features(config)


def _run(
    config: TrainConfig, trainer: Trainer, watcher: Watcher, stop: Callable[[], bool], probe: Probe | None
) -> tuple[str, Mapping[str, float]]:
    """Train, calibrate and evaluate; return why training ended, and the scores of the evaluation."""
    folder, processes = config.run.out, trainer.processes
    journal = Journal(folder, trainer.step, config.run.tensorboard) if processes.first else None
    save = _saver(folder, _metadata(config, trainer.batches.dataset), processes)
    observer = RunObserver(watcher, journal, save, stop)
    scores: Mapping[str, float] = {}
    try:
        observer.note("begin", trainer.step, _begin(trainer))
        reason = trainer.run(observer, probe)
        if processes.first and reason != "interrupted":
            scores = _finish(config, trainer.step, trainer.batches.dataset, observer)
    finally:
        if journal is not None:
            journal.close()
            if config.run.plots:
                draw_run(folder, watcher)
    return reason, scores


def _finish(config: TrainConfig, step: int, training: Dataset, observer: RunObserver) -> Mapping[str, float]:
    """Calibrate and evaluate the best weights; return the scores of the evaluation."""
    best, last = config.run.out / BEST, config.run.out / LAST
    if not best.exists():  # a run that never validated
        try:
            write_whole(best, last.read_bytes())
        except CheckpointError as error:
            raise TrainingError(f"{error}; the same weights are in {last}") from None
    calibrate(config, best, observer.watcher)
    store_input_profile(best, training)
    if not (config.run.evaluate and validation_logs(config.data)):
        return {}
    scores = evaluate(config, best, config.run.out / REPORT, observer.watcher)
    observer.note("report", step, scores)
    return scores


def _device(config: TrainConfig) -> torch.device:
    wanted = config.run.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(["run.device: expected a CUDA device, found none; use cpu"])
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _set_threads(config: TrainConfig, processes: ProcessGroup, watcher: Watcher) -> None:
    """Compute with the configured threads, else with one for each idle core.

    Two OpenMP threads that wait for each other on busy cores cost ten times the CPU time of one.
    """
    threads = config.run.threads
    if threads is None and processes.size == 1 and "OMP_NUM_THREADS" not in os.environ:
        cores, busy = usable_cores(), os.getloadavg()[0]
        threads = min(torch.get_num_threads(), max(1, round(cores - busy)))
        watcher.message(
            f"threads: {threads}, as {busy:.1f} of {cores} cores are busy; set run.threads for another number"
        )
    if threads is not None:
        torch.set_num_threads(threads)


def _autocast(config: TrainConfig, device: torch.device) -> bool:
    """Return whether forward passes run in bfloat16: as configured, else where the hardware supports it."""
    if config.run.precision != "auto":
        return config.run.precision == "bf16"
    return bool(torch.cuda.is_bf16_supported()) if device.type == "cuda" else processor().bf16


def _metadata(config: TrainConfig, training: Dataset) -> Checkpoint:
    spec = cache_spec(config)
    preprocess = {**DEFAULT_PREPROCESS, "max_range_m": spec.spec.max_range_m}
    preprocess["stretch"] = list(seen_stretch(training, spec.model, config.augment.pictures))
    rate_hz = next((rate for log in training.logs if (rate := log.about["status_rate_hz"])), None)
    if rate_hz is not None:
        preprocess["status_rate_hz"] = rate_hz
    return Checkpoint(config=spec.model, preprocess=preprocess, trained_on=tuple(training.trained_on()))


def _saver(folder: Path, metadata: Checkpoint, processes: ProcessGroup) -> Save:
    """Return a function that writes weights first and the state last.

    A run that is killed in between resumes from the state before.
    """

    def save(model: FusionModel, state: Mapping[str, Any], best: bool) -> None:
        if not processes.first:
            return
        try:
            for name in [LAST, BEST] if best else [LAST]:
                save_checkpoint(folder / name, model, metadata)
        except CheckpointError as error:
            raise TrainingError(f"{error}; the state before is kept, --resume goes on from it") from None
        save_state(folder / STATE, state)

    return save


def _begin(trainer: Trainer) -> dict[str, Any]:
    """Return the first line of a run's metrics."""
    training, validation = trainer.batches.dataset, trainer.validation
    return {
        "samples": len(training),
        "validation_samples": len(validation) if validation is not None else 0,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "processes": trainer.processes.size,
        "device": str(trainer.device),
        "known": json.dumps(training.truth_counts()),
        "units": units(trainer.model.config),
    }
