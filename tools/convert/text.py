"""The text of `perception convert`."""

from __future__ import annotations

from rich.text import Text

from perception.logs.conversion import Conversion, ConvertedTopic
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
