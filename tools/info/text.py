"""The text of `perception info`: tables that read well at 80 columns, and plain when piped."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perception.autoconfig import Choice
from perception.config import Role, to_yaml
from perception.diagnosis.audit import Audit, Finding, Times
from perception.errors import ConfigError
from perception.logs import Damage, Log
from perception_tools.info.command import NOT_READ, clock_time

_STYLES = {"error": "bold red", "warning": "yellow", "note": ""}
_USES: dict[Role, str] = {"truth_boxes": "truth", "truth_control": "truth"}


def show(
    log: Log,
    choice: Choice | None,
    problem: Exception | None,
    found: Audit | None,
    times: dict[str, Times],
    damage: list[Damage],
    audited: bool,
) -> None:
    """Print everything about a log."""
    console = Console(highlight=False, emoji=False, markup=False)
    _show_head(console, log)
    _show_topics(console, log, choice, times)
    if not times and log.survey.message_count:
        console.print(Text(NOT_READ, style="yellow"))
    if not audited:
        _show_damage(console, log, damage)
    if choice is not None:
        _show_choice(console, choice)
    elif problem is not None:
        _show_problem(console, problem)
    if found is not None:
        _show_audit(console, found)
    elif audited:
        _show_damage(console, log, damage)
        console.print("Without a configuration only damage is looked for.")


def _show_head(console: Console, log: Log) -> None:
    survey = log.survey
    when = clock_time(survey.start_ns)
    facts = [
        f"{survey.duration_s:.1f} s",
        size(survey.size_bytes),
        f"{survey.message_count:,} message{'' if survey.message_count == 1 else 's'}",
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
    for name, values in survey.metadata:
        console.print(_item(f"{name}: {', '.join(f'{key}={value}' for key, value in values.items())}"))
    if survey.attachments:
        console.print(_item(f"attachments: {', '.join(survey.attachments)}"))
    console.print()


def size(count: int) -> str:
    """Bytes as people read them."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def _show_topics(console: Console, log: Log, choice: Choice | None, times: dict[str, Times]) -> None:
    if not log.channels:
        console.print("There are no topics in this log.\n")
        return
    roles = choice.config.roles() if choice else {}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("topic", overflow="fold", min_width=12)
    table.add_column("schema", overflow="fold", min_width=12)
    wide = console.width >= 100
    if wide:
        table.add_column("encoding", no_wrap=True)
    for name in ("count", "Hz", "gap s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("used as", no_wrap=True)
    for topic in sorted({*log.channels, *log.survey.topics}):  # damage may leave messages undeclared
        channel, held = log.channels.get(topic), log.survey.topics.get(topic)
        arrivals = times.get(topic)
        period = arrivals.period_s() if arrivals else None
        gap = arrivals.largest_gap() if arrivals else None
        role = roles.get(topic)
        table.add_row(
            Text(topic),
            Text(channel.schema.name if channel and channel.schema else ""),
            *([Text(channel.encoding if channel else "")] if wide else []),
            f"{held.count:,}" if held else "0",
            f"{1 / period:.1f}" if period else "",
            f"{gap[0]:.2f}" if gap else "",
            _USES.get(role, role) if role else "",
        )
    console.print(table)
    console.print()


def _show_damage(console: Console, log: Log, damage: list[Damage]) -> None:
    from perception.diagnosis.audit.content_rules import damage_rules

    for finding in damage_rules(damage, log.survey.start_ns):
        _show_finding(console, finding)
    if damage:
        console.print()


def _show_choice(console: Console, choice: Choice) -> None:
    console.print(Text("Replay would take", style="bold"))
    for reason in choice.reasons:
        console.print(_item(reason))
    for warning in choice.warnings:
        console.print(_item(warning, "yellow"))
    console.print()
    console.print(Text("As a file for --config", style="bold"))
    console.print(Text(to_yaml(choice.config)), soft_wrap=True)


def _show_problem(console: Console, problem: Exception) -> None:
    console.print(Text("Replay needs a configuration", style="bold"))
    faults = problem.errors if isinstance(problem, ConfigError) else (str(problem),)
    for fault in faults:
        console.print(_item(fault, "yellow"))
    console.print()
    if isinstance(problem, ConfigError) and problem.paste:
        console.print(Text("One to start from, for --config", style="bold"))
        yaml = "\n".join(line for line in problem.paste.splitlines() if not line.startswith("#"))
        console.print(Text(yaml + "\n"), soft_wrap=True)


def _show_audit(console: Console, found: Audit) -> None:
    if found.delays:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        table.add_column("arrival less stamp, ms", overflow="fold")
        for name in ("median", "95 %", "jitter"):
            table.add_column(name, justify="right", no_wrap=True)
        for topic, delay in found.delays.items():
            table.add_row(
                Text(topic), f"{delay.median_ms:.1f}", f"{delay.p95_ms:.1f}", f"{delay.jitter_ms:.1f}"
            )
        console.print(table)
        console.print()
    console.print(Text("Findings", style="bold"))
    for finding in found.findings:
        _show_finding(console, finding)
    if not found.findings:
        console.print("  none")
    console.print()
    console.print(Text("Heads", style="bold"))
    for head, because in found.verdicts().items():
        if because:
            reasons = ", ".join(dict.fromkeys(finding.code for finding in because))
            console.print(_item(f"{head}: unreliable ({reasons})", "yellow"))
        else:
            console.print(_item(f"{head}: can be relied on", "green"))


def _show_finding(console: Console, finding: Finding) -> None:
    line = Text(f"{finding.severity:<8}", style=_STYLES[finding.severity])
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=8, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(line, Text(finding.text))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))


def _item(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 2), expand=False)
