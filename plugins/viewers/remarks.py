"""Remarks about a moment of a run, each once: absent inputs, invalid heads, warnings, resets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from perception.sinks import Level, RunInfo
from perception.types import Output, Sample, TruthFrame
from perception.types.truth_frame import missing_warnings

Remark = tuple[Level, str, str]
"""Level, subject and text."""
MOST_CHANGES = 20
"""Changes that are told of one input or head. One that flickers is seen in its series."""


class RemarksOfRun:
    """Yields what changed from one output to the next, in words."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], str] = {}
        self._changes: Counter[tuple[str, str]] = Counter()
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
            if source.configured:
                level: Level = "warning" if code else "info"
                yield from self._change("input", source.name, code, level, source.reason or "present again")
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
            yield from self._change("head", name, error, "error" if error else "info", error or "valid again")

    def _change(self, kind: str, subject: str, state: str, level: Level, text: str) -> Iterator[Remark]:
        """Yield the text of an input or head whose state is not that of the sample before."""
        key = kind, subject
        if self._states.get(key, "") == state:
            return
        self._states[key] = state
        self._changes[key] += 1
        if self._changes[key] < MOST_CHANGES:
            yield level, subject, text
        elif self._changes[key] == MOST_CHANGES:
            yield level, subject, f"{text}; it changes often: no further change is told here"

    def _once(self, key: str, subject: str, text: str) -> Iterator[Remark]:
        if key not in self._warned:
            self._warned.add(key)
            yield "warning", subject, text
