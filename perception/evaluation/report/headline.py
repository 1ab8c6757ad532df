"""The verdict on an evaluation, as a sentence."""

from __future__ import annotations

from perception.evaluation.report.highlight import Highlight
from perception.evaluation.report.schema import EvaluationReport
from perception.text import plural


def headline(report: EvaluationReport) -> Highlight:
    """Return the verdict on the evaluation as a sentence."""
    failed = [gate for gate in report.gates if not gate.passed]
    diverged = [row for row in report.reference if row.diverged or not row.frames]
    if report.status in ("failed", "interrupted"):
        return Highlight(f"The evaluation was not finished: {report.status}.", "summary", True)
    if failed or diverged:
        parts = []
        if failed:
            verb = "is" if len(failed) == 1 else "are"
            parts.append(f"{len(failed)} of {plural(len(report.gates), 'requirement')} {verb} not met")
        if diverged:
            heads = len({row.head for row in diverged})
            verb = "decides" if heads == 1 else "decide"
            parts.append(f"{plural(heads, 'head')} {verb} otherwise than the reference")
        return Highlight(f"Fails: {'; '.join(parts)}.", "summary", True)
    if report.gates or report.reference:
        met = (
            f"all {len(report.gates)} requirements are met"
            if len(report.gates) > 1
            else "the requirement is met"
        )
        same = "every decision is that of the reference"
        checks = ", and ".join(
            part for part, there in ((met, report.gates), (same, report.reference)) if there
        )
        return Highlight(f"Passes: {checks}.", "summary", False)
    return Highlight("No requirement was set, so nothing passes or fails.", "summary", False)
