"""The text of `perception info`: tables of 80 columns, without styles when piped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import yaml
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perception.autoconfig.alignment_advice import problem_texts
from perception.config import to_yaml
from perception.errors import ConfigError
from perception.remote import RemotePath
from perception.remote.remote_file import RemoteFile
from perception.text import listed, plural, visible_line
from perception_tools.info.log_info import NOT_READ, LogInfo, finding_codes
from perception_tools.printed_tables import NameCell
from perception_tools.printing import make_console

if TYPE_CHECKING:
    from perception.autoconfig import ConfigChoice
    from perception.autoconfig.class_words import ClassWords
    from perception.diagnosis.audit import Audit, Finding

_STYLES = {"error": "bold red", "warning": "yellow", "unjudged": "yellow", "note": ""}
MOST_ALIKE = 6
"""Topics that are named of those that one reason holds for; `--json` lists all."""
NUMBERS = ("count", "Hz", "gap s")
"""Columns of topics that hold numbers."""

_USES: dict[str, str] = {"truth_boxes": "truth", "truth_control": "truth"}


def show(info: LogInfo) -> None:
    """Print the facts about a log."""
    console = make_console()
    _show_head(console, info)
    _show_topics(console, info)
    if info.unread:
        console.print(Text(NOT_READ, style="yellow"))
    if not info.audited:
        _show_damage(console, info)
    if info.choice is not None:
        _show_choice(console, info, info.choice)
    elif info.problem is not None:
        _show_problem(console, info.problem)
        _show_unused(console, info)
    if info.audit is not None:
        _show_audit(console, info.audit)
    elif info.audited:
        _show_damage(console, info)
        console.print("Without a configuration only damage is looked for.")


def _show_head(console: Console, info: LogInfo) -> None:
    log, survey = info.log, info.log.survey
    begin_ns, end_ns = info.sensor_start_ns, survey.end_ns
    when = clock_time(begin_ns)
    facts = [
        f"{0.0 if begin_ns is None or end_ns is None else (end_ns - begin_ns) / 1e9:.1f} s",
        size(survey.size_bytes),
        plural(survey.message_count, "message"),
        "indexed" if survey.indexed else "no index",
        ", ".join(survey.compression).replace("none", "not compressed"),
    ]
    console.print(Text(log.path.name, style="bold"))
    console.print("  " + ", ".join(fact for fact in facts if fact), soft_wrap=True)
    if when:
        console.print(f"  from {when}")
    if survey.profile or survey.library:
        profile = f", profile {survey.profile}" if survey.profile else ""
        console.print(_item(f"written by {survey.library or 'unknown'}{profile}"))
    if survey.metadata and not info.with_metadata:
        console.print(_item(f"metadata: {', '.join(name for name, _ in survey.metadata)} (--metadata)"))
    for name, values in survey.metadata if info.with_metadata else ():
        console.print(_item(f"{name}: {', '.join(f'{key}={value}' for key, value in values.items())}"))
    if survey.attachments:
        console.print(_item(f"attachments: {', '.join(survey.attachments)}"))
    if isinstance(log.path, RemotePath):
        console.print(_item(_fetched(log.path.file)))
    counts, content = log.accounting
    console.print(_item(f"that no message is missing is proven by: {counts or 'nothing'}"))
    console.print(_item(f"that their bytes are right is proven by: {content or 'nothing'}"))
    for note in survey.notes:
        console.print(_item(note))
    console.print()


def _fetched(file: RemoteFile) -> str:
    """Return what was fetched of a remote log, in words."""
    whole = f"; the whole file, since {file.fetched_because}" if file.fetched_because else ""
    return f"{size(file.bytes_read)} fetched by {file.requests} requests{whole}"


def size(count: int) -> str:
    """Return a number of bytes with its unit."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def clock_time(log_time_ns: int | None) -> str:
    """Return a log time as a date; empty for clocks that count from zero."""
    if log_time_ns is None or not 10**18 <= log_time_ns < 4 * 10**18:
        return ""
    return datetime.fromtimestamp(log_time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))


def _print_yaml(console: Console, yaml: str) -> None:
    for line in yaml.split("\n"):
        console.print(Text(line), soft_wrap=True)


