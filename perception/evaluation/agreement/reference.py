"""Comparison of outputs with those stored on another machine, by decisions and not by bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from perception.evaluation.agreement.comparison import Comparison
from perception.evaluation.agreement.profiles import Decisions
from perception.evaluation.agreement.tolerances import DECISIONS, Tolerances
from perception.evaluation.report.schema import DivergenceReport
from perception.evaluation.worst_frames import Moment
from perception.logs import Log
from perception.logs.joined_path import named_log
from perception.pipeline.log_source import WHOLE, Span
from perception.sinks import RunInfo, read_outputs
from perception.types import HEADS, Output, Sample, TruthFrame


@dataclass(slots=True)
class Reference:
    """A sink that compares the outputs of one log with stored outputs.

    Args:
        stored: The reference's output log, open.
        log: The input log of both, open.
        tolerances: How far decisions may differ.
        start_ns: The log time from which seconds count (`sensor_start_ns`).
        span: The part of the log that is compared.
    """

    stored: Log
    log: Log
    tolerances: Tolerances = DECISIONS
    start_ns: int = 0
    span: Span = WHOLE
    _waiting: dict[tuple[int, int], Output] = field(default_factory=dict)
    _comparison: Comparison = field(init=False)

    def __post_init__(self) -> None:
        self._comparison = Comparison(Decisions(self.tolerances))

    def open(self, run: RunInfo) -> None:
        """Read the reference.

        Raises:
            LogError: The stored log holds no outputs.
        """
        for item in read_outputs(self.stored):
            tick = item.output.tick
            if self.span.holds(tick.log_time_ns):
                self._waiting[tick.stamp_ns, tick.log_time_ns] = item.output

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self.add(output)

    def add(self, output: Output) -> None:
        """Compare one output with the stored output of the same stamp and arrival."""
        other = self._waiting.pop((output.tick.stamp_ns, output.tick.log_time_ns), None)
        if other is None:
            self._comparison.one_sided(output, "the reference has no such frame")
        else:
            self._comparison.add(other, output, same_tick=True)

    def close(self) -> None:
        """Count the frames that only the reference has as differences."""
        for other in self._waiting.values():
            self._comparison.one_sided(other, "only the reference has this frame")
        self._waiting = {}

    def report(self, command: Callable[[Moment], str] = lambda moment: "") -> list[DivergenceReport]:
        """Return a row for each compared head, in head order, with its first difference.

        Args:
            command: Returns the command that replays a moment of the log.
        """
        rows, heads = [], self._comparison.heads
        for name in [*HEADS, *(name for name in heads if name not in HEADS)]:
            if name not in heads:
                continue
            head = heads[name]
            row = DivergenceReport(
                log=named_log(self.log.path), head=name, frames=head.frames, diverged=head.diverged
            )
            if head.first is not None:
                at_ns, stamp_ns, text = head.first.log_time_ns, head.first.stamp_ns, head.first.what
                at_s = (at_ns - self.start_ns) / 1e9
                moment = Moment(named_log(self.log.path), at_s, at_ns, stamp_ns, 1.0, text)
                row = row.model_copy(
                    update={"at_s": at_s, "stamp_ns": stamp_ns, "what": text, "command": command(moment)}
                )
            rows.append(row)
        return rows
