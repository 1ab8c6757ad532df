"""The gates of `perception evaluate`: requirements, and outputs of another machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from perception.evaluation.agreement.profiles import parse_tolerances
from perception.evaluation.agreement.reference import Reference
from perception.evaluation.gates import failed, judge, junit_xml, parse_gates
from perception.logs import open_log
from perception.sinks.base import RunInfo
from perception.sinks.stored import read_outputs

if TYPE_CHECKING:
    from perception.evaluation import EvaluationReport, Moment
    from perception.logs import Log


class Checks:
    """What a report must pass.

    Args:
        require, strict, junit, references, tolerance: As on the command line.

    Raises:
        ConfigError: A gate or a tolerance is none.
    """

    def __init__(
        self,
        require: Sequence[str],
        strict: bool,
        junit: Path | None,
        references: Sequence[Path],
        tolerance: str | None,
    ) -> None:
        self._gates = parse_gates(require)
        self._strict = strict
        self._junit = junit
        self._references = references
        self._tolerances = parse_tolerances(tolerance)
        self._compared: list[Reference] = []

    def beside(self, stack: ExitStack, index: int, log: Log) -> list[Reference]:
        """The sinks that compare the outputs of this log while they are made."""
        if not self._references:
            return []
        stored = stack.enter_context(open_log(self._references[index]))
        self._compared.append(Reference(stored, log, self._tolerances))
        return self._compared[-1:]

    def add_stored(self, kept: Log) -> None:
        """Outputs that were stored themselves are compared as well."""
        if self._references:
            one = self._compared[-1]
            one.open(RunInfo())
            for item in read_outputs(kept):
                one.add(item.output)
            one.close()

    def judge(self, report: EvaluationReport, command: Callable[[Moment], str]) -> EvaluationReport:
        """The report with its gates; they are written as JUnit XML where that was asked for."""
        rows = [row for one in self._compared for row in one.report(command)]
        report = judge(report.model_copy(update={"reference": rows}), self._gates, self._strict)
        report = failed(report, any(row.diverged or not row.frames for row in rows))
        if self._junit is not None:
            self._junit.write_bytes(junit_xml(report))
        return report
