"""Verification of an output log: the recorded run is repeated and compared output by output."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from perception.config import Config, parse_config
from perception.errors import CheckpointError, ConfigError, LogError, PluginError
from perception.evaluation.agreement.comparing_sink import ComparingSink
from perception.evaluation.agreement.comparison import Agreement, Comparison, Difference, HeadComparison
from perception.evaluation.agreement.profiles import Rounding, Tolerances
from perception.evaluation.agreement.receipt_check import (
    ReceiptCheck,
    check_outputs,
    check_receipt,
    check_written,
)
from perception.evaluation.agreement.stored_messages import (
    ComparingMcapSink,
    StoredMessages,
    TopicComparison,
)
from perception.logs import Log
from perception.logs.joined_path import recorded_path
from perception.pipeline import Observer, ReplayOptions, Span, Summary, replay
from perception.pipeline.run_record import recorded_sha256, recorded_versions, this_machine
from perception.plugin import Plugin
from perception.sinks import RunInfo, Sink, read_outputs, read_receipt, read_run
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


def find_input(stored: Log, given: Path | None = None) -> Path:
    """Return the path of the log that outputs were made from: the given one; else the one of the recorded
    name beside the outputs, where it was at the time, or in the working directory. Of several files the first
    of the recorded size.

    Raises:
        LogError: The outputs do not name their input, or it does not exist.
    """
    if given is not None:
        return given
    run = read_run(stored)
    if run is None or run.input is None:
        raise LogError(
            f"the outputs do not say which log they were made from; name it with --input: {stored.path}"
        )
    folders = [stored.path.parent, Path.cwd()]
    places = [folder / run.input.name for folder in folders]
    if run.input_path:
        places[1:1] = [recorded_path(run.input_path)]
    files = [place for place in places if place.is_file()]
    if files:
        return next((file for file in files if file.stat().st_size == run.input_bytes), files[0])
    searched = ", ".join(dict.fromkeys(str(place.parent.absolute()) for place in places))
    raise LogError(
        f"the outputs were made from {run.input.name}, which is in none of {searched}; "
        f"name it with --input: {stored.path}"
    )


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
        log: The log that it was made from, open (see `find_input`).
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
    run, receipt = _record(stored)
    _check_size(run, receipt, log)
    config = config_of(run, checkpoint)
    _check_weights(config, run)
    again = _RepeatedRun(stored, run, receipt, Comparison(Rounding(tolerances)))
    options = ReplayOptions(
        device=device or run.device or "cpu",
        span=Span(run.start_ns, run.end_ns),
        on_error="stop" if receipt.get("on_error") == "stop" else "skip",
        observer=observer,
        ledger_listener=(lambda *row: None) if receipt.get("every_message") else None,
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
            raise LogError(_other_input(self._run, log))
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
            *_notes(run, receipt),
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
            start_ns=log.survey.start_ns or 0,
            run=run,
            topics=topics,
            receipt=check,
            complete=bool(receipt) and not lost,
        )


def _record(stored: Log) -> tuple[RunInfo, Mapping[str, str]]:
    """Return the record and the receipt of the run that made outputs."""
    run, receipt = read_run(stored), read_receipt(stored)
    if run is None:
        raise LogError(
            f"expected a record of the run that made it, found none; is it an output log?: {stored.path}"
        )
    if receipt.get("live_drop"):
        raise PluginError(
            "these outputs were made with --live-drop: which samples were skipped was up to the machine, so "
            "they cannot be made again"
        )
    return run, receipt


def config_of(run: RunInfo, checkpoint: Path | None = None) -> Config:
    """Return the recorded configuration of a run, with the backend and precision that the run resolved.

    Raises:
        ConfigError: The configuration is not valid in this version.
    """
    data = yaml.safe_load(run.config)
    config = parse_config(data, "in the record of the run")
    if checkpoint is not None:
        config = config.model_copy(
            update={"plugin": config.plugin.model_copy(update={"checkpoint": checkpoint})}
        )
    for key, value in (("backend", run.backend), ("precision", run.precision)):
        plain = config.model_dump(mode="json")
        plain["engine"][key] = value
        with suppress(ConfigError):  # a name that only the plugin knows stays as it was configured
            config = parse_config(plain) if value else config
    return config


def _check_size(run: RunInfo, receipt: Mapping[str, str], log: Log) -> None:
    """Raise if the input has another size than recorded and no message hash can detect that after the run."""
    if receipt.get("messages_sha256") and receipt.get("ended") == "whole":
        return
    size, known = log.path.stat().st_size, receipt.get("input_sha256", "")
    sha256 = recorded_sha256(log.path) if known else ""
    if (run.input_bytes is not None and size != run.input_bytes) or known != sha256:
        raise LogError(_other_input(run, log))


def _other_input(run: RunInfo, log: Log) -> str:
    name = run.input.name if run.input is not None else "another log"
    size = "" if run.input_bytes is None else f" of {run.input_bytes} bytes"
    return (
        f"the outputs were made from {name}{size}, and this log does not hold the same messages; "
        f"name the right one with --input: {log.path}"
    )


def _check_weights(config: Config, run: RunInfo) -> None:
    path = config.plugin.checkpoint
    if path is not None and not path.is_file():
        raise CheckpointError(
            f"the weights {run.weights_sha256[:16]} were at {path}, where there is no file now; "
            "name them with --checkpoint"
        )


def _notes(run: RunInfo, receipt: Mapping[str, str]) -> list[str]:
    notes = []
    was, now = dict(run.versions), dict(recorded_versions())
    if receipt:
        was |= {"python": receipt.get("python", "none"), "the machine": receipt.get("machine", "none")}
        now |= {"python": platform.python_version(), "the machine": this_machine()}
    for name in sorted({*was, *now}):
        before, after = was.get(name, "none"), now.get(name, "none")
        if before != after:
            notes.append(f"{name} was {before}, is {after}")
    if not receipt:
        notes.append("there is no receipt: the writer was stopped; the outputs that are there are compared")
    elif receipt.get("ended") != "whole":
        notes.append(f"the run was {receipt.get('ended')}; the outputs that are there are compared")
    return notes
