"""The scores of one model in two precisions, paired on the same logs, on every subset of the sensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from perception.autoconfig import Overrides, complete_config
from perception.evaluation.ablation.sensor_subsets import SUBSETS, Subset, SubsetsPlugin, subset_name
from perception.evaluation.comparison.paired_evaluation import PairedEvaluation, Side
from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.resampling import Resampling
from perception.logs import open_log
from perception.pipeline import ReplayOptions
from perception.plugin import Plugin, load_plugin

MAIN = ("mAP50", "mAP", "distance_rel", "D-ECE", "MAE/")
"""Names of values, or their beginnings, that decide."""


class PrecisionScore(NamedTuple):
    """One score of one subset of the sensors in both precisions; `verdict` is about the second.

    `no_verdict` says why the logs cannot tell, however large the loss is; empty: they could.
    """

    subset: str
    metric: str
    before: float | None
    after: float | None
    verdict: str
    no_verdict: str = ""


def precision_scores(
    weights: Path, logs: Sequence[Path], precisions: tuple[str, str] = ("fp32", "int8")
) -> list[PrecisionScore]:
    """Return the scores of a fusion model by OpenVINO in two precisions; none where the logs have no truth.

    Args:
        weights: The checkpoint; the graphs beside it are used.
        logs: With truth.
        precisions: The one to compare with, and the one in question.

    Raises:
        PerceptionError: A log cannot be read, or the model cannot be opened.
    """
    scores = []
    for subset in SUBSETS:
        pair = _paired(weights, logs, precisions, subset)
        if pair is None:
            continue
        report = pair.report(0)
        blocks = report.resampling.heads if report.resampling is not None else {}
        scores += [
            PrecisionScore(
                subset_name(subset),
                value.metric,
                value.a,
                value.b,
                value.difference.verdict,
                blocks[value.head].no_interval if value.head in blocks else "",
            )
            for value in report.metrics
            if value.metric.startswith(MAIN) and "/" not in value.metric.removeprefix("MAE/")
            if value.a is not None or value.b is not None
        ]
    return scores


def _paired(
    weights: Path, logs: Sequence[Path], precisions: tuple[str, str], subset: Subset
) -> PairedEvaluation | None:
    """Return the evaluation of one subset; None where no log has all its sensors."""

    def load() -> Plugin:
        return SubsetsPlugin(lambda: load_plugin("fusion"), (subset,))

    first, second = (
        Side(precision, "checkpoint", load, weights, precision=precision) for precision in precisions
    )
    options = EvaluateOptions(resampling=Resampling(), replay=ReplayOptions(device="cpu"))
    pair, seen = PairedEvaluation((first, second), options), False
    for path in logs:
        with open_log(path) as log:
            config = complete_config(log, overrides=Overrides("fusion", weights)).config
            if not set(subset) <= set(config.sensors.kinds):
                continue
            engine = config.engine.model_copy(update={"backend": "openvino"})
            pair.add(log, config.model_copy(update={"engine": engine}))
            seen = True
    return pair if seen else None
