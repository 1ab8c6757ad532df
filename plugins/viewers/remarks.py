"""What is to be said about a run at a moment, each once: absent inputs, invalid heads, warnings, resets."""

from __future__ import annotations

from collections.abc import Iterator

from perception.sinks import Level, RunInfo
from perception.types import Output, Sample, TruthFrame
from perception.types.truth_frame import missing_warnings

Remark = tuple[Level, str, str]
"""Level, subject and text."""


class RemarksOfRun:
    """Yields what changed from one output to the next, in words."""

    def __init__(self) -> None:
        self._inputs: dict[str, str] = {}
        self._heads: dict[str, str] = {}
        self._warned: set[str] = set()

    def opening(self, run: RunInfo) -> Iterator[Remark]:
        """Yield what holds for the whole run."""
        if run.untrained:
            yield "warning", "weights", "the weights were never trained"
        for fault in run.faults:
            yield "warning", "faults", f"injected into the log: {fault}"

    def of(self, sample: Sample, output: Output, truth: TruthFrame | None) -> Iterator[Remark]:
        """Yield the remarks of one output."""
        if sample.reset is not None:
            yield "warning", "reset", sample.reset.reason
        if sample.tick.kind != "reference":
            yield from self._once("substitute", "tick", "a substitute tick: the reference sensor is silent")
        for source in sample.sensors:
            code = "" if source.absence is None else str(source.absence.code)
            if self._inputs.get(source.name, "") != code and source.configured:
                level: Level = "warning" if code else "info"
                yield level, source.name, source.reason or "present again"
            self._inputs[source.name] = code
        yield from self._invalid_heads(output)
        for code, text in output.warnings.items():
            yield from self._once(f"plugin {code}", "plugin", f"{code}: {text}")
        for code, text in missing_warnings(truth):
            yield from self._once(f"truth {code}", "truth", text)
        for issue in sample.issues:
            yield from self._once(f"rig {issue.code}", "rig", issue.text)

    def _invalid_heads(self, output: Output) -> Iterator[Remark]:
        for name, head in output.heads().items():
            error = "" if head.valid else head.error or "invalid"
            if self._heads.get(name, "") != error:
                yield ("error", name, error) if error else ("info", name, "valid again")
            self._heads[name] = error

    def _once(self, key: str, subject: str, text: str) -> Iterator[Remark]:
        if key not in self._warned:
            self._warned.add(key)
            yield "warning", subject, text
