"""Statistics of a checkpoint's outputs, written into its metadata as the baseline of a monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from perception.diagnosis.monitor import Statistics, StatsCollector, SubsetStats, to_plain
from perception.diagnosis.monitor.baseline_stats import KEY
from perception.diagnosis.monitor.input_monitor import still_share
from perception.evaluation import SUBSETS, subset_name
from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.training.calibration import outputs_on_subsets
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import TrainingSample
from perception.types import SENSORS


def store_output_stats(path: Path, dataset: Dataset, most: int = 1500) -> dict[str, SubsetStats]:
    """Measure the outputs of a checkpoint by subset of the sensors, and write them into its metadata.

    Call it after confidence calibration, which changes the outputs.

    Args:
        path: The checkpoint; it is replaced, with the same weights.
        dataset: Samples of logs that did not train the model.
        most: Samples used, in evenly spaced pieces.

    Returns:
        Subset -> statistics, as they are under `calibration.output_stats`.

    Raises:
        CheckpointError: The checkpoint cannot be read or written.
    """
    model, meta = load_checkpoint(path)
    samples = dataset.pieces(most)
    collected = {subset: StatsCollector() for subset in SUBSETS}
    for index in samples.by_camera():
        example = samples[index]
        for subset, left, output in outputs_on_subsets(model, example):
            if _present(left) == subset:  # a sensor absent from the sample itself leaves a smaller subset
                collected[subset].add(replace(output, tick=samples.tick(example)), _figures(left))
    stats = {subset_name(subset): c.stats() for subset, c in collected.items() if c.frames}
    calibration: Mapping[str, object] = {**meta.calibration, KEY: to_plain(stats)}
    save_checkpoint(path, model, replace(meta, calibration=calibration))
    return stats


def _figures(example: TrainingSample) -> Statistics:
    """Return the statistics of the inputs that a monitor computes from a sample."""
    ages = {
        name: {"age_ms": 1e3 * float(age)}
        for name, age, flag in zip(SENSORS, example.inputs.age_s, example.inputs.present, strict=True)
        if flag > 0
    }
    if "status" in ages:
        ages["status"]["still"] = still_share(example.inputs.status)
    return ages


def _present(example: TrainingSample) -> tuple[str, ...]:
    return tuple(name for name, flag in zip(SENSORS, example.inputs.present, strict=True) if flag > 0)
