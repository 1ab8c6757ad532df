"""What a run comes to: the numbers that the command prints and `--json` gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from perception.logs import Damage
from perception.types.table import Table

RunStatus = Literal["clean", "loss", "failed", "interrupted"]
"""The part of `Status` that a run alone can have."""

LOSS_ROWS = ("corrupt", "undecodable", "lost")
"""Ledger rows that mean that data was not there for the plugin although it was recorded."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a user should know. `count` tells how many samples said so; `text` is of the first."""

    code: str
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """The account of one run.

    Attributes:
        frames: Samples that went to the sinks.
        substitutes: How many of them on substitute ticks.
        dropped: Samples skipped by `--live-drop`.
        errors: Samples whose plugin raised or returned nonsense; `first_error` is the first.
        outputs: Head -> {"valid": n, "invalid": n}.
        inputs: Sensor -> {"present": n, "absent": n}.
        latency_ms: Stage -> {"p50", "p99", "max"}.
        lateness_ms: The same for paced runs, else empty.
        deadline: For paced runs: `period_ms`, and `misses`, the answers that came more than one period after
            their sample was due; else empty.
        ledger: Topic -> row -> number of messages.
        monitor: What `perception.diagnosis.monitor` found, if the host kept one.
        seconds: Wall time of the run; `log_seconds` of the log that it covered.
    """

    status: RunStatus
    frames: int
    substitutes: int
    dropped: int
    errors: int
    first_error: str
    outputs: Mapping[str, Mapping[str, int]]
    inputs: Mapping[str, Mapping[str, int]]
    latency_ms: Mapping[str, Mapping[str, float]]
    lateness_ms: Mapping[str, float]
    ledger: Mapping[str, Mapping[str, int]]
    damage: tuple[Damage, ...]
    warnings: tuple[Warned, ...]
    run: Mapping[str, str] = field(default_factory=dict)
    monitor: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    log_seconds: float = 0.0
    deadline: Mapping[str, float] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Return the counts and the ledger as tables, for a notebook."""
        counts = {"status": self.status, "frames": self.frames, "errors": self.errors}
        heads = [{"head": head, **numbers} for head, numbers in self.outputs.items()]
        rows = [{"topic": topic, **dict(numbers)} for topic, numbers in self.ledger.items()]
        columns = {key: 0 for row in rows for key in row}
        tables = (Table([counts]), Table(heads), Table([columns | row for row in rows]))
        return "".join(table._repr_html_() for table in tables)

    def to_json(self, command: str = "replay") -> dict[str, Any]:
        """The summary under the schema `perception.<command>/1`."""
        return {
            "schema": f"perception.{command}/1",
            "status": self.status,
            "frames": self.frames,
            "substitutes": self.substitutes,
            "dropped": self.dropped,
            "errors": self.errors,
            "first_error": self.first_error,
            "outputs": {head: dict(counts) for head, counts in self.outputs.items()},
            "inputs": {name: dict(counts) for name, counts in self.inputs.items()},
            "latency_ms": {stage: dict(values) for stage, values in self.latency_ms.items()},
            "lateness_ms": dict(self.lateness_ms),
            "deadline": dict(self.deadline),
            "ledger": {topic: dict(rows) for topic, rows in self.ledger.items()},
            "damage": [
                {
                    "t0_ns": d.t0_ns,
                    "t1_ns": d.t1_ns,
                    "bytes": d.bytes,
                    "messages": d.messages,
                    "reason": d.reason,
                }
                for d in self.damage
            ],
            "warnings": [{"code": w.code, "text": w.text, "count": w.count} for w in self.warnings],
            "run": dict(self.run),
            **({"monitor": dict(self.monitor)} if self.monitor else {}),
            "seconds": self.seconds,
            "log_seconds": self.log_seconds,
        }


def add_warnings(summary: Summary, warnings: Sequence[Warned]) -> Summary:
    """The same summary with warnings that were known before the run, first."""
    return replace(summary, warnings=(*warnings, *summary.warnings))
