"""Calibration of a checkpoint's confidence for each subset of the sensors, on logs used for nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from perception.evaluation import SUBSETS, subset_name
from perception.evaluation.metrics import Rules
from perception.evaluation.metrics.frame import ScoredFrame
from perception.models import FusionModel
from perception.models.calibration import fit_factor, fit_scores, spread_of
from perception.models.checkpoint import load_checkpoint, save_checkpoint
from perception.models.decode import Calibration
from perception.models.tensors import Inputs
from perception.training.data.augmentation import without
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import TrainingSample, collate
from perception.training.validation import incomplete_classes, output_of, truth_of
from perception.types import SENSORS, Output

FITTED_FROM = 0.05
"""Detections of lower scores are left out of the fit: many and rarely right, they would dominate it."""

Rows = dict[str, list[Any]]


def calibrate_checkpoint(path: Path, dataset: Dataset, most: int = 1500) -> dict[str, int]:
    """Fit scores and standard deviations, and write them into the checkpoint.

    Args:
        path: The checkpoint; it is replaced.
        dataset: Samples of logs used neither to train nor to select the model.
        most: Samples used, evenly spaced.

    Returns:
        Subset -> number of detections that its fit used.

    Raises:
        CheckpointError: The checkpoint cannot be read or written.
    """
    model, meta = load_checkpoint(path)
    _forget(model.decoder.calibration)
    rows_by_subset = _collect(model, dataset.some(most))
    counts = {}
    for subset in SUBSETS:
        rows = rows_by_subset[subset]
        _fit(model, subset, rows)
        counts[subset_name(subset)] = sum(len(part) for part in rows["hit"])
    about = {
        "method": "platt+spread/quantile80",
        "samples": min(len(dataset), most),
        "logs": [s["log"] for s in dataset.trained_on()],
    }
    save_checkpoint(path, model, replace(meta, calibration={**about, "detections": counts}))
    return counts


def _collect(model: FusionModel, dataset: Dataset) -> dict[tuple[str, ...], Rows]:
    rows_by_subset: dict[tuple[str, ...], Rows] = {subset: defaultdict(list) for subset in SUBSETS}
    family: Literal["gaussian", "laplace"] = (
        "gaussian" if model.config.loss_family == "gaussian" else "laplace"
    )
    rules = Rules(family=family)
    for index in range(len(dataset)):
        for subset, left, output in outputs_on_subsets(model, dataset[index]):
            _take(rows_by_subset[subset], output, left, model, rules)
    return rows_by_subset


def outputs_on_subsets(
    model: FusionModel, example: TrainingSample
) -> Iterator[tuple[tuple[str, ...], TrainingSample, Output]]:
    """Yield each subset of the sensors that leaves any of a sample, what it leaves, and its output."""
    masks = torch.tensor([[name in subset for name in SENSORS] for subset in SUBSETS])
    inputs = Inputs(*(torch.from_numpy(a) for a in collate([example]).inputs))
    with torch.inference_mode():
        answers = [type(p)(*(t[0].numpy() for t in p)) for p in model.on_subsets(inputs, masks)]
    for subset, answer in zip(SUBSETS, answers, strict=True):
        left = _with_only(example, subset)
        if left.inputs.present.any():
            yield subset, left, output_of(left, answer, model.config)


def _with_only(example: TrainingSample, subset: tuple[str, ...]) -> TrainingSample:
    """Return the sample with every sensor outside the subset absent."""
    inputs = example.inputs
    for sensor, name in enumerate(SENSORS):
        if name not in subset:
            inputs = without(inputs, sensor)
    return example._replace(inputs=inputs)


def _take(rows: Rows, output: Output, example: TrainingSample, model: FusionModel, rules: Rules) -> None:
    """Add the counted detections, the matches and the control values of one frame to the rows."""
    truth = truth_of(example.truth, model.config)
    frame = ScoredFrame(output, truth, rules)
    if frame.state == "scored":
        label = np.array([model.config.classes.index(name) for name in frame.names], int)[frame.label]
        # Where objects of a class lack their boxes, it is not known which detections are right.
        complete = ~np.isin(model.config.classes, incomplete_classes(example.truth, model.config))
        counted = ~frame.dropped50 & (frame.score >= FITTED_FROM) & complete[label]
        rows["score"].append(frame.score[counted])
        rows["label"].append(label[counted])
        rows["hit"].append(frame.hit50[counted])
        rows["spread"].append(spread_of(frame.box[counted], frame.box_std[counted]))
        matched = np.flatnonzero(frame.hit50)
        target = frame.matches50[matched]
        rows["box"].append(frame.box[matched] - frame.truth_box[target])
        rows["box_std"].append(frame.box_std[matched])
        rows["distance"].append(frame.distance[matched] - frame.truth_distance[target])
        rows["distance_std"].append(frame.distance_std[matched])
    if output.control is not None and output.control.valid and truth.control is not None:
        true = [truth.control.get(channel.name, np.nan) for channel in output.control.channels]
        rows["control"].append([c.value - t for c, t in zip(output.control.channels, true, strict=True)])
        rows["control_std"].append([channel.std for channel in output.control.channels])


def _fit(model: FusionModel, subset: tuple[str, ...], rows: Rows) -> None:
    calibration, config = model.decoder.calibration, model.config
    row = sum(1 << sensor for sensor, name in enumerate(SENSORS) if name in subset)
    if rows["score"]:
        score = np.clip(np.concatenate(rows["score"]), 1e-6, 1 - 1e-6)
        logit, hit = np.log(score / (1 - score)), np.concatenate(rows["hit"])
        label, spread = np.concatenate(rows["label"]), np.concatenate(rows["spread"])
        buffers = (calibration.score_scale, calibration.score_bias, calibration.score_spread)
        for index in range(len(config.classes)):
            chosen = label == index
            for buffer, value in zip(
                buffers, fit_scores(logit[chosen], hit[chosen], spread[chosen]), strict=True
            ):
                buffer[row, index] = value
    for name, buffer in (
        ("box", calibration.box_factor),
        ("distance", calibration.distance_factor),
        ("control", calibration.control_factor),
    ):
        if rows[name]:
            errors, stds = (
                np.concatenate(rows[key]) if name != "control" else np.array(rows[key])
                for key in (name, f"{name}_std")
            )
            width = buffer.shape[1]
            errors, stds = errors.reshape(-1, width), stds.reshape(-1, width)
            for column in range(width):
                buffer[row, column] = fit_factor(errors[:, column], stds[:, column], config.loss_family)


def _forget(calibration: Calibration) -> None:
    """Reset the calibration to the identity."""
    for buffer in (
        calibration.score_scale,
        calibration.box_factor,
        calibration.distance_factor,
        calibration.control_factor,
    ):
        buffer.fill_(1.0)
    calibration.score_bias.zero_()
    calibration.score_spread.zero_()
