"""`perception info LOG`: what a log holds, what replay would take from it and why, what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perception.errors import ConfigError, LogError

if TYPE_CHECKING:
    from perception.autoconfig import Choice
    from perception.config import Config
    from perception.diagnosis.audit import Audit, Finding, Times
    from perception.logs import Damage, Log

READ_BYTES = 256 << 20
"""A larger log is not read for its gaps and its damage unless `--audit` asks for it."""

NOT_READ = "the log is large: gaps and damage are looked for with --audit only"


def info(
    log: Annotated[Path, typer.Argument(help="The log, an MCAP file.", show_default=False)],
    config: Annotated[
        Path | None, typer.Option("--config", help="Check this configuration against the log.")
    ] = None,
    with_audit: Annotated[
        bool, typer.Option("--audit", help="Look for what makes heads unreliable. Exit code 3: damage found.")
    ] = False,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print only the configuration, for --config.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """What a log holds, and what replay would take from it and why."""
    from perception.config import load_config, to_yaml
    from perception.diagnosis.audit import audit  # here and below: `perception --help` loads no numpy
    from perception.logs import open_log

    with open_log(log) as opened:
        base = load_config(config) if config is not None else None
        choice, problem = _choose(opened, base, config)
        if yaml:
            if choice is None:
                raise problem or LogError(f"nothing to configure: {log}")
            print(to_yaml(choice.config), end="")
            raise typer.Exit(0)
        if problem is not None and base is not None:
            raise problem
        found = audit(opened, choice.config) if with_audit and choice is not None else None
        times, damage = _times(opened, found, with_audit)
        lossy = bool(damage) or (found is not None and found.lossy)
        code = 3 if lossy else 0
        if as_json:
            print(
                json.dumps(
                    _report(opened, choice, problem, found, times, damage, code), indent=2, ensure_ascii=False
                )
            )
        else:
            from perception_tools.info.text import show

            show(opened, choice, problem, found, times, damage, with_audit)
    raise typer.Exit(code)


def _choose(
    log: Log, base: Config | None, source: Path | None
) -> tuple[Choice | None, ConfigError | LogError | None]:
    """What replay would choose, or why it would not."""
    from perception.autoconfig import complete

    try:
        return complete(log, base, source=source), None
    except (ConfigError, LogError) as error:
        return None, error


def _times(log: Log, found: Audit | None, with_audit: bool) -> tuple[dict[str, Times], list[Damage]]:
    from perception.diagnosis.audit import survey_times

    if found is not None:
        return found.times, list(found.damage)
    if log.survey.size_bytes <= READ_BYTES or with_audit:
        return survey_times(log)
    return {}, list(log.survey.damage)


def clock_time(log_time_ns: int | None) -> str:
    """A log time as a date, where it is one: clocks that count from zero have none."""
    if log_time_ns is None or not 10**18 <= log_time_ns < 4 * 10**18:
        return ""
    return datetime.fromtimestamp(log_time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# --- JSON ---------------------------------------------------------------------------------------------


def _report(
    log: Log,
    choice: Choice | None,
    problem: Exception | None,
    found: Audit | None,
    times: dict[str, Times],
    damage: list[Damage],
    code: int,
) -> dict[str, Any]:
    survey = log.survey
    warnings = [{"code": "configuration", "text": text} for text in choice.warnings] if choice else []
    if problem is not None:
        warnings.append({"code": "no_configuration", "text": str(problem)})
    if not times and survey.message_count:
        warnings.append({"code": "not_read", "text": NOT_READ})
    report: dict[str, Any] = {
        "schema": "perception.info/1",
        "status": "loss" if code == 3 else "clean",
        "exit_code": code,
        "log": {
            "path": str(log.path),
            "size_bytes": survey.size_bytes,
            "start_ns": survey.start_ns,
            "end_ns": survey.end_ns,
            "duration_s": survey.duration_s,
            "messages": survey.message_count,
            "indexed": survey.indexed,
            "compression": list(survey.compression),
            "profile": survey.profile,
            "library": survey.library,
            "metadata": [{"name": name, "values": dict(values)} for name, values in survey.metadata],
            "attachments": list(survey.attachments),
        },
        "topics": _topics_report(log, choice, times),
        "configuration": choice.config.model_dump(mode="json", exclude_none=True) if choice else None,
        "reasons": list(choice.reasons) if choice else [],
        "damage": [asdict(item) for item in damage],
        "warnings": warnings,
    }
    if found is not None:
        report["audit"] = _audit_report(found)
    return report


def _topics_report(log: Log, choice: Choice | None, times: dict[str, Times]) -> dict[str, Any]:
    roles = choice.config.roles() if choice else {}
    topics = {}
    for topic in sorted({*log.channels, *log.survey.topics}):
        channel, held = log.channels.get(topic), log.survey.topics.get(topic)
        arrivals = times.get(topic)
        period = arrivals.period_s() if arrivals else None
        gap = arrivals.largest_gap() if arrivals else None
        topics[topic] = {
            "schema": channel.schema.name if channel and channel.schema else "",
            "encoding": channel.encoding if channel else "",
            "messages": held.count if held else 0,
            "first_ns": held.first_ns if held else None,
            "last_ns": held.last_ns if held else None,
            "rate_hz": 1 / period if period else None,
            "largest_gap_s": gap[0] if gap else None,
            "role": roles.get(topic),
        }
    return topics


def _audit_report(found: Audit) -> dict[str, Any]:
    heads = found.verdicts().items()
    return {
        "findings": [asdict(finding) for finding in found.findings],
        "delays": {topic: asdict(delay) for topic, delay in found.delays.items()},
        "heads": {head: {"reliable": not because, "because": _codes(because)} for head, because in heads},
    }


def _codes(findings: list[Finding]) -> list[str]:
    return list(dict.fromkeys(finding.code for finding in findings))
