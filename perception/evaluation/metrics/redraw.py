"""What every metric would have been on other draws of the same blocks, without scoring a frame again.

Metrics remember a few bytes for each detection, truth box and reading. Each is given the block that its frame
lies in; then means are products of weights with sums by block (`weighted.py`), and rankings go through
`ranked.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from perception.evaluation.metrics.base import Metric, Rules
from perception.evaluation.metrics.box_errors import BoxErrors, DistanceErrors
from perception.evaluation.metrics.confusion import Confusion
from perception.evaluation.metrics.control_errors import ControlErrors
from perception.evaluation.metrics.curves import best_f1
from perception.evaluation.metrics.detection_calibration import BINS, DetectionCalibration
from perception.evaluation.metrics.marks import Blocks
from perception.evaluation.metrics.matching import SIZES, THRESHOLDS
from perception.evaluation.metrics.mean_average_precision import MeanAveragePrecision
from perception.evaluation.metrics.precision_recall import PrecisionRecall
from perception.evaluation.metrics.ranked import Weights, average_precisions, best_f1s, segments
from perception.evaluation.metrics.uncertainty import covered_80, negative_log_likelihood, stated
from perception.evaluation.metrics.weighted import mean_deviation, means, medians, totals
from perception.types import Float64

Redrawn = dict[str, Float64]
"""Name of a value -> [D]."""


def redraw(metric: Metric, place: Mapping[str, Blocks], weights: Weights, by_size: bool = True) -> Redrawn:
    """The values of a metric under each row of weights [D, B]; empty for a metric that is not our own.

    Args:
        place: For each of its `tables` the block of each row.
        weights: How often each block counts.
        by_size: Whether `mAP/<size>` is wanted, which is most of the work.
    """
    name = metric.name
    if isinstance(metric, ControlErrors):
        return _control(metric, place, weights)
    if f"{name}/rows" not in place:
        return {}
    rows, truth = place[f"{name}/rows"], place[f"{name}/truth"]
    if isinstance(metric, MeanAveragePrecision):
        return _mean_average_precision(metric, rows, truth, weights, len(SIZES) if by_size else 1)
    if isinstance(metric, PrecisionRecall):
        return _precision_recall(metric, rows, truth, weights)
    if isinstance(metric, DetectionCalibration):
        return _calibration(metric, rows, weights)
    if isinstance(metric, Confusion):
        return _confusion(metric, rows, weights)
    if isinstance(metric, BoxErrors):
        return _boxes(metric, rows, weights)
    if isinstance(metric, DistanceErrors):
        return _distance(metric, rows, weights)
    return {}


def _by_class(labels: Mapping[str, int], label: NDArray[np.int16]) -> list[tuple[str, NDArray[np.bool_]]]:
    """All rows, and those of each class, with what to add to a name."""
    everything = np.ones(len(label), dtype=np.bool_)
    return [("", everything), *((f"/{name}", label == number) for name, number in labels.items())]


def _boxes(metric: BoxErrors, block: Blocks, weights: Weights) -> Redrawn:
    iou = metric.rows["iou"].astype(np.float64)
    found = {
        f"IoU{suffix}": means(block[own], iou[own], weights)
        for suffix, own in _by_class(metric.labels, metric.rows["label"])
    }
    return found | _likelihood("box_", block, metric.rows["error"], metric.rows["std"], weights, metric.rules)


def _distance(metric: DistanceErrors, block: Blocks, weights: Weights) -> Redrawn:
    said, true = metric.rows["said"].astype(np.float64), metric.rows["true"].astype(np.float64)
    good = np.isfinite(said)
    error, true, block = (said - true)[good], true[good], block[good]
    found = {"distance_bias": means(block, error, weights)}
    for suffix, own in _by_class(metric.labels, metric.rows["label"][good]):
        off = np.abs(error[own])
        found[f"distance_abs{suffix}"] = means(block[own], off, weights)
        found[f"distance_rel{suffix}"] = means(block[own], off / true[own], weights)
        found[f"distance_rel_median{suffix}"] = medians(block[own], off / true[own], weights)
    std = metric.rows["std"][good]
    return found | _likelihood("distance_", block, error, std, weights, metric.rules)


def _likelihood(
    what: str,
    block: Blocks,
    error: NDArray[np.floating],
    std: NDArray[np.floating],
    weights: Weights,
    rules: Rules,
    suffix: str = "",
) -> Redrawn:
    errors, stds = error.astype(np.float64), std.astype(np.float64)
    known = stated(stds) & np.isfinite(errors)
    each = np.broadcast_to(block if errors.ndim == 1 else block[:, None], errors.shape)[known]
    errors, stds = errors[known], stds[known]
    return {
        f"{what}coverage80{suffix}": means(
            each, covered_80(errors, stds, rules.family).astype(np.float64), weights
        ),
        f"{what}NLL{suffix}": means(each, negative_log_likelihood(errors, stds, rules.family), weights),
    }


def _control(metric: ControlErrors, place: Mapping[str, Blocks], weights: Weights) -> Redrawn:
    found: Redrawn = {}
    for name, rows in metric.channels.items():
        block = place[f"{metric.name}/{name}"]
        error, true, measured = rows["said"] - rows["true"], rows["true"], rows["measured"]
        squares, mean = means(block, error**2, weights), means(block, true, weights)
        centre = float(true.mean()) if len(true) else 0.0
        # About a fixed centre, so that nothing cancels: truth may vary little about a large mean.
        spread = means(block, (true - centre) ** 2, weights) - (mean - centre) ** 2
        known = np.isfinite(measured)
        found |= {
            f"MAE/{name}": means(block, np.abs(error), weights),
            f"RMSE/{name}": np.sqrt(squares),
            f"bias/{name}": means(block, error, weights),
            f"R2/{name}": np.divide(
                spread - squares, spread, out=np.full(len(weights), np.nan), where=spread > 0
            ),
            f"MAE_mean/{name}": mean_deviation(block, true, mean, weights),
            f"MAE_persistence/{name}": means(block[known], np.abs(measured - true)[known], weights),
        }
        found |= _likelihood("", block, error, rows["std"], weights, metric.rules, f"/{name}")
    return found


def _calibration(metric: DetectionCalibration, block: Blocks, weights: Weights) -> Redrawn:
    """The bins stay those of all data."""
    found = {}
    for suffix, own in _by_class(metric.labels, metric.rows["label"]):
        score, correct = metric.rows["score"][own], metric.rows["correct"][own]
        if not len(score):
            continue
        edges = np.quantile(score, np.linspace(0, 1, BINS + 1))
        flat = block[own] * BINS + np.searchsorted(edges[1:-1], score)
        shape = (weights.shape[1], BINS)
        gap = np.bincount(flat, score - correct, shape[0] * BINS).reshape(shape)
        count = weights @ np.bincount(block[own], minlength=shape[0])
        off = np.abs(weights @ gap).sum(axis=1)
        found[f"D-ECE{suffix}"] = np.divide(off, count, out=np.full(len(off), np.nan), where=count > 0)
    return found


def _confusion(metric: Confusion, block: Blocks, weights: Weights) -> Redrawn:
    """The cut-off stays that of all data."""
    order = np.lexsort((metric.rows["stamp_ns"], -metric.rows["score"]))
    score, label, true = (metric.rows[column] for column in ("score", "label", "true"))
    cut = metric.score
    if cut is None:
        cut = best_f1((label == true)[order], score[order], len(metric.truth)).score
    matched = (score >= cut) & (true >= 0)
    wrong = (label != true)[matched].astype(np.float64)
    return {"confused": means(block[matched], wrong, weights)}


def _ranked(metric: PrecisionRecall | MeanAveragePrecision) -> NDArray[np.intp]:
    order: NDArray[np.intp] = np.lexsort((metric.rows["stamp_ns"], -metric.rows["score"]))
    return order


def _precision_recall(metric: PrecisionRecall, block: Blocks, truth: Blocks, weights: Weights) -> Redrawn:
    order = _ranked(metric)
    label, hit, score = (metric.rows[column][order] for column in ("label", "hit", "score"))
    block = block[order]
    found: Redrawn = {}
    parts = zip(_by_class(metric.labels, label), _by_class(metric.labels, metric.truth["label"]), strict=True)
    for (suffix, own), (_, own_truth) in parts:
        truths = totals(truth[own_truth], weights)
        ranking = segments(hit[own], score[own], block[own], weights, whole_ties=True)
        best = best_f1s(ranking, truths)
        found |= {
            f"F1{suffix}": best.f1,
            f"recall{suffix}": best.recall,
            f"precision{suffix}": best.precision,
            f"F1_score{suffix}": best.score,
        }
        if suffix:
            ranking = segments(hit[own], score[own], block[own], weights)
            found[f"AP50{suffix}"] = average_precisions(ranking, truths)
    return found


def _mean_average_precision(
    metric: MeanAveragePrecision, block: Blocks, truth: Blocks, weights: Weights, sizes: int
) -> Redrawn:
    """Classes are those that have enough truth over all data, as there."""
    order = _ranked(metric)
    label, hit, dropped, score = (metric.rows[name][order] for name in ("label", "hit", "dropped", "score"))
    block = block[order]
    precision: dict[int, dict[str, Float64]] = {size: {} for size in range(len(SIZES))}  # [D, T] by class
    for name, number in metric.labels.items():
        own, own_truth = np.flatnonzero(label == number), metric.truth["label"] == number
        for size in range(sizes):
            counts = own_truth & ((metric.truth["sizes"] & (1 << size)) != 0)
            if np.count_nonzero(counts) < metric.rules.min_support:
                continue
            truths = totals(truth[counts], weights)
            table = np.empty((len(weights), len(THRESHOLDS)))
            for step in range(len(THRESHOLDS)):
                bit = np.uint16(1 << step)
                kept = own[(dropped[own, size] & bit) == 0]
                ranking = segments((hit[kept, size] & bit) != 0, score[kept], block[kept], weights)
                table[:, step] = average_precisions(ranking, truths)
            precision[size][name] = table

    def mean(tables: Sequence[Float64]) -> Float64:
        """Over classes and thresholds; a draw without truth of a class goes without the class."""
        stack = np.stack([table.mean(axis=1) for table in tables])
        known = np.isfinite(stack)
        total = np.where(known, stack, 0.0).sum(axis=0)
        return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)

    found: Redrawn = {}
    if precision[0]:
        every = list(precision[0].values())
        found["mAP50"] = mean([table[:, :1] for table in every])
        found["mAP75"] = mean([table[:, 5:6] for table in every])
        found["mAP"] = mean(every)
        found |= {f"AP/{name}": table.mean(axis=1) for name, table in precision[0].items()}
    for size, name in list(enumerate(SIZES))[1:]:
        if precision[size]:
            found[f"mAP/{name}"] = mean(list(precision[size].values()))
    return found
