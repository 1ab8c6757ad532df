"""Scores of each head that need no other head: its map compared with its target map.

A model whose class head alone was trained has no boxes, so its mAP means nothing, and a box head alone
detects no objects. These scores are defined for every run that trained the head, alone or with others.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception.models import DenseOutputs, FusionModel
from perception.models.tensors import Inputs
from perception.training.data.dataset import Dataset
from perception.training.data.training_sample import collate
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.loop.loss_step import LossStep
from perception.training.losses import Targets
from perception.training.losses.targets import TAUGHT_FROM
from perception.training.train_config import TrainConfig
from perception.types import Float32

BATCH = 8


@torch.inference_mode()
def dense_scores(model: FusionModel, dataset: Dataset, config: TrainConfig) -> dict[str, float]:
    """Return the loss and the dense score of each head; heads without truth are left out.

    ================  ===================================================================================
    key               value
    ================  ===================================================================================
    `loss/<head>`     the loss that training minimises, over all samples, unweighted
    `class_AP`        mean over classes of the average precision with which cells that hold an object's
                      centre are ranked above those outside any object of the class
    `box_IoU`         mean over objects of the overlap of box and truth, at its cells
    `distance_err`    median relative error, at the objects' cells
    ================  ===================================================================================
    """
    loss_step, schedule = LossStep(config, model), HeadSchedule(config.schedule)
    model.eval()
    last = config.schedule.steps - 1
    sums: dict[str, float] = {}
    cells: list[tuple[Float32, ...]] = []
    for start in range(0, len(dataset), BATCH):
        batch = collate([dataset[i] for i in range(start, min(start + BATCH, len(dataset)))])
        outputs = model.dense(Inputs(*(torch.from_numpy(a).to(loss_step.device) for a in batch.inputs)))
        true = loss_step.targets(model, batch, schedule, last)
        for head, (loss, count) in _losses(loss_step, outputs, true).items():
            sums[head] = sums.get(head, 0.0) + loss
            sums[f"#{head}"] = sums.get(f"#{head}", 0.0) + count
        cells.append(_cells(outputs, true))
    scores = {
        f"loss/{head}": loss / sums[f"#{head}"]
        for head, loss in sums.items()
        if not head.startswith("#") and sums[f"#{head}"] > 0
    }
    heat, target, overlap, weight, error, measured = (
        np.concatenate(parts) for parts in zip(*cells, strict=True)
    )
    precision = mean_precision(heat, target)
    if precision is not None:
        scores["class_AP"] = precision
    if weight.sum() > 0:
        scores["box_IoU"] = float((overlap * weight).sum() / weight.sum())
    if measured.sum() > 0:
        scores["distance_err"] = weighted_median(error, measured)
    return scores


def mean_precision(heat: Float32, target: Float32) -> float | None:
    """Return the mean over classes of average precision; None where no cell holds a centre.

    Args:
        heat: [N, C] predicted heat of N cells.
        target: [N, C] 1: a centre; below `TAUGHT_FROM`: background; NaN or between: not counted.
    """
    precisions = []
    for predicted, true in zip(heat.T, target.T, strict=True):
        counted = (true == 1) | (true < TAUGHT_FROM)
        precision = average_precision(predicted[counted], true[counted] == 1)
        if precision is not None:
            precisions.append(precision)
    return float(np.mean(precisions)) if precisions else None


def average_precision(predicted: Float32, positive: NDArray[np.bool_]) -> float | None:
    """Return the mean, over positives, of the precision at their score; None without positives."""
    if not positive.any():
        return None
    order = np.argsort(-predicted, kind="stable")
    predicted, positive = predicted[order], positive[order]
    last = np.flatnonzero(np.append(predicted[1:] != predicted[:-1], True))  # ties count together
    hits = np.cumsum(positive)[last]
    new = np.diff(hits, prepend=0)
    return float((new * hits / (last + 1)).sum() / hits[-1])


def weighted_median(values: Float32, weights: Float32) -> float:
    """Return the value up to which half the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _losses(loss_step: LossStep, outputs: DenseOutputs, true: Targets) -> dict[str, tuple[float, float]]:
    """Return head -> sum and count of its loss in a batch; without those of further heads."""
    losses = loss_step.head_losses(outputs, true, torch.ones_like)
    boxes, measured, known = (
        float(n) for n in (true.objects, true.distance_weight.sum(), true.control_known.sum())
    )
    counts = {"class": boxes, "box": boxes, "distance": measured, "control": known}
    return {head: (float(losses[head]), count) for head, count in counts.items()}


def _cells(outputs: DenseOutputs, true: Targets) -> tuple[Float32, ...]:
    """Return heat and target [cells, C]; overlap, its weight, distance error and its weight [cells]."""
    classes = true.heatmap.shape[1]
    target = torch.where(true.counted > 0, true.heatmap, torch.nan)
    heat, aim = (x.movedim(1, -1).reshape(-1, classes).cpu().numpy() for x in (outputs.heatmap, target))
    error = (outputs.distance_log - true.distance_log).exp().sub(1).abs()
    flat = (overlap(outputs.ltrb, true.ltrb), true.box_weight, error, true.distance_weight)
    return heat, aim, *(x.float().flatten().cpu().numpy() for x in flat)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Return [B, 1, h, w]: the IoU of boxes given by the distances of their sides from one point."""
    low = torch.minimum(one, other)
    both = (low[:, 0] + low[:, 2]) * (low[:, 1] + low[:, 3])
    areas = [(x[:, 0] + x[:, 2]) * (x[:, 1] + x[:, 3]) for x in (one, other)]
    return (both / (areas[0] + areas[1] - both).clamp(min=1e-6)).unsqueeze(1)
