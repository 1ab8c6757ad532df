"""The report as Markdown, short enough for a pull request. Text that comes from files is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perception.evaluation.report import highlights, log_tables, stress_tables, tables
from perception.evaluation.report.display_text import file_name
from perception.evaluation.report.drawing_schema import MomentReport
from perception.evaluation.report.headline import headline
from perception.evaluation.report.page import subtitle, title
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.table_cells import Cell, TableData
from perception.evaluation.report.value_schema import SliceReport
from perception.text import visible, visible_line

MOST_MOMENTS = 5
MOST_SLICES = 10
_SPECIAL = re.compile(r"([\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])|#(?=\d))")
_FIRST = re.compile(r"^([-+#=]|\d+(?=[.)](?:\s|$)))([.)]?)")
"""Text that begins a list, a heading or a rule."""


def markdown(report: EvaluationReport) -> str:
    """Return a report as Markdown: verdict, numbers, highlights and worst moments."""
    return "\n\n".join(_parts(report)) + "\n"


def escaped(text: str) -> str:
    """Return text escaped for Markdown: no markup, HTML, table cell or mention takes effect."""
    flat = " ".join(visible(text).split())
    flat = _SPECIAL.sub(r"\\\1", flat)
    flat = _FIRST.sub(lambda match: f"{match[1]}\\{match[2]}" if match[2] else f"\\{match[1]}", flat)
    flat = flat.replace("@", "@<!-- -->")
    return re.sub(r"(?i)\b(https?|ftp|www)([:.])", r"\1<!-- -->\2", flat)


def fenced(text: str) -> str:
    """Return one line as a code block whose fence is longer than any fence inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{visible_line(text)}\n{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with escaped cells; the first column is left-aligned, the others right-aligned."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    cells = [list(map(escaped, head)), rule, *(list(map(escaped, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _parts(report: EvaluationReport) -> Iterator[str]:
    verdict = headline(report)
    sign = "\u274c " if verdict.bad else "\u2705 " if report.gates or report.reference else ""
    yield f"## {sign}{escaped(verdict.text)}"
    yield f"**{escaped(title(report))}**, {escaped(subtitle(report))}"
    if report.error:
        yield escaped(report.error)
    if report.gates or report.reference:
        yield _judged(report)
    numbers = tables.overall(report)
    if numbers:
        rows = [
            [name, f"{number} {unit}".rstrip(), note.partition("95 %: ")[2]]
            for name, number, unit, note in numbers
        ]
        yield table(["", "value", "95 %"], rows)
    sentences = highlights.all_highlights(report)
    if sentences:
        lines = (
            f"- {'**look:** ' if highlight.bad else ''}{escaped(highlight.text)}" for highlight in sentences
        )
        yield "### What stands out\n\n" + "\n".join(lines)
    yield from _tables(report)
    if report.moments:
        shown = [_moment(highlight) for highlight in report.moments[:MOST_MOMENTS]]
        yield "### The worst moments\n\n" + "\n\n".join(shown)
    warned = log_tables.warnings(report)
    if warned:
        yield "### Warnings\n\n" + "\n".join(f"- {escaped(text)}" for text in warned)
    if report.run:
        yield _folded("What made these outputs", table(["", ""], [[k, v] for k, v in report.run.items()]))


def _tables(report: EvaluationReport) -> Iterator[str]:
    worse = [moment for moment in report.slices if moment.difference.verdict == "worse"]
    if worse:
        yield "### Surely worse than the rest\n\n" + _slices(worse)
    if report.ablation:
        yield _folded("What each sensor is worth", _cells(stress_tables.sensors(report)))
    if report.fault_ablation is not None and report.fault_ablation.curves:
        yield _folded("What is left under faults", _cells(stress_tables.faults(report.fault_ablation)))
    if report.streaming:
        yield _folded("Scores that count the latency", _cells(stress_tables.streaming(report)))


def _folded(name: str, inside: str) -> str:
    return f"<details><summary>{escaped(name)}</summary>\n\n{inside}\n\n</details>"


def _judged(report: EvaluationReport) -> str:
    rows = [
        ["passed" if gate.passed else "FAILED", gate.require, gate.why]
        for gate in sorted(report.gates, key=lambda gate: gate.passed)
    ]
    for row in report.reference:
        same = bool(row.frames) and not row.diverged
        at = "" if same or row.at_s is None else f", first at {row.at_s:.2f} s: {row.what}"
        why = f"{row.diverged} of {row.frames} frames of {file_name(row.log)} differ{at}"
        rows.append(["passed" if same else "FAILED", f"{row.head} as the reference", why])
    return table(["verdict", "required", "found"], rows)


def _slices(worse: Sequence[SliceReport]) -> str:
    more = f"\n\nand {len(worse) - MOST_SLICES} more" if len(worse) > MOST_SLICES else ""
    return _cells(tables.slices(worse[:MOST_SLICES])) + more


def _cells(data: TableData | None) -> str:
    """Return a table of the page; the smaller line of a cell stands in brackets."""
    if data is None:
        return ""
    head, *rows = ([_text(cell) for cell in row] for row in (data.head, *data.rows))
    return table(head, rows)


def _text(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell.text} ({cell.note})" if cell.text and cell.note else cell.text or cell.note


def _moment(moment: MomentReport) -> str:
    where = escaped(f"{file_name(moment.log)} at {moment.at_s:.2f} s: {moment.what}")
    return f"{where}\n\n{fenced(moment.command)}" if moment.command else where
