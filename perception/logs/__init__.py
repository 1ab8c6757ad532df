"""Reading logs of any installed format, writing MCAP, and decoding messages.

::

    with open_log("drive.mcap") as log:
        stream = log.messages(Query(topics=frozenset({"/camera/image"})))
        for message in stream:
            ...
        print(stream.account, stream.damage)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception.lazy_names import lazy_names
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
    "bare_times": "decoding",
    "decode": "decoding",
    "decoder": "decoding",
    "sensor_kind": "decoding",
    "LogWriter": "mcap.writer",
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
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
