"""The text of `perception convert`."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from perception.logs.conversion import Conversion, ConvertedTopic
from perception.pipeline.batch import BatchResult, convert_totals
from perception.text import plural
from perception_tools.exit_codes import json_status, with_exit_code
from perception_tools.printed_tables import show_table, table_console


def show(conversion: Conversion) -> None:
    """Print what was converted, and what was not carried over."""
    console = table_console()
    held = f", {conversion.latched} of them from before the cut" if conversion.latched else ""
    console.print(Text(f"{conversion.output}: {conversion.messages} messages{held}"), soft_wrap=True)
    rows = [[topic.topic, str(topic.messages), _schema(topic)] for topic in conversion.topics]
    show_table(console, ["topic", "messages", "schema"], rows, words=(0, 2))
    for topic in conversion.topics:
        if topic.kept:
            console.print(Text(f"{topic.topic} keeps {topic.schema}: {topic.kept}"), soft_wrap=True)
    if conversion.not_carried:
        lacks = [[row.topic, str(row.messages or ""), row.reason] for row in conversion.not_carried]
        show_table(console, ["not carried over", "messages", "reason"], lacks, words=(0, 2))
    else:
        console.print("everything was carried over")
    for damage in conversion.damage:
        console.print(Text(f"damage: {damage.reason}", style="yellow"), soft_wrap=True)
    style = "green" if conversion.status == "clean" else "yellow"
    console.print(Text(conversion.status, style=style))


def _schema(topic: ConvertedTopic) -> str:
    name = topic.schema or topic.encoding
    return name if topic.schema == topic.source else f"{name}, was {topic.source}"


def batch_document(result: BatchResult) -> dict[str, Any]:
    """Return the JSON document of many conversions; `logs` holds the document of each."""
    rows = []
    for log in result.logs:
        written = [str(path) for path in log.written]
        if log.summary is not None:
            row = with_exit_code({**log.summary, "output": written[0] if written else ""}, log.status)
        else:
            row = with_exit_code({"status": json_status(log.status)}, log.status) | {"error": log.error}
        rows.append({**row, "log": str(log.log), "skipped": log.skipped, "written": written})
    document = {
        "schema": "perception.convert_many/1",
        "status": json_status(result.status),
        "totals": {**result.counts(), **convert_totals(result.summaries)},
        "seconds": result.seconds,
        "logs": rows,
    }
    return with_exit_code(document, result.status)


def show_batch(report: dict[str, Any]) -> None:
    """Print the document of many conversions."""
    console, totals = table_console(), report["totals"]
    before = f"; {totals['skipped']} were done before" if totals["skipped"] else ""
    done = f"{plural(totals['logs'], 'log')}, {plural(totals['messages'], 'message')}{before}"
    text = f"{report['status']}: {done}"
    console.print(Text(text, style="green" if report["status"] == "clean" else "yellow"), soft_wrap=True)
    rows = [
        [row["log"], row["status"], str(row.get("messages", "")), ", ".join(row["written"])]
        for row in report["logs"]
    ]
    show_table(console, ["log", "status", "messages", "written"], rows, words=(0, 1, 3))
    for row in report["logs"]:
        if row.get("error"):
            console.print(Text(f"{row['log']}: {row['error']}", style="red"), soft_wrap=True)
        lacks = sum(lack["messages"] for lack in row.get("not_carried", ()))
        if lacks:
            reasons = ", ".join(sorted({lack["reason"] for lack in row["not_carried"]}))
            console.print(Text(f"{row['log']}: {lacks} messages not carried over: {reasons}"), soft_wrap=True)
