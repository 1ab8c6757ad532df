"""The steps after training: calibration of confidence, and evaluation of the checkpoint as a plugin."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from perception.errors import TrainingError
from perception.evaluation import EvaluateOptions, Evaluation, subset_name
from perception.evaluation.report.schema import EvaluationReport
from perception.files import write_problem, write_whole
from perception.logs import open_log
from perception.models.checkpoint import read_metadata
from perception.models.preprocess import InputSpec
from perception.pipeline import ReplayOptions, Span
from perception.plugin import load_plugin
from perception.text import plural
from perception.training.calibration import calibrate_checkpoint
from perception.training.data.dataset import Dataset, complete_classes, held_out_from_ns, open_dataset
from perception.training.data.sample_cache import cached_log, find_logs
from perception.training.data.splits import cache_folder, cache_spec, validation_logs
from perception.training.loop.observer import Watcher
from perception.training.output_stats import store_output_stats
from perception.training.train_config import TrainConfig
from perception.types import SENSORS

REFERENCE_ENGINE = {"precision": "fp32", "backend": "torch"}
"""The engine of the final scores, the same on every machine."""

SHOWN = ("joint", "mAP50", "mAP", "distance_rel", "D-ECE", "MAE/", "MAE_persistence/")


def calibrate(config: TrainConfig, checkpoint: Path, watcher: Watcher) -> None:
    """Calibrate the confidence of a checkpoint on the logs of `data.calibrate`, if there are any.

    Also writes the statistics of its outputs on these logs into it, for the monitor.
    """
    if not config.data.calibrate:
        if config.run.evaluate:  # what runs trainings without a report, as `adapt`, sees to it itself
            watcher.message(
                "scores and deviations are as learned, without a calibration, also where the weights that it "
                "began with had one; name logs that serve nothing else in data.calibrate (--calibrate)"
            )
        return
    logs = find_logs(config.data.calibrate, "calibrate")
    every = config.data.model_copy(update={"start_s": None, "end_s": None})
    watcher.message(f"calibrating on {plural(len(logs), 'log')}")
    spec, folder = cache_spec(config), cache_folder(config)
    dataset = open_dataset(logs, every, spec, folder)
    _warn_of_shared(config, checkpoint, dataset, watcher)
    replayed = replace(spec, spec=read_metadata(checkpoint).input_spec(spec.spec.max_range_m, checkpoint))
    if _lie_elsewhere(dataset, spec.spec, replayed.spec):
        dataset = open_dataset(logs, every, replayed, folder)
    counts = calibrate_checkpoint(checkpoint, dataset)
    store_output_stats(checkpoint, dataset)
    watcher.message(f"calibrated on {counts[subset_name(SENSORS)]} detections")


def _lie_elsewhere(dataset: Dataset, one: InputSpec, other: InputSpec) -> bool:
    """Return whether any picture lies elsewhere in the input by one specification than by another."""
    sizes = {tuple(size) for log in dataset.logs for size in np.unique(log.column("source_size"), axis=0)}
    return any(one.area(*size) != other.area(*size) for size in sizes)


def _warn_of_shared(config: TrainConfig, checkpoint: Path, dataset: Dataset, watcher: Watcher) -> None:
    """Tell the watcher about logs that also trained the weights, copies of them too, or that chose them."""
    trained = {source.get("cache") for source in read_metadata(checkpoint).trained_on}
    validated = {path.resolve() for path in find_logs(config.data.validate_, "validate")}
    shared = sum(log.folder.name in trained or log.log.resolve() in validated for log in dataset.logs)
    if shared:
        watcher.message(
            f"{shared} of the logs to calibrate on were also trained or validated on: scores will claim "
            "too much; name logs in data.calibrate that serve nothing else"
        )


def evaluate(config: TrainConfig, checkpoint: Path, report: Path, watcher: Watcher) -> dict[str, float]:
    """Score a checkpoint on replays of the validation logs, write the report, and return the main scores.

    Raises:
        TrainingError: The report cannot be written.
    """
    spec = cache_spec(config)
    evaluation = Evaluation(
        EvaluateOptions(ablate="sensors" if config.run.ablate else None, replay=ReplayOptions(device="cpu"))
    )
    for path in validation_logs(config.data):
        with open_log(path) as log:
            chosen = spec.config_for(log)
            plugin = chosen.plugin.model_copy(update={"name": "fusion", "checkpoint": checkpoint})
            engine = chosen.engine.model_copy(update={**REFERENCE_ENGINE, "threads": config.run.threads})
            watcher.message(f"evaluating on {path.name}")
            truth = chosen.truth.model_copy(update={"incomplete_classes": _incomplete(config, path)})
            evaluation.replay(
                log,
                chosen.model_copy(update={"plugin": plugin, "engine": engine, "truth": truth}),
                lambda: load_plugin("fusion"),
                span=_held_out(config, path),
            )
    result = evaluation.report()
    try:
        write_whole(report, json.dumps(result.to_json(), indent=2, ensure_ascii=False).encode())
    except OSError as error:
        raise TrainingError(
            f"cannot write {report}: {write_problem(report, error)}; the weights are kept"
        ) from None
    return main_scores(result)


def _incomplete(config: TrainConfig, log: Path) -> tuple[str, ...]:
    """Return the classes of which the log does not label every object."""
    classes = config.model_shape().classes
    complete = complete_classes(log, config.data, classes)
    return tuple(label for label, known in zip(classes, complete, strict=True) if not known)


def _held_out(config: TrainConfig, log: Path) -> Span | None:
    """Return the part of a log that is held out; None where whole logs are."""
    if config.data.validate_last is None:
        return None
    cached = cached_log(log, cache_spec(config), cache_folder(config))
    end_s = config.data.end_s
    end_ns = None if end_s is None else cached.about["start_ns"] + round(end_s * 1e9)
    return Span(held_out_from_ns(cached, config.data), end_ns)


def main_scores(report: EvaluationReport) -> dict[str, float]:
    """Return the main scores of a report."""
    scores: dict[str, float] = {}
    for metrics in report.heads.values():
        for metric in metrics.values():
            for name, value in metric.values.items():
                if (
                    name.startswith(SHOWN)
                    and value.value is not None
                    and ("/" not in name or name.startswith("MAE"))
                ):
                    scores.setdefault(name, value.value)
    return scores
