"""The paired comparison of old and new weights on the part with truth, which nothing is learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perception.evaluation import EvaluateOptions
from perception.evaluation.comparison.comparison_report import CompareReport
from perception.evaluation.comparison.paired_evaluation import PairedEvaluation, Side
from perception.evaluation.resampling import Resampling
from perception.logs import open_log
from perception.pipeline import ReplayOptions, Span
from perception.pipeline.log_source import WHOLE
from perception.plugin import load_plugin
from perception.training.adaptation.report import ScoreChange, Truthful
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.dataset import held_out_from_ns
from perception.training.data.sample_cache import CachedLog
from perception.training.final_evaluation import REFERENCE_ENGINE
from perception.training.train_config import DataConfig

MAIN = ("AP50", "mAP", "distance_rel", "D-ECE", "joint", "MAE/")
"""Names of values, or their beginnings, that decide."""


def check_on_truth(
    weights: tuple[Path, Path],
    validate: Sequence[Path],
    held_out: Sequence[CachedLog],
    data: DataConfig,
    spec: CacheSpec,
    threads: int | None = None,
) -> Truthful | None:
    """Return how old and new weights compare; None where there is no truth.

    Args:
        weights: Old and new.
        validate: Whole logs with truth; empty: the held-out part of the logs that were adapted to.
        held_out: Those logs.
        data: Says which part of them was held out.
        spec: How logs are read.
        threads: That compute.
    """
    sides = tuple(
        Side(name, "checkpoint", lambda: load_plugin("fusion"), path)
        for name, path in zip(("before", "after"), weights, strict=True)
    )
    options = EvaluateOptions(resampling=Resampling(), replay=ReplayOptions(device="cpu"))
    comparison = PairedEvaluation((sides[0], sides[1]), options)
    parts: list[tuple[Path, Span]] = (
        [(path, WHOLE) for path in validate]
        if validate
        else [(cached.log, Span(held_out_from_ns(cached, data))) for cached in held_out]
    )
    for path, span in parts:
        with open_log(path) as log:
            config = spec.config_for(log)
            engine = config.engine.model_copy(update={**REFERENCE_ENGINE, "threads": threads})
            plugin = config.plugin.model_copy(update={"name": "fusion", "options": {}})
            config = config.model_copy(update={"engine": engine, "plugin": plugin})
            comparison.add(log, config, span=span)
    source = "the logs of --validate" if validate else "the held-out part, which has truth"
    return _truthful(source, comparison.report(0))


def _truthful(source: str, report: CompareReport) -> Truthful | None:
    scores = [
        ScoreChange(value.metric, value.a, value.b, value.difference.verdict)
        for value in report.metrics
        if value.metric.startswith(MAIN) and (value.a is not None or value.b is not None)
    ]
    if not scores:
        return None
    blocks = report.resampling.heads if report.resampling is not None else {}
    reasons = {head: blocks[head].no_interval for head in blocks if blocks[head].no_interval}
    no_verdict = "; ".join(f"{head}: {why}" for head, why in reasons.items())
    return Truthful(source, tuple(scores), no_verdict, tuple(each["text"] for each in report.warnings))


def surely_worse(truth: Truthful | None) -> list[str]:
    """Return why the part with truth speaks against the new weights; empty: it does not."""
    if truth is None:
        return []
    return [
        f"on {truth.source} {score.name} is surely worse: {score.before:.4g} before, {score.after:.4g} after"
        for score in truth.scores
        if score.verdict == "worse" and score.before is not None and score.after is not None
    ]
