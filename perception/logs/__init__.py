"""Reading logs of any installed format, writing MCAP, and decoding messages.

::

    with open_log("drive.mcap") as log:
        stream = log.messages(Query(topics=frozenset({"/camera/image"})))
        for message in stream:
            ...
        print(stream.account, stream.damage)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from perception.logs.damage import Damage, ReadAccount
from perception.logs.joined_path import as_one
from perception.logs.opening import is_log, open_log
from perception.logs.query import Query
from perception.logs.readers import Accounting, Log, LogReader, MessageStream, log_readers
from perception.logs.survey import Survey, TopicSurvey

if TYPE_CHECKING:
    from perception.logs.decoding import bare_times as bare_times
    from perception.logs.decoding import decode as decode
    from perception.logs.decoding import decoder as decoder
    from perception.logs.decoding import sensor_kind as sensor_kind
    from perception.logs.mcap.writer import LogWriter as LogWriter

_HOMES = {
    "bare_times": "perception.logs.decoding",
    "decode": "perception.logs.decoding",
    "decoder": "perception.logs.decoding",
    "sensor_kind": "perception.logs.decoding",
    "LogWriter": "perception.logs.mcap.writer",
}

__all__ = [
    "Accounting",
    "Damage",
    "Log",
    "LogReader",
    "LogWriter",
    "MessageStream",
    "Query",
    "ReadAccount",
    "Survey",
    "TopicSurvey",
    "as_one",
    "bare_times",
    "decode",
    "decoder",
    "is_log",
    "log_readers",
    "open_log",
    "sensor_kind",
]


def __getattr__(name: str) -> object:
    """Load decoders and the writer on first use: `info` needs neither."""
    if name not in _HOMES:
        raise AttributeError(f"module 'perception.logs' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the module `decode` would otherwise take the name of its function
    return value
