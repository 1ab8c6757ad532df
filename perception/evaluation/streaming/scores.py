"""Streaming scores, which count latency (Li, Wang, Ramanan 2020, "Towards Streaming Perception").

A single worker is simulated. A tick that arrives while it is busy waits; only the newest waits, the others
are skipped. An output exists once the worker is done with its tick: at the tick's arrival plus the latency,
later where the tick had to wait. Every truth is matched with the newest output that exists by its stamp,
whatever moment that output speaks of. Times are the log's own, so at a given latency nothing depends on the
machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from perception.config import Config
from perception.evaluation.head_scores import scores_of
from perception.evaluation.metrics import Rules, Suite
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.stress_schema import StreamingReport
from perception.evaluation.report.value_schema import by_head
from perception.evaluation.streaming.output_store import OutputCollector, OutputStore
from perception.evaluation.streaming.truths import cameras_of, truths_of
from perception.evaluation.streaming.worker import newest, work
from perception.logs import Log, open_log
from perception.pipeline.log_source import WHOLE, Span
from perception.types import Control, Detections, Output, Tick, TruthFrame, absent_sample, camera_views

NO_OUTPUT = "no output yet"


class _Source(NamedTuple):
    """One log with its truth, and its outputs."""

    path: Path
    config: Config
    outputs: OutputStore
    span: Span


class Streaming:
    """A collector of the outputs of logs that simulates workers of any latency on them."""

    def __init__(self) -> None:
        self._sources: list[_Source] = []

    def collector(self, log: Log, config: Config, span: Span = WHOLE) -> OutputCollector:
        """Return the sink for a replay of a part of a log."""
        return OutputCollector(self._store(log, config, span))

    def add(self, log: Log, config: Config, outputs: Iterable[Output], span: Span = WHOLE) -> None:
        """Add stored outputs of a part of a log, in order, and the log that holds their truth."""
        store = self._store(log, config, span)
        for output in outputs:
            store.add(output)

    def report(self, latency_ms: float, rules: Rules, measured: bool = False) -> StreamingReport:
        """Return the scores over all logs at one latency.

        Args:
            rules: The rules of the evaluation.
            measured: Whether the latency is the run's own.

        Raises:
            LogError: A log can no longer be read.
        """
        if not 0 <= latency_ms < float("inf"):
            raise ValueError(f"expected a latency from 0 ms, found {latency_ms}")
        suite, ages_ms = Suite(rules), []
        truths = unanswered = processed = ticks = 0
        for source in self._sources:
            done = work(source.outputs.arrivals_ns, round(latency_ms * 1e6))
            processed, ticks = processed + len(done.taken), ticks + len(source.outputs)
            with open_log(source.path) as log:
                for truth in truths_of(log, source.config, source.span):
                    truths += 1
                    place = newest(done.exists_ns, truth.stamp_ns)
                    if place < 0:
                        unanswered += 1
                        output = _nothing(truth, source.outputs.heads)
                    else:
                        output = source.outputs.get(int(done.taken[place]))
                        ages_ms.append((truth.stamp_ns - output.tick.stamp_ns) / 1e6)
                    _score(suite, output, truth, source.config)
        heads = by_head(suite.compute())
        return StreamingReport(
            latency_ms=round(latency_ms, 3),
            measured=measured,
            truths=truths,
            unanswered=unanswered,
            processed=processed,
            skipped=ticks - processed,
            age_ms=_quantiles(ages_ms),
            scores=scores_of(heads),
            heads=heads,
        )

    def close(self) -> None:
        """Delete the temporary files."""
        for source in self._sources:
            source.outputs.close()
        self._sources.clear()

    def _store(self, log: Log, config: Config, span: Span) -> OutputStore:
        store = OutputStore()
        self._sources.append(_Source(log.path, config, store, span))
        return store


def add_streaming_scores(
    report: EvaluationReport,
    streaming: Streaming,
    latencies_ms: Sequence[float | Literal["measured"]],
    rules: Rules,
    batch: int,
) -> EvaluationReport:
    """Return the report with the scores at each latency; the measured one needs times of batch 1."""
    scores = []
    for latency in latencies_ms:
        if latency != "measured":
            scores.append(streaming.report(latency, rules))
            continue
        median = _median_ms(report)
        if median is None or batch != 1:
            why = "times of batch 1 are needed" if batch != 1 else "too few frames were timed"
            warning = {"code": "no_latency", "text": f"no measured latency: {why}", "count": 1, "log": ""}
            report = report.model_copy(update={"warnings": [*report.warnings, warning]})
        else:
            scores.append(streaming.report(median, rules, measured=True))
    scores.sort(key=lambda score: score.latency_ms)
    if len(scores) > 1:
        scores = [without_details(score) for score in scores]
    return report.model_copy(update={"streaming": scores})


def _median_ms(report: EvaluationReport) -> float | None:
    """Return the median frame time measured by the evaluation."""
    latency = report.heads.get("timing", {}).get("latency")
    value = latency.values.get("p50/total") if latency is not None else None
    return None if value is None else value.value


def without_details(report: StreamingReport) -> StreamingReport:
    """Return the report without curves and matrices."""
    heads = {
        head: {name: metric.model_copy(update={"details": {}}) for name, metric in metrics.items()}
        for head, metrics in report.heads.items()
    }
    return report.model_copy(update={"heads": heads})


def _score(suite: Suite, output: Output, truth: TruthFrame, config: Config) -> None:
    """Score an output; of several cameras each as a frame of its own."""
    cameras = cameras_of(config) if truth.cameras else ()
    sample = absent_sample(output.tick, "a stored output", cameras=cameras)
    for row in camera_views(sample, output, truth):
        suite.update(row.output, row.truth or truth)


def _nothing(truth: TruthFrame, heads: frozenset[str]) -> Output:
    """Return an output of invalid heads, for the time before the first output."""
    tick = Tick(0, "reference", truth.stamp_ns, truth.stamp_ns)
    nothing = Detections(False, error=NO_OUTPUT) if heads & {"class", "box"} else None
    return Output(
        tick,
        nothing,
        Control(False, error=NO_OUTPUT) if "control" in heads else None,
        cameras=dict.fromkeys(truth.cameras, nothing) if nothing is not None else {},
    )


def _quantiles(ages_ms: list[float]) -> dict[str, float]:
    if not ages_ms:
        return {}
    p50, p99 = np.quantile(ages_ms, [0.5, 0.99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}
