"""Verification of an output log: the recorded run is repeated and compared output by output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import LogError
from perception.evaluation.agreement.comparing_sink import ComparingSink
from perception.evaluation.agreement.comparison import Agreement, Comparison, Difference, HeadComparison
from perception.evaluation.agreement.profiles import Rounding
from perception.evaluation.agreement.receipt_check import (
    ReceiptCheck,
    check_outputs,
    check_receipt,
    check_written,
)
from perception.evaluation.agreement.recorded_run import (
    changes_since,
    check_size,
    check_weights,
    config_of,
    other_input,
    recorded_run,
)
from perception.evaluation.agreement.stored_messages import ComparingMcapSink, StoredMessages, TopicComparison
from perception.evaluation.agreement.tolerances import Tolerances
from perception.logs import Log
from perception.pipeline import Observer, ReplayOptions, Span, Summary, replay
from perception.plugin import Plugin
from perception.sinks import RunInfo, Sink, read_outputs
from perception.sinks.mcap_sink import HEALTH, TIMING
from perception.types import Status


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of repeating a run.

    Attributes:
        verdict: `equal` bit for bit, `within_tolerance`, or `diverged`.
        comparison: The comparison of each head, and the first tick that differs.
        notes: What has changed since the outputs were made: versions, processor, a missing hash.
        stored, made: How many outputs were stored, and made now.
        topics: The comparison of each topic of the output log.
        receipt: The check of the receipt.
        complete: Whether the output log is whole: it has its receipt, and nothing of it is lost.
        summary: The summary of the second run.
        start_ns: The log time from which seconds of the input count (`sensor_start_ns`).
        run: The record of the first run.
    """

    verdict: Agreement
    comparison: Comparison
    notes: tuple[str, ...]
    stored: int
    made: int
    summary: Summary
    start_ns: int
    run: RunInfo = field(default_factory=RunInfo)
    topics: Mapping[str, TopicComparison] = field(default_factory=dict)
    receipt: ReceiptCheck = field(default_factory=ReceiptCheck)
    complete: bool = True

    @property
    def heads(self) -> Mapping[str, HeadComparison]:
        return self.comparison.heads

    def outcome(self, exact: bool = False) -> Status:
        """Return `clean`; `gate_failed` where the outputs, a topic or the receipt diverge, and with `exact`
        where any bit differs; `loss` where what is there agrees and a part of the file is missing."""
        good = self.verdict == "equal" or (self.verdict == "within_tolerance" and not exact)
        rounded = any(row.within for topic, row in self.topics.items() if topic != TIMING)
        if not good or (exact and rounded):
            return "gate_failed"
        return "clean" if self.complete else "loss"

    def to_json(self) -> dict[str, Any]:
        """Return the result under the schema `perception.verify/1`."""

        def place(difference: Difference | None) -> dict[str, Any] | None:
            if difference is None:
                return None
            at_s = round((difference.log_time_ns - self.start_ns) / 1e9, 6)
            return {"at_s": at_s, **asdict(difference)}

        return {
            "schema": "perception.verify/1",
            "status": self.verdict if self.complete or self.verdict == "diverged" else "incomplete",
            "stored": self.stored,
            "made": self.made,
            "ticks": place(self.comparison.ticks),
            "heads": {
                name: {
                    "verdict": head.verdict,
                    "frames": head.frames,
                    "equal": head.equal,
                    "within_tolerance": head.within,
                    "first_unequal": place(head.first_unequal),
                    "first_divergence": place(head.first),
                    "largest": {key: float(f"{value:.6g}") for key, value in head.largest.items()},
                }
                for name, head in self.heads.items()
            },
            "topics": {
                topic: {
                    "stored": row.stored,
                    "equal": row.equal,
                    "within_tolerance": row.within,
                    "made_again": row.made_again,
                    "first_difference": place(row.first),
                }
                for topic, row in sorted(self.topics.items())
            },
            "complete": self.complete,
            "contradictions": list(self.receipt.contradictions),
            "unproven": list(self.receipt.unproven),
            "notes": list(self.notes),
            "run": self.run.to_metadata(),
        }