def _show_topics(console: Console, info: LogInfo) -> None:
    """Print the topics: as a table where it fits, else with the names above the rows."""
    if not info.log.channels:
        console.print("There are no topics in this log.")
        console.print()
        return
    rows: list[tuple[str, ...]] = [
        (
            row.topic,
            row.schema.replace("/msg/", "/"),
            row.encoding,
            f"{row.messages:,}",
            _rate(row.rate_hz) if row.rate_hz else "",
            f"{row.largest_gap_s:.2f}" if row.largest_gap_s is not None else "",
            _USES.get(row.role, row.role) if row.role else "",
        )
        for row in info.topics()
    ]
    heads: tuple[str, ...] = ("topic", "schema", "encoding", "count", "Hz", "gap s", "used as")
    lines = _aligned([heads, *rows])
    if max(map(cell_len, lines)) > console.width:  # without the encoding
        heads, rows = heads[:2] + heads[3:], [row[:2] + row[3:] for row in rows]
        lines = _aligned([heads, *rows])
    if max(map(cell_len, lines)) <= console.width:
        rule = "─" if console.encoding.startswith("utf") else "-"
        lines.insert(1, rule * max(map(cell_len, lines)))
    else:  # a name is never broken: it stands on a line of its own, above the rest of its row
        details = _aligned([row[1:] for row in (heads, *rows)])
        lines = [
            line
            for row, detail in zip((heads, *rows), details, strict=True)
            for line in (row[0], f"  {detail}")
        ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    console.print()


def _rate(rate_hz: float) -> str:
    return f"{rate_hz:.1f}" if rate_hz >= 0.1 else f"{rate_hz:.2g}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines of aligned columns; the first row names them."""
    rows = [tuple(map(visible_line, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        " ".join(
            cell.rjust(width) if name in NUMBERS else set_cell_size(cell, width + (index == 0))
            for index, (name, cell, width) in enumerate(zip(rows[0], row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _show_damage(console: Console, info: LogInfo) -> None:
    if not info.damage:
        return
    from perception.diagnosis.audit.sensor_rules import damage_rules

    for finding in damage_rules(info.damage, info.log.survey.start_ns):
        _show_finding(console, finding)
    console.print()


def _show_choice(console: Console, info: LogInfo, choice: ConfigChoice) -> None:
    console.print(Text("Replay would take", style="bold"))
    for reason in choice.reasons:
        console.print(_item(reason))
    for warning in (*choice.warnings, *problem_texts(info.absences)):
        console.print(_item(warning, "yellow"))
    console.print()
    if info.words is not None and info.words.unknown:
        _show_classes(console, info.words)
    _show_unused(console, info)
    console.print(Text("As a file for --config", style="bold"))
    _print_yaml(console, to_yaml(choice.config))


def _show_classes(console: Console, words: ClassWords) -> None:
    """Print the class words of the truth that the weights do not know, and the mapping to paste."""
    console.print(Text("Classes of the truth", style="bold"))
    counted = ", ".join(f"{word} {count:,}" for word, count in words.counts.items())
    console.print(_item(f"{counted}; the weights know {', '.join(words.classes) or 'none that can be read'}"))
    mapping = words.suggested
    left = [word for word in words.unknown if word not in mapping]
    if mapping:
        console.print(_item("to paste under truth (words that are not listed are dropped):"))
        pasted = yaml.safe_dump({"classes": {**words.mapped, **mapping}}, sort_keys=False, allow_unicode=True)
        _print_yaml(console, pasted.rstrip())
    if left and words.classes:
        console.print(_item(f"of no clear class: {', '.join(left)}", "yellow"))
    console.print()


def _show_unused(console: Console, info: LogInfo) -> None:
    if info.unused:
        console.print(Text("Not used", style="bold"))
    topics: dict[str, list[str]] = {}
    for item in info.unused:
        topics.setdefault(item.reason, []).append(item.topic)
    for reason, alike in topics.items():
        console.print(_item(f"{listed(alike, MOST_ALIKE)}: {reason}"))
    if info.unused:
        console.print()


def _show_problem(console: Console, problem: Exception) -> None:
    console.print(Text("Replay needs a configuration", style="bold"))
    errors = problem.errors if isinstance(problem, ConfigError) else (str(problem),)
    for error in errors:
        console.print(_item(error, "yellow"))
    console.print()
    if isinstance(problem, ConfigError) and problem.paste:
        console.print(Text("One to start from, for --config", style="bold"))
        yaml = "\n".join(line for line in problem.paste.splitlines() if not line.startswith("#"))
        _print_yaml(console, yaml + "\n")


def _show_audit(console: Console, audit: Audit) -> None:
    from perception.diagnosis.audit.timing_rules import AGE_MS

    if audit.delays:
        table = _table()
        table.add_column("arrival less stamp, ms", overflow="fold")
        for name in ("median", "95 %", "jitter"):
            table.add_column(name, justify="right", no_wrap=True)
        for topic, delay in audit.delays.items():
            values = (delay.median_ms, delay.p95_ms, delay.jitter_ms)
            foreign = abs(delay.median_ms) > AGE_MS
            cells = ("other", "clock", "") if foreign else (f"{value:.1f}" for value in values)
            table.add_row(NameCell(topic), *cells)
        console.print(table)
        console.print()
    console.print(Text("Findings", style="bold"))
    for finding in audit.findings:
        _show_finding(console, finding)
    if not audit.findings:
        console.print("  none")
    console.print()
    console.print(Text("Heads", style="bold") + Text(", as far as their inputs go; the model is not judged"))
    unjudged, unlike = audit.unjudged(), audit.unlike_training()
    for head, because in audit.verdicts().items():
        codes = ", ".join(finding_codes(unjudged[head]))
        style = "yellow"
        if because:
            text = f"unreliable ({', '.join(finding_codes(because))})"
        elif unlike[head]:
            text = "its inputs are sound, but unlike those of training: do not rely on it"
        elif codes:
            text = f"no defect of its inputs was found; not judged: {codes}"
        else:
            text, style = "can be relied on", "green"
        console.print(_item(f"{head}: {text}", style))


def _show_finding(console: Console, finding: Finding) -> None:
    line = Text(f"{finding.severity:<8}", style=_STYLES[finding.severity])
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=8, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(line, Text(finding.text))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))


def _item(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 2), expand=False)
