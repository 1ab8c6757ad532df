"""The summary of a run: its status, counts and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from perception.autoconfig import ConfigChoice
from perception.autoconfig.unused_topics import UnusedTopic
from perception.logs import Damage
from perception.types.table import Table

RunStatus = Literal["clean", "loss", "failed", "interrupted"]
"""The part of `Status` that a run alone can have."""

LOSS_ROWS = ("corrupt", "undecodable", "lost")
"""Ledger rows of data that was recorded and did not reach the plugin."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning. `count` is the number of samples with it; `text` is that of the first.

    Those of single samples say so (`of_samples`); others are about the run.
    """

    code: str
    text: str
    count: int = 1
    of_samples: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """The account of one run.

    Attributes:
        frames: Samples that went to the sinks.
        substitutes: How many of them on substitute ticks.
        dropped: Samples skipped by `--live-drop`.
        errors: Samples whose plugin raised or broke the contract; `first_error` is the first.
        outputs: Head -> {"valid": n, "invalid": n}.
        first_invalid: Head -> the error of its first invalid output, where there is one.
        inputs: Sensor -> {"present": n, "absent": n}.
        absences: Sensor -> code of its absence -> number of samples; of configured sensors.
        latency_ms: Stage -> {"p50", "p99", "max"}.
        lateness_ms: The same for paced runs, else empty.
        deadline: For paced runs: `period_ms`, and `misses`, the answers that came more than one period after
            their sample was due; else empty.
        ledger: Topic -> row -> number of messages.
        run: The record of what made the outputs.
        monitor: The report of `perception.diagnosis.monitor`, where there is one.
        unused: The topics of the log that the run did not use, with the reasons.
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
    deadline: Mapping[str, float]
    ledger: Mapping[str, Mapping[str, int]]
    damage: tuple[Damage, ...]
    warnings: tuple[Warned, ...]
    run: Mapping[str, str] = field(default_factory=dict)
    monitor: Mapping[str, Any] = field(default_factory=dict)
    absences: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unused: tuple[UnusedTopic, ...] = ()
    seconds: float = 0.0
    log_seconds: float = 0.0
    first_invalid: Mapping[str, str] = field(default_factory=dict)

    def to_json(self, command: str = "replay") -> dict[str, Any]:
        """Return the summary under the schema `perception.<command>/1`."""
        document = {"schema": f"perception.{command}/1", **asdict(self)}
        return {key: value for key, value in document.items() if key != "monitor" or value}

    def _repr_html_(self) -> str:
        """Return the counts, what was wrong, and the ledger as tables, for a notebook."""
        counts = {"status": self.status, "frames": self.frames, "errors": self.errors}
        heads = [{"head": head, **numbers} for head, numbers in self.outputs.items()]
        inputs = [{"input": name, **numbers} for name, numbers in self.inputs.items()]
        said = [{"warning": warned.text, "frames": warned.count} for warned in self.warnings]
        damage = [
            {"lost": part.reason, "bytes": part.bytes, "messages": part.messages} for part in self.damage
        ]
        errors = [{"first error": self.first_error}] if self.first_error else []
        rows = [{"topic": topic, **dict(numbers)} for topic, numbers in self.ledger.items()]
        columns = {key: 0 for row in rows for key in row}
        parts = ([counts], errors, heads, inputs, said, damage, [columns | row for row in rows])
        return "".join(Table(part)._repr_html_() for part in parts if part)


def add_choice(summary: Summary, choice: ConfigChoice) -> Summary:
    """Return the same summary with the warnings of the choice of its configuration, and the unused topics."""
    warnings = [Warned("config", text) for text in choice.warnings]
    return add_warnings(replace(summary, unused=choice.unused), warnings)


def add_warnings(summary: Summary, warnings: Sequence[Warned]) -> Summary:
    """Return the same summary with warnings from before the run put first."""
    return replace(summary, warnings=(*warnings, *summary.warnings))
