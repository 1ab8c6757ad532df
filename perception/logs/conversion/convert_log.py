"""Conversion of a log to MCAP: the messages in their order, with their times, in chunks with an index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from perception.errors import ConfigError
from perception.files import replaced_whole
from perception.logs.conversion.latched import latched_messages, latched_topics
from perception.logs.conversion.message_copies import MessageCopies
from perception.logs.conversion.report import Conversion, NotCarried
from perception.logs.damage import ReadAccount
from perception.logs.joined_path import named_log
from perception.logs.mcap.writer import LogWriter, marked_log
from perception.logs.query import Query
from perception.logs.readers import Log
from perception.text import did_you_mean, listed
from perception.types import Message

RECORD = "perception.convert"
"""The name of the metadata record at the head of a converted log."""

is_converted_log = marked_log(RECORD)
"""Returns whether an existing file is the output of an earlier conversion."""

_OUR_RECORDS = "perception."  # of a run: a copy of its file is not what its receipt describes
_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """The options of a conversion.

    Attributes:
        start_s, end_s: The part of the log, in seconds from `begin_ns`; the end is exclusive. None: from the
            beginning, to the end.
        topics: Patterns of the topics to take, as of a shell; empty: all.
        as_recorded: Keep every message as it is, also where a schema of Foxglove says the same.
        begin_ns: The log time from which seconds count; None: that of the first message that is neither
            transforms nor camera info.
    """

    start_s: float | None = None
    end_s: float | None = None
    topics: tuple[str, ...] = ()
    as_recorded: bool = False
    begin_ns: int | None = None


def convert_log(log: Log, path: Path, options: ConvertOptions = ConvertOptions()) -> Conversion:
    """Write a log as an MCAP file: every message that can be read, with its topic, its times and its place.

    A message of ROS becomes one of Foxglove where that says the same (`MessageCopies`); any other keeps its
    bytes, encoding and schema. Messages that hold on from before the start get the start as log time. The
    file appears whole or not at all.

    Args:
        log: An open log.
        path: The file to write; check it first (`perception.path_guard`).
        options: The part to convert.

    Raises:
        ConfigError: A pattern names no topic, or the cut is empty.
        OutputError: The file cannot be written.
    """
    query = _query(log, options)
    copies = MessageCopies(as_recorded=options.as_recorded)
    stream, early = log.messages(query), _early(log, query)
    record = {"source": named_log(log.path), "messages": "as recorded" if options.as_recorded else "Foxglove"}
    others = [(name, values) for name, values in log.survey.metadata if not name.startswith(_OUR_RECORDS)]
    with replaced_whole(path) as part:
        unwritable = _write(part, [(RECORD, record), *others], chain(early, stream), copies)
    return Conversion(
        log.path,
        path,
        sum(row.messages for row in copies.topics) - unwritable.total(),
        len(early),
        copies.topics,
        (
            *_unselected(log, stream.account, query, early),
            *_lost(stream.account, unwritable),
            *_beside(log, copies),
        ),
        tuple(stream.damage),
        {"start_ns": query.start_ns, "end_ns": query.end_ns},
    )


def _write(
    path: Path,
    records: Sequence[tuple[str, Mapping[str, str]]],
    messages: Iterable[Message],
    copies: MessageCopies,
) -> Counter[str]:
    """Write the messages; return those by topic whose times MCAP does not hold. Raises OutputError.

    The records stand at the head of the file; several may have one name.
    """
    unwritable: Counter[str] = Counter()
    with LogWriter(path, chunk_bytes=_CHUNK_BYTES, flush_by="log", flush_s=1e9, compression="zstd") as out:
        for name, values in records:
            out.add_metadata(name, values)
        for message in messages:
            copy = copies.copy(message)
            if min(message.log_time_ns, message.publish_time_ns) >= 0 and (
                max(message.log_time_ns, message.publish_time_ns) < 1 << 64
            ):
                out.copy(copy)
            else:
                unwritable[message.topic] += 1
    return unwritable


def _query(log: Log, options: ConvertOptions) -> Query:
    """Return the selection. Raises ConfigError."""
    survey, names = log.survey, None
    errors = []
    if options.topics:
        known = sorted({*survey.topics, *survey.channels})
        for pattern in options.topics:
            if not any(fnmatchcase(name, pattern) for name in known):
                hint = did_you_mean(pattern, known, "; ") or f"; there are {listed(known, 10)}"
                errors.append(f"--topics: no topic matches '{pattern}'{hint}")
        names = frozenset(name for name in known for pattern in options.topics if fnmatchcase(name, pattern))
    start_s, end_s = options.start_s, options.end_s
    if start_s is not None and end_s is not None and not 0 <= start_s < end_s:
        errors.append(f"--cut: expected START before END, from 0 on, found {start_s:g} {end_s:g}")
    begin_ns = _begin_ns(log) if options.begin_ns is None else options.begin_ns
    lasts_s = ((survey.end_ns or begin_ns) - begin_ns) / 1e9
    if start_s is not None and start_s > lasts_s and survey.topics:
        errors.append(f"--cut: nothing is left from {start_s:g} s on: the log ends at {lasts_s:.1f} s")
    if errors:
        raise ConfigError(errors)
    bounds = (None if seconds is None else begin_ns + round(seconds * 1e9) for seconds in (start_s, end_s))
    return Query(names, *bounds)


def _begin_ns(log: Log) -> int:
    held = latched_topics(log, frozenset(log.survey.topics))
    firsts = [topic.first_ns for name, topic in log.survey.topics.items() if name not in held]
    return min(firsts, default=log.survey.start_ns or 0)


def _early(log: Log, query: Query) -> list[Message]:
    """Return the messages that hold on from before the cut, with the log time of the cut."""
    if query.start_ns is None:
        return []
    topics = frozenset(log.survey.topics) if query.topics is None else query.topics
    return [
        replace(message, log_time_ns=query.start_ns)
        for message in latched_messages(log, topics, query.start_ns)
    ]


def _unselected(log: Log, account: ReadAccount, query: Query, early: list[Message]) -> Iterator[NotCarried]:
    for topic, count in sorted(account.not_configured.items()):
        yield NotCarried(topic, count, "not_selected", "no pattern of --topics matches it")
    for topic, count in sorted(account.outside_range.items()):
        rest = count - sum(message.topic == topic for message in early)
        if rest > 0:
            yield NotCarried(topic, rest, "outside_cut", "outside --cut")
    for topic in sorted(log.survey.channels.keys() - log.survey.topics.keys()):
        if query.wants(topic):
            yield NotCarried(topic, 0, "no_messages", "nothing was recorded on it")


def _lost(account: ReadAccount, unwritable: Counter[str]) -> Iterator[NotCarried]:
    for code, reason, counts in (
        ("corrupt", "the content cannot be read", account.corrupt),
        ("lost", "proven to be lost in the source", account.lost),
        ("unwritable", "its times are none that MCAP holds", unwritable),
    ):
        for topic, count in sorted(counts.items()):
            yield NotCarried(topic, count, code, reason)


def _beside(log: Log, copies: MessageCopies) -> Iterator[NotCarried]:
    """Yield the fields, and the records beside the messages, that are not copied."""
    for (topic, names), count in copies.dropped.items():
        yield NotCarried(topic, count, "field", f"{names}: Foxglove has no place for it")
    for name in dict.fromkeys(name for name, _ in log.survey.metadata if name.startswith(_OUR_RECORDS)):
        yield NotCarried(f"(metadata {name})", 0, "metadata", "the record of another file of this program")
    for name in log.survey.attachments:
        yield NotCarried(f"(attachment {name})", 0, "attachment", "attachments are not copied")
