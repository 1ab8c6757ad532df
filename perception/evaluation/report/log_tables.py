"""The tables of the logs of a report: their replays, the ledger and the warnings; None without data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception.evaluation.report.display_text import file_name, of_log, percent, short
from perception.evaluation.report.schema import EvaluationReport
from perception.evaluation.report.table_cells import NONE, TableData, table_of, word_cell
from perception.evaluation.score_warnings import grouped_rows


def logs(report: EvaluationReport) -> TableData | None:
    """Return a table with a row for each log and the status of its replay."""
    rows = []
    for log in report.logs:
        replay: Any = log.replay or {}
        present = ", ".join(
            f"{name} {percent(_present(counts))}" for name, counts in replay.get("inputs", {}).items()
        )
        damage, seconds = len(replay.get("damage", [])), replay.get("log_seconds")
        status = f"stored: {file_name(log.outputs)}" if log.outputs else str(replay.get("status", NONE))
        rows.append(
            [
                file_name(log.log),
                str(log.frames),
                NONE if seconds is None else f"{short(seconds)} s",
                word_cell(f"{status}, {damage} damaged" if damage else status),
                present or NONE,
            ]
        )
    return table_of("The logs", ["log", "frames", "length", word_cell("replay"), "inputs present"], rows)


def _present(counts: Mapping[str, int]) -> float | None:
    total = counts.get("present", 0) + counts.get("absent", 0)
    return counts.get("present", 0) / total if total else None


def ledger(report: EvaluationReport) -> TableData | None:
    """Return a table of the message counts of all logs by topic and ledger row."""
    total: dict[str, dict[str, int]] = {}
    for log in report.logs:
        of_log: Any = (log.replay or {}).get("ledger", {})
        for topic, counts in of_log.items():
            of_topic = total.setdefault(topic, {})
            for name, count in counts.items():
                of_topic[name] = of_topic.get(name, 0) + count
    columns = list(dict.fromkeys(name for counts in total.values() for name, n in counts.items() if n))
    rows = [
        [topic, *(str(counts.get(name) or "\u00b7") for name in columns), str(sum(counts.values()))]
        for topic, counts in total.items()
    ]
    head = ["topic", *(name.replace("_", " ") for name in columns), "sum"]
    return table_of("The account of every message, over all logs", head, rows if columns else [])


def warnings(report: EvaluationReport) -> list[str]:
    """Return one line for each damaged part of a log, each warning, and each failed metric."""
    lines = []
    for entry in report.logs:
        damage: Any = (entry.replay or {}).get("damage", [])
        for part in damage:
            t0, t1 = part.get("t0_ns"), part.get("t1_ns")
            span = "" if t0 is None or t1 is None else f" over {short((t1 - t0) / 1e9)} s"
            lines.append(
                f"{file_name(entry.log)}: {part.get('bytes')} bytes lost{span}: {part.get('reason')}"
            )
    for warned in grouped_rows(report.warnings):
        log, count = of_log(str(warned["log"] or ""), len(report.logs)), int(warned["count"])
        lines.append(f"{log}{warned['text']}{f' ({count} times)' if count > 1 else ''}")
    return lines + [f"metric {name} failed: {error}" for name, error in report.faults.items()]
