"""Where outputs go: the protocol of a sink, and the record of what made them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from perception.errors import OutputError
from perception.types import Output, Sample, TruthFrame


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What made the outputs. It holds no wall-clock time: the same run gives the same record.

    Attributes:
        input: The log the samples come from. A sink refuses to write to it; the record holds its name only.
        input_bytes, input_sha256: Which content it had.
        start_ns, end_ns: The log time that was asked for, end exclusive; None: from the start, to the end.
        plugin, weights_sha256, backend, precision, device, batch, threads: What computed, and how.
        untrained: The weights were never trained; what is drawn says so.
        classes: The labels the plugin may give, in order; they choose the colours.
        reference_rate_hz: The nominal rate of ticks, which a video plays at.
        versions: Package -> version.
        config: The configuration as YAML.
        faults: What was put into the log on its way in, as `perception.pipeline.faults` writes it.
        extra: Anything else worth keeping, such as what the plugin says of itself.
    """

    input: Path | None = None
    input_bytes: int | None = None
    input_sha256: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    plugin: str = ""
    weights_sha256: str = ""
    untrained: bool = False
    backend: str = ""
    precision: str = ""
    device: str = ""
    batch: int = 1
    threads: int | None = None
    reference_rate_hz: float | None = None
    classes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    faults: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    def to_metadata(self) -> dict[str, str]:
        """As a flat record. What is not known is left out."""
        record = {
            "input": "" if self.input is None else self.input.name,
            "input_bytes": _text(self.input_bytes),
            "input_sha256": self.input_sha256,
            "start_ns": _text(self.start_ns),
            "end_ns": _text(self.end_ns),
            "plugin": self.plugin,
            "weights_sha256": self.weights_sha256,
            "untrained": "true" if self.untrained else "false",
            "backend": self.backend,
            "precision": self.precision,
            "device": self.device,
            "batch": str(self.batch),
            "threads": _text(self.threads),
            "reference_rate_hz": _text(self.reference_rate_hz),
            "classes": "\n".join(self.classes),
            **{f"version.{name}": text for name, text in sorted(self.versions.items())},
            "config": self.config,
            "faults": "\n".join(self.faults),
            **{f"extra.{name}": text for name, text in sorted(self.extra.items())},
        }
        return {key: text for key, text in record.items() if text}

    @classmethod
    def from_metadata(cls, record: Mapping[str, str]) -> RunInfo:
        """The run of a record. Keys of a later version are passed over.

        Raises:
            ValueError: A number in it is none.
        """
        rate = record.get("reference_rate_hz")
        return cls(
            input=Path(record["input"]) if "input" in record else None,
            input_bytes=_whole(record, "input_bytes"),
            input_sha256=record.get("input_sha256", ""),
            start_ns=_whole(record, "start_ns"),
            end_ns=_whole(record, "end_ns"),
            plugin=record.get("plugin", ""),
            weights_sha256=record.get("weights_sha256", ""),
            untrained=record.get("untrained") == "true",
            backend=record.get("backend", ""),
            precision=record.get("precision", ""),
            device=record.get("device", ""),
            batch=_whole(record, "batch") or 1,
            threads=_whole(record, "threads"),
            reference_rate_hz=None if rate is None else float(rate),
            classes=tuple(record["classes"].split("\n")) if "classes" in record else (),
            versions=_below(record, "version."),
            config=record.get("config", ""),
            faults=tuple(record["faults"].split("\n")) if "faults" in record else (),
            extra=_below(record, "extra."),
        )


class Sink(Protocol):
    """Takes the outputs of one run, in order.

    `open` once, `write` for each output, `close` once, also after an error. Every method raises
    `OutputError` in one line where nothing can be written.
    """

    def open(self, run: RunInfo) -> None:
        """Make what is written to."""

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        """Take the output of one sample; truth where it is known; wall-clock milliseconds by stage."""

    def close(self) -> None:
        """Finish. May be called twice, and without `open`."""


@runtime_checkable
class TakesReceipt(Protocol):
    """What a sink may offer beside the protocol: it keeps what is known only at the end of a run."""

    def sign(self, receipt: Mapping[str, str]) -> None:
        """Keep the receipt of the run (`perception.pipeline.receipt`). Called once, before `close`."""


def refuse_input(path: Path, run: RunInfo) -> None:
    """Make sure that `path` may be written to.

    Raises:
        OutputError: It is the log that is being read (under any name), or a folder, or has no folder.
    """
    if run.input is not None and _same_file(path, run.input):
        raise OutputError(f"the output would replace the log that is being read, name another file: {path}")
    if path.is_dir():
        raise OutputError(f"expected a file to write, found a folder: {path}")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist, make it first: {path}")


def _same_file(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:  # one of them does not exist, so they differ
        return False


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)


def _whole(record: Mapping[str, str], key: str) -> int | None:
    return int(record[key]) if key in record else None


def _below(record: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): text for key, text in record.items() if key.startswith(prefix)}