def verify(
    stored: Log,
    log: Log,
    load: Callable[[str], Plugin],
    checkpoint: Path | None = None,
    tolerances: Tolerances | None = None,
    observer: Observer | None = None,
    device: str | None = None,
    monitor: Callable[[Plugin, Any], Sink] | None = None,
) -> Verification:
    """Repeat the run that made an output log, and compare every output, every message and the receipt.

    Args:
        stored: The output log, open.
        log: The log that it was made from, open (see `recorded_run.find_input`).
        load: Returns the plugin of a name, not opened.
        checkpoint: The file of the weights now; None: as in the configuration of the run.
        tolerances: How far outputs may differ that are not bit-equal; None: as rounding may.
        observer: Watches the run.
        device: The device of this run; None: that of the first run.
        monitor: Makes the monitor of a run, which writes a topic of its own; see `ReplayJob.monitor`.

    Raises:
        LogError: The outputs hold no record of their run, or the input is another one.
        ConfigError: The recorded configuration is not valid in this version.
        CheckpointError: The weights are missing or differ.
        PluginError: The plugin is not installed, or the outputs cannot be made again (`--live-drop`).
    """
    run, receipt = recorded_run(stored)
    check_size(run, receipt, log)
    config = config_of(run, checkpoint)
    check_weights(config, run)
    again = _RepeatedRun(stored, run, receipt, Comparison(Rounding(tolerances)))
    options = ReplayOptions(
        device=device or run.device or "cpu",
        span=Span(run.start_ns, run.end_ns),
        on_error="stop" if receipt.get("on_error") == "stop" else "skip",
        observer=observer,
    )
    summary = again.replay(log, config, load(run.plugin), options, monitor)
    return again.verification(log, summary)


class _RepeatedRun:
    """A run that is repeated into sinks that compare.

    Args:
        stored: The output log.
        run, receipt: The record and the receipt of the first run.
        comparison: Receives each pair of outputs.
    """

    def __init__(self, stored: Log, run: RunInfo, receipt: Mapping[str, str], comparison: Comparison) -> None:
        self._stored, self._run, self._receipt, self._comparison = stored, run, receipt, comparison
        self._ended = receipt.get("ended") == "whole"
        self._messages = StoredMessages(stored, self._ended)
        self._sink = ComparingSink(iter(()), run, comparison, self._ended)

    def replay(
        self,
        log: Log,
        config: Config,
        plugin: Plugin,
        options: ReplayOptions,
        monitor: Callable[[Plugin, Any], Sink] | None,
    ) -> Summary:
        """Replay the input, and compare."""
        self._config = config
        stored, topics = self._stored, self._stored.channels
        writer = ComparingMcapSink(
            stored.path, self._messages, TIMING in topics, float(self._receipt.get("min_score", "0.3"))
        )
        writers: list[Sink] = [writer]
        if monitor is not None and HEALTH in topics:
            writers.append(monitor(plugin, writer.add_values))
        outputs = read_outputs(stored)
        self._sink = ComparingSink(outputs, self._run, self._comparison, self._ended, writers)
        copied = self._receipt.get("with_inputs") or any(topic in topics for topic in config.roles())
        options = replace(options, on_message=writer.copy if copied else None)
        summary = replay(log, config, plugin, [self._sink], options)
        if summary.status == "interrupted":
            raise KeyboardInterrupt
        self._sink.finish()
        messages = self._receipt.get("messages_sha256") if self._ended else None
        if messages is not None and messages != summary.run.get("messages_sha256"):
            raise LogError(other_input(self._run, log))
        return summary

    def verification(self, log: Log, summary: Summary) -> Verification:
        """Return the result of comparing, once the input was replayed."""
        run, receipt, comparison, sink = self._run, self._receipt, self._comparison, self._sink
        lost = self._messages.finish()
        check = check_receipt(receipt, run, sink.made, summary, self._config, log.path)
        same_ticks = comparison.ticks is None
        topics = self._messages.topics if same_ticks else {}
        if same_ticks:
            check_written(check, receipt, self._messages.digests.record(), topics)
        equal = same_ticks and all(head.verdict == "equal" for head in comparison.heads.values())
        made = summary.run.get("outputs_sha256", "")
        check_outputs(check, receipt.get("outputs_sha256", ""), sink.digest.hexdigest(), made, equal)
        contradicted = check.contradictions or any(row.first is not None for row in topics.values())
        notes = (
            *changes_since(run, receipt),
            *check.notes,
            *(f"a part of the outputs is lost: {text}" for text in lost),
        )
        return Verification(
            verdict="diverged" if contradicted else comparison.verdict,
            comparison=comparison,
            notes=notes,
            stored=sink.stored,
            made=summary.frames,
            summary=summary,
            start_ns=sensor_start_ns(log, self._config),
            run=run,
            topics=topics,
            receipt=check,
            complete=bool(receipt) and not lost,
        )
