"""The recording of a host: its inputs as it received them, and its outputs; it replays to the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perception.config import Config, parse_config
from perception.config.safe_yaml import parse_yaml
from perception.errors import ConfigError, LogError
from perception.logs.mcap.writer import marked_log
from perception.logs.survey import HOST_RECORD
from perception.sinks.mcap_sink import McapSink
from perception.sinks.output_log import read_run
from perception.sinks.run_info import RunInfo

if TYPE_CHECKING:
    from perception.logs import Log

END_RECORD = "perception.host_end"
"""The metadata record at the end of a recording: until when the host had waited for messages."""


class HostRecordingSink(McapSink):
    """An output log with the inputs of a host, byte for byte, on its arrival clock.

    Args:
        path: The file.
        host: The name of the host: `ros2`.
    """

    is_ours = staticmethod(marked_log(HOST_RECORD))

    def __init__(self, path: str | Path, host: str) -> None:
        super().__init__(path)
        self._host = host

    def _metadata(self, run: RunInfo) -> dict[str, Mapping[str, str]]:
        return {**super()._metadata(run), HOST_RECORD: {"host": self._host}}

    def end(self, clock_ns: int) -> None:
        """Note the last reading of the arrival clock: ticks that closed until then close in a replay, too."""
        with self._lock:
            self._opened().add_metadata(END_RECORD, {"clock_ns": str(clock_ns)})


class HostRecord(NamedTuple):
    """The entries of a recording about the host that made it.

    Attributes:
        config: The complete configuration of the host, from which nothing was found in a log.
        end_ns: The last reading of its arrival clock; None: it was killed.
    """

    config: Config
    end_ns: int | None


def read_host_record(log: Log) -> HostRecord | None:
    """Return the record of the host that made a log; None where no host did.

    Raises:
        LogError: The record is wrong.
    """
    records = {name: record for name, record in log.survey.metadata if name in (HOST_RECORD, END_RECORD)}
    if HOST_RECORD not in records:
        return None
    run, end = read_run(log), records.get(END_RECORD, {}).get("clock_ns", "")
    try:
        config = parse_config(parse_yaml(run.config if run is not None else ""), "in the record of the host")
        return HostRecord(config, int(end) if end else None)
    except (ValueError, ConfigError) as error:
        raise LogError(f"the record of the host that made this log is wrong: {error}: {log.path}") from None
