"""Verification of an output log: the recorded run is repeated and compared output by output."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config, parse_config
from perception.errors import CheckpointError, ConfigError, LogError, PluginError
from perception.evaluation.agreement.comparison import Agreement, Comparison, Difference, HeadComparison
from perception.evaluation.agreement.profiles import Rounding, Tolerances
from perception.logs import Log
from perception.pipeline import Observer, ReplayOptions, Span, Summary, replay
from perception.pipeline.run_record import recorded_sha256, recorded_versions, this_machine
from perception.plugin import Plugin
from perception.sinks import RunInfo, StoredOutput, read_outputs, read_receipt, read_run
from perception.types import Output, Sample, Status, TruthFrame


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of repeating a run.

    Attributes:
        verdict: `equal` bit for bit, `within_tolerance`, or `diverged`.
        comparison: The comparison of each head, and the first tick that differs.
        notes: What has changed since the outputs were made: versions, processor, a missing hash.
        stored, made: How many outputs were stored, and made now.
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

    @property
    def heads(self) -> Mapping[str, HeadComparison]:
        return self.comparison.heads

    def outcome(self, exact: bool = False) -> Status:
        """Return `clean`, or `gate_failed` where the outputs diverge; with `exact`, where any bit differs."""
        good = self.verdict == "equal" or (self.verdict == "within_tolerance" and not exact)
        return "clean" if good else "gate_failed"

    def to_json(self) -> dict[str, Any]:
        """Return the result under the schema `perception.verify/1`."""

        def place(difference: Difference | None) -> dict[str, Any] | None:
            if difference is None:
                return None
            at_s = round((difference.log_time_ns - self.start_ns) / 1e9, 6)
            return {"at_s": at_s, **asdict(difference)}

        return {
            "schema": "perception.verify/1",
            "status": self.verdict,
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
            "notes": list(self.notes),
            "run": self.run.to_metadata(),
        }


def find_input(stored: Log, given: Path | None = None) -> Path:
    """Return the path of the log that outputs were made from: the given one, else the one of the recorded
    name beside the outputs or in the working directory.

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
    for folder in (stored.path.parent, Path.cwd()):
        if (folder / run.input.name).is_file():
            return folder / run.input.name
    raise LogError(
        f"the outputs were made from {run.input.name}, which is neither in {stored.path.parent} nor here; "
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
) -> Verification:
    """Repeat the run that made an output log, and compare every output.

    Args:
        stored: The output log, open.
        log: The log that it was made from, open (see `find_input`).
        load: Returns the plugin of a name, not opened.
        checkpoint: The file of the weights now; None: as in the configuration of the run.
        tolerances: How far outputs may differ that are not bit-equal; None: as rounding may.
        observer: Watches the run.
        device: The device of this run; None: that of the first run.

    Raises:
        LogError: The outputs hold no record of their run, or the input is another one.
        ConfigError: The recorded configuration is not valid in this version.
        CheckpointError: The weights are missing or differ.
        PluginError: The plugin is not installed, or the outputs cannot be made again (`--live-drop`).
    """
    run, receipt = _record(stored)
    complete = receipt.get("ended") == "whole"
    _check_size(run, receipt, log)
    config = config_of(run, checkpoint)
    _check_weights(config, run)
    comparison = Comparison(Rounding(tolerances))
    sink = _ComparingSink(read_outputs(stored), run, comparison, complete)
    options = ReplayOptions(
        device=device or run.device or "cpu",
        span=Span(run.start_ns, run.end_ns),
        on_error="stop" if receipt.get("on_error") == "stop" else "skip",
        observer=observer,
    )
    summary = replay(log, config, load(run.plugin), [sink], options)
    if summary.status == "interrupted":
        raise KeyboardInterrupt
    sink.finish()
    messages = receipt.get("messages_sha256") if complete else None
    if messages is not None and messages != summary.run.get("messages_sha256"):
        raise LogError(_other_input(run, log))
    start_ns, notes = sensor_start_ns(log, config), tuple(_notes(run, receipt))
    return Verification(
        comparison.verdict, comparison, notes, sink.stored, summary.frames, summary, start_ns, run
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


class _ComparingSink:
    """A sink that compares outputs with the stored ones, in order.

    Args:
        stored: The stored outputs.
        run: The record of the run that made them.
        comparison: Receives each pair.
        complete: Whether that run finished, so that no further outputs can follow.
    """

    def __init__(
        self, stored: Iterator[StoredOutput], run: RunInfo, comparison: Comparison, complete: bool
    ) -> None:
        self._items = stored
        self._run = run
        self._complete = complete
        self._next = next(self._items, None)
        self._comparison = comparison
        self.stored = 0

    def open(self, run: RunInfo) -> None:
        before, now = self._run.weights_sha256, run.weights_sha256
        if before != now:
            raise CheckpointError(
                f"expected the weights {before[:16] or 'of an untrained model'}, found "
                f"{now[:16] or 'none'}; name the file with --checkpoint"
            )

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        if self._next is None:
            if self._complete:
                self._comparison.tick_differs(output)
            return
        self._comparison.add(self._next.output, output)
        self._advance()

    def finish(self) -> None:
        """Count the stored outputs that the repeated run did not make."""
        while self._next is not None:
            self._comparison.tick_differs(self._next.output)
            self._advance()

    def close(self) -> None:
        """Do nothing: no resource is open."""

    def _advance(self) -> None:
        self.stored += 1
        self._next = next(self._items, None)


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
