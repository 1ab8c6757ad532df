"""The tables of what went in, of every number, and of what made the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception.evaluation.report.markup import Markup, tag
from perception.evaluation.report.number_text import file_name, interval, percent, short
from perception.evaluation.report.schema import EvaluationReport, MetricReport
from perception.evaluation.report.tables import table, with_unit, word


def logs(report: EvaluationReport) -> Markup | None:
    """What went in, and how its replay ended."""
    rows = []
    for one in report.logs:
        replay = one.replay or {}
        inputs: Any = replay.get("inputs", {})
        present = ", ".join(f"{name} {percent(_present(counts))}" for name, counts in inputs.items())
        damage = len(replay.get("damage", []))
        status = f"stored: {file_name(one.outputs)}" if one.outputs else str(replay.get("status", "\u2013"))
        seconds = replay.get("log_seconds")
        length = "\u2013" if seconds is None else f"{short(seconds)} s"
        told = f"{status}, {damage} damaged" if damage else status
        rows.append(
            [file_name(one.log), str(one.frames), length, tag("td", told, class_="word"), present or "\u2013"]
        )
    return (
        table(["log", "frames", "length", word("replay"), "inputs present"], rows, "The logs")
        if rows
        else None
    )


def warnings(report: EvaluationReport) -> list[str]:
    """What could not be read, what was warned of, and metrics that failed."""
    told = []
    for one in report.logs:
        damage: Any = (one.replay or {}).get("damage", [])
        for part in damage:
            t0, t1 = part.get("t0_ns"), part.get("t1_ns")
            span = "" if t0 is None or t1 is None else f" over {short((t1 - t0) / 1e9)} s"
            told.append(f"{file_name(one.log)}: {part.get('bytes')} bytes lost{span}: {part.get('reason')}")
    for warned in report.warnings:
        log, count = str(warned.get("log") or ""), int(warned.get("count") or 1)
        of_log = f"{file_name(log)}: " if log and len(report.logs) > 1 else ""
        told.append(f"{of_log}{warned.get('text', '')}{f' ({count} times)' if count > 1 else ''}")
    return told + [f"metric {name} failed: {fault}" for name, fault in report.faults.items()]


def _present(counts: Mapping[str, int]) -> float | None:
    total = counts.get("present", 0) + counts.get("absent", 0)
    return counts.get("present", 0) / total if total else None


def ledger(report: EvaluationReport) -> Markup | None:
    """Every message of all logs, by what became of it."""
    total: dict[str, dict[str, int]] = {}
    for log in report.logs:
        found: Any = (log.replay or {}).get("ledger", {})
        for topic, counts in found.items():
            own = total.setdefault(topic, {})
            for name, count in counts.items():
                own[name] = own.get(name, 0) + count
    columns = list(
        dict.fromkeys(name for counts in total.values() for name, count in counts.items() if count)
    )
    if not columns:
        return None
    rows = [
        [topic, *(str(counts.get(name) or "\u00b7") for name in columns), str(sum(counts.values()))]
        for topic, counts in total.items()
    ]
    heads = ["topic", *(name.replace("_", " ") for name in columns), "sum"]
    return table(heads, rows, "The account of every message, over all logs")


def head_values(head: str, metrics: Mapping[str, MetricReport]) -> Markup:
    """All numbers of one head."""
    rows = []
    for metric in metrics.values():
        for name, value in metric.values.items():
            told = with_unit(value) if value.value is not None else f"undefined: {value.undefined}"
            rows.append([name, told, interval(value) or "\u2013", str(value.support)])
    return table([head, "value", "95 % interval", "support"], rows, f"All numbers of {head}", "all")


def run(report: EvaluationReport) -> Markup | None:
    """What made the outputs."""
    rows = [
        tag("div", tag("dt", name), tag("dd", text.replace("\n", ", "))) for name, text in report.run.items()
    ]
    return tag("dl", rows, class_="run") if rows else None
