"""The options of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from perception.autoconfig import Overrides
from perception.evaluation.ablation.fault_ablation import SEVERITIES
from perception.evaluation.agreement.tolerances import DECISIONS, Tolerances
from perception.evaluation.gates import Gate
from perception.evaluation.metrics import Metric, Rules
from perception.evaluation.resampling import Resampling
from perception.evaluation.slices.slice_definitions import is_kind
from perception.logs import Log
from perception.logs.log_patterns import repeated
from perception.pipeline import ReplayOptions, Span
from perception.pipeline.span import Time, span_from
from perception.sinks import Sink


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to evaluate. `Evaluation` uses those of scoring; `evaluate_logs` uses all.

    Attributes:
        rules: The ground rules. `family` and `classes` are those of the run where it states them.
        rate_hz: A frame that takes longer than one period of this rate is late.
        guests: Makes the metrics of other packages; None: none, in `perception.evaluate` the installed ones.
        resampling: How intervals are drawn; None: values without intervals.
        slices: The slices to compare with the rest of the data, as `parse_slices` gives them.
        moments: The number of worst moments in the report.
        ablate: `sensors`: also score every subset of the kinds of sensors. `each`: also score without each
            named sensor. `faults`: also replay under each fault.
        faults: The faults of that ablation as `sensor.kind`; empty: all.
        severities: The severities of those faults, above 0 and up to 1.
        latencies_ms: Latencies of the streaming scores; `measured`: the median of the run.
        overrides: Values that replace those of the configuration, and faults to inject into every replay.
        replay: How to replay. Its span is used where neither start nor end is given.
        start, end: The part of each log, as `perception.pipeline.span.parse_span` reads them; None: all.
        outputs: Stored outputs to score instead of a replay, one file for each log; empty: replay.
        accounts: The documents of the replays that made the stored outputs, one for each, where they are
            known: their status and warnings are then those of the report.
        tables: Where the outputs also go as tables; None: nowhere.
        output: Write the outputs, with the errors of each frame, to this file; with one log only.
        sinks: Gives further sinks for the outputs of a log. Those that take values get the errors of each
            frame; those that show moments begin at the worst.
        gates: The requirements, as `parse_gates` gives them.
        strict: Judge gates by the pessimistic end of each interval.
        references: Outputs of another machine to compare decisions with, one file for each log.
        tolerances: How far decisions may differ from the reference's.
    """

    rules: Rules = field(default_factory=Rules)
    rate_hz: float = 10.0
    guests: Callable[[Rules], list[Metric]] | None = None
    resampling: Resampling | None = None
    slices: tuple[str, ...] = ()
    moments: int = 10
    ablate: Literal["sensors", "each", "faults"] | None = None
    faults: tuple[str, ...] = ()
    severities: tuple[float, ...] = SEVERITIES
    latencies_ms: tuple[float | Literal["measured"], ...] = ()
    overrides: Overrides = field(default_factory=Overrides)
    replay: ReplayOptions = field(default_factory=lambda: ReplayOptions(device="auto"))
    start: Time | None = None
    end: Time | None = None
    outputs: tuple[Path, ...] = ()
    accounts: tuple[Mapping[str, Any], ...] = ()
    tables: Path | None = None
    output: Path | None = None
    sinks: Callable[[Log], Sequence[Sink]] = lambda log: ()
    gates: tuple[Gate, ...] = ()
    strict: bool = False
    references: tuple[Path, ...] = ()
    tolerances: Tolerances = DECISIONS

    def span(self, begin_ns: Callable[[], int]) -> Span:
        """Return the part of a log, as `perception.pipeline.span.span_from` does."""
        if self.start is None and self.end is None:
            return self.replay.span
        return span_from(begin_ns, self.start, self.end)

    def errors(self, logs: Sequence[str | Path]) -> list[str]:
        """Return one line for each option that does not fit the others or the logs.

        Options have the names of the command line.
        """
        again = [f"LOG: named twice, and would count twice; name it once: {path}" for path in repeated(logs)]
        return [*again, *self._errors_of_values(), *self._errors_beside(len(logs))]

    def _errors_of_values(self) -> list[str]:
        """Return one line for each value that is none for its option."""
        checks = (
            (
                self.ablate not in (None, "sensors", "each", "faults"),
                f"--ablate: expected sensors, each or faults, found {self.ablate!r}",
            ),
            (
                isinstance(self.slices, str) or not all(map(is_kind, self.slices)),
                f"--slices: expected names as parse_slices('distance,size') gives, found {self.slices!r}",
            ),
            (
                not all(isinstance(gate, Gate) for gate in self.gates),
                f"--require: expected gates as parse_gates(['box.mAP50 >= 0.8']) gives, found {self.gates!r}",
            ),
            (not self.rate_hz > 0, f"--deadline-hz: expected more than 0, found {self.rate_hz}"),
        )
        return [text for wrong, text in checks if wrong]

    def _errors_beside(self, logs: int) -> list[str]:
        """Return one line for each option that does not fit the others, or the number of logs."""
        stored = bool(self.outputs)
        checks = (
            (not logs, "LOG: missing; name at least one log"),
            (
                stored and len(self.outputs) != logs,
                f"--outputs: expected one for each log, {logs}, found {len(self.outputs)}",
            ),
            (stored and self.ablate is not None, "--ablate: needs a replay; leave out --outputs"),
            (stored and self.output is not None, "--output: needs a replay; leave out --outputs"),
            (stored and self.tables is not None, "--tables: needs a replay; leave out --outputs"),
            (
                self.output is not None and logs > 1,
                f"--output: holds the outputs of one log, found {logs} logs",
            ),
            (self.strict and not self.gates, "--strict: says how to judge `--require`; add one"),
            (
                self.ablate in ("sensors", "each")
                and any(gate.name.lower().startswith("timing.") for gate in self.gates),
                f"--require: timing is not measured with --ablate {self.ablate}; leave out either",
            ),
            (
                self.strict and self.resampling is None,
                "--strict: needs intervals; leave out --draws 0",
            ),
            (
                bool(self.references) and len(self.references) != logs,
                f"--reference: expected one for each log, {logs}, found {len(self.references)}",
            ),
            (
                bool(self.faults) and self.ablate != "faults",
                "--faults: says which faults `--ablate faults` replays; add that",
            ),
        )
        makes = self._makes_outputs() if stored and not self.accounts else []
        unused = [f"{option}: needs a replay; leave out --outputs" for option in makes]
        return [text for wrong, text in checks if wrong] + unused

    def _makes_outputs(self) -> list[str]:
        """Return the names of the options that say what makes the outputs, where they are given."""
        given = self.overrides
        named = {
            "--plugin": given.plugin,
            "--checkpoint": given.checkpoint,
            "--option": given.options,
            "--fault": given.faults,
        }
        return [option for option, value in named.items() if value] + [f"--{key}" for key in given.engine]

    def errors_of_tables(self) -> list[str]:
        """Return one line for each option that needs logs, where tables alone are scored."""
        needs_logs = {
            "--outputs": self.outputs,
            "--output": self.output,
            "--reference": self.references,
            "--ablate": self.ablate,
            "--latency-ms": self.latencies_ms,
        }
        names = [option for option, value in needs_logs.items() if value] + self._makes_outputs()
        errors = [f"{option}: needs the logs; name them" for option in names]
        strict = [text for text in self._errors_beside(1) if text.startswith("--strict")]
        return [*errors, *self._errors_of_values(), *strict]
