"""Streaming scores, which count latency (Li, Wang, Ramanan 2020, "Towards Streaming Perception").

A single worker is simulated. A tick that arrives while it is busy waits; only the newest waits, the others
are skipped. An output exists once the worker is done with its tick: at the tick's arrival plus the latency,
later where the tick had to wait. Every truth is matched with the newest output that exists by its stamp,
whatever moment that output speaks of. Times are the log's own, so at a given latency nothing depends on the
machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.align.truth import TruthJoiner
from perception.config import Config
from perception.errors import ConfigError
from perception.evaluation.head_scores import scores_of
from perception.evaluation.metrics import Rules, Suite
from perception.evaluation.report.schema import EvaluationReport, StreamingReport, by_head
from perception.evaluation.stored_outputs import played_topics
from perception.logs import Log, Query, decoder, open_log
from perception.logs.perception_proto import (
    decode_control,
    decode_detections,
    encode_control,
    encode_detections,
)
from perception.pipeline.log_source import WHOLE, Span
from perception.sinks import OutputSink
from perception.types import (
    Control,
    Detections,
    Output,
    Sample,
    Tick,
    TruthFrame,
    absent_sample,
    camera_views,
)
from perception.types.times import bounded_ns

CURVE_MS = (0.0, 25.0, 50.0, 100.0, 150.0, 200.0, 300.0, 500.0)
NO_OUTPUT = "no output yet"

Int64 = NDArray[np.int64]


class Worked(NamedTuple):
    """The ticks that a worker processed, in order, and the times at which their outputs exist. Both [K]."""

    taken: Int64
    exists_ns: Int64


def work(arrivals_ns: Sequence[int] | Int64, latency_ns: int) -> Worked:
    """Simulate the single worker on ticks that arrive at these times, in order.

    A tick that arrives exactly when the worker finishes is processed at once, unless another was waiting.
    """
    taken: list[int] = []
    exists: list[int] = []
    free_ns: int | None = None  # the time at which the worker finishes its last tick
    waiting: int | None = None

    def take(index: int, begins_ns: int) -> int:
        taken.append(index)
        exists.append(begins_ns + latency_ns)
        return begins_ns + latency_ns

    for index, arrival_ns in enumerate(int(a) for a in arrivals_ns):
        if waiting is not None and free_ns is not None and free_ns <= arrival_ns:
            free_ns, waiting = take(waiting, free_ns), None
        if free_ns is None or free_ns <= arrival_ns:
            free_ns = take(index, arrival_ns)
        else:
            waiting = index
    if waiting is not None and free_ns is not None:
        take(waiting, free_ns)
    return Worked(np.array(taken, np.int64), np.array([bounded_ns(at) for at in exists], np.int64))


def newest(exists_ns: Int64, at_ns: int) -> int:
    """Return the index of the newest output that exists at a time; -1 before the first."""
    return int(np.searchsorted(exists_ns, bounded_ns(at_ns), side="right")) - 1


class _Row(NamedTuple):
    """The offset of an output in the file and the sizes of its parts, which follow each other."""

    tick: Tick
    at: int
    sizes: dict[str, int]


class OutputStore:
    """A store of the outputs of one log in a temporary file."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 (it lives as long as the store)
        self._rows: list[_Row] = []
        self._heads: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def arrivals_ns(self) -> list[int]:
        return [row.tick.log_time_ns for row in self._rows]

    @property
    def ticks(self) -> list[Tick]:
        return [row.tick for row in self._rows]

    @property
    def heads(self) -> frozenset[str]:
        """Return the heads that any output has."""
        return frozenset(self._heads)

    def add(self, output: Output) -> None:
        """Store an output without its warnings."""
        tick, detections, control = output.tick, output.detections, output.control
        parts = {
            "detections": detections,
            **{f"camera {name}": part for name, part in output.cameras.items()},
        }
        data = {key: encode_detections(tick, part, "") for key, part in parts.items() if part is not None}
        if control is not None:
            data["control"] = encode_control(tick, control)
        self._heads.update(output.heads())
        at = self._file.seek(0, 2)
        self._file.write(b"".join(data.values()))
        self._rows.append(_Row(tick, at, {key: len(part) for key, part in data.items()}))

    def get(self, index: int) -> Output:
        """Return the output at an index."""
        row = self._rows[index]
        self._file.seek(row.at)
        data = {key: self._file.read(size) for key, size in row.sizes.items()}
        control = decode_control(data.pop("control"))[1] if "control" in data else None
        parts = {key: decode_detections(part)[2] for key, part in data.items()}
        detections = parts.pop("detections", None)
        cameras = {key.removeprefix("camera "): part for key, part in parts.items()}
        return Output(row.tick, detections, control, cameras=cameras)

    def close(self) -> None:
        self._file.close()


class OutputCollector(OutputSink):
    """A sink that writes the outputs of a run to a store."""

    def __init__(self, store: OutputStore) -> None:
        self._store = store

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self._store.add(output)


def truths_of(log: Log, config: Config, span: Span = WHOLE) -> Iterator[TruthFrame]:
    """Yield the truth at the stamp of each box truth message, or of control truth in a log without boxes.

    Of several cameras with topics of their own, the stamps are those of the reference camera's.

    Args:
        log: The log, open.
        config: Names its truth and rig topics.
        span: Truth that arrived in this part of the log is wanted.
    """
    truth, decode = config.truth, decoder(config)
    counts = {topic: survey.count for topic, survey in log.survey.topics.items()}
    cameras = _cameras(config)
    of_cameras = [truth.camera_boxes[name] for name in cameras if name in truth.camera_boxes]
    candidates = (truth.boxes, *of_cameras, truth.control)
    named = [topic for topic in candidates if topic is not None and counts.get(topic)]
    if not named:
        return
    joiner, last_ns = TruthJoiner(truth, config.sensors), None
    for message in log.messages(Query(played_topics(config))):
        decoded = decode(message)
        joiner.push(decoded)
        if message.topic == named[0] and decoded.stamp_ns != last_ns:
            last_ns = decoded.stamp_ns
            tick = Tick(0, "reference", decoded.stamp_ns, message.log_time_ns)
            sample = absent_sample(tick, "truth", cameras=cameras if len(cameras) > 1 else ())
            yield from (joined.truth for joined in joiner.add(sample))
        yield from (joined.truth for joined in joiner.ready())
    yield from (joined.truth for joined in joiner.flush())


def _cameras(config: Config) -> tuple[str, ...]:
    """Return the names of the cameras, that of the reference camera first."""
    names = dict.fromkeys([config.reference_camera or "", *config.sensors.cameras])
    return tuple(name for name in names if name)


class _Source(NamedTuple):
    """One log with its truth, and its outputs."""

    path: Path
    config: Config
    outputs: OutputStore
    span: Span


def parse_latencies(text: str) -> tuple[float | Literal["measured"], ...]:
    """Return the latencies of a comma-separated list: milliseconds or `measured`; `curve` is `CURVE_MS`.

    Raises:
        ConfigError: A latency is neither.
    """
    if text == "curve":
        return CURVE_MS
    return tuple(_latency(part.strip()) for part in text.split(","))


def _latency(text: str) -> float | Literal["measured"]:
    if text == "measured":
        return "measured"
    try:
        latency_ms = float(text)
    except ValueError:
        latency_ms = -1.0
    if not 0 <= latency_ms < 60_000:
        raise ConfigError([f"--latency-ms: expected milliseconds, 'measured' or 'curve', found '{text}'"])
    return latency_ms


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
    cameras = _cameras(config) if truth.cameras else ()
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
