"""The beginning of a sample log, for tests that need real pictures but not many."""

from __future__ import annotations

from pathlib import Path

from perception.logs import LogWriter, Query, open_log

SAMPLE_LOGS = Path(__file__).resolve().parents[1] / "sample_logs"


def write_beginning(path: Path, seconds: float, name: str = "yard_day") -> Path:
    """Copy the messages of the first seconds of a sample log to a file; return its path."""
    with open_log(SAMPLE_LOGS / f"{name}.mcap") as log, LogWriter(path) as out:
        start_ns = log.survey.start_ns or 0
        for message in log.messages(Query(end_ns=start_ns + round(seconds * 1e9))):
            out.write(
                message.topic,
                message.data,
                schema=message.channel.schema,
                encoding=message.channel.encoding,
                log_time_ns=message.log_time_ns,
                publish_time_ns=message.publish_time_ns,
            )
    return path
