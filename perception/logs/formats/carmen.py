"""CARMEN text logs: laser scans and odometry, a message a line, compressed with gzip or bzip2 or not.

The format is in the head of each log, and in CARMEN's `logger` (Montemerlo, Roy, Thrun 2003). A line ends
with the time of its sender, the sender's host, and the time since the logger began. The first is the stamp;
the second, moved onto the clock of the senders, is the arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perception.errors import LogError
from perception.logs.formats import encoding
from perception.logs.formats.carmen_lines import (
    ODOM_FIELDS,
    POSE_FIELDS,
    SICK_MAX_M,
    TAIL,
    Scan,
    is_whole,
    mount_of,
    parse_fields,
    parse_old_scan,
    parse_scan,
)
from perception.logs.formats.streams import Findings, Stream, Times, fixed_stream, streams_log, time_of_text
from perception.logs.formats.text_lines import text_lines, text_start
from perception.logs.message_table import TableLog

FORMAT = "CARMEN log"

_JUMP_NS = 1_000_000_000  # the logger's clock going back by more is a logger that began again
_OLD = {b"FLASER": "/laser/front", b"RLASER": "/laser/rear"}
_NEW = {
    b"%bLASER%d" % (kind, i): f"/laser/{kind.decode().lower()}{i}"
    for kind in (b"ROBOT", b"RAW")
    for i in range(1, 6)
}
_NUMBERS = {b"ODOM": "/odom", b"TRUEPOS": "/truth/pose"}
_TOPICS = _OLD | _NEW | _NUMBERS
_MAX_PARAMETERS = 1000


class _Line(NamedTuple):
    """A message of a log: its name, the whole line, the time of its sender, and that of the logger."""

    name: bytes
    text: bytes
    stamp_ns: int
    logged_ns: int


def reads(path: Path) -> bool:
    """Return whether a file starts with lines of a CARMEN log."""
    start = text_start(path)
    if start.startswith(b"# CARMEN Logfile"):
        return True
    lines = [line.split() for line in start.splitlines() if line and not line.startswith(b"#")]
    known = [words for words in lines if words and (words[0] in _TOPICS or words[0] in (b"PARAM", b"SYNC"))]
    return bool(known) and 2 * len(known) > len(lines) and len(known[0]) > TAIL


def open(path: Path) -> TableLog:
    """Open a CARMEN log. A line that is no message is damage, counted under its topic.

    Raises:
        LogError: No message can be read.
    """
    findings, parameters = Findings(), dict[str, str]()
    try:
        lines = _lines(text_lines(path, findings), parameters, findings)
    except (OSError, ValueError) as error:
        raise LogError(f"cannot be opened ({getattr(error, 'strerror', None) or error}): {path}") from None
    stamps = np.array([line.stamp_ns for line in lines], np.int64)
    arrivals = _arrivals(stamps, np.array([line.logged_ns for line in lines], np.int64), findings)
    rows: dict[bytes, list[int]] = {}
    for row, line in enumerate(lines):
        rows.setdefault(line.name, []).append(row)
    streams: list[Stream] = []
    for name, kept in rows.items():
        texts = [lines[row].text for row in kept]
        streams += _streams(name, texts, stamps[kept], arrivals[kept], parameters, findings)
    return streams_log(path, streams, findings, parameters)


def _lines(texts: Sequence[bytes], parameters: dict[str, str], findings: Findings) -> list[_Line]:
    """Return the messages in the order of the file."""
    lines: list[_Line] = []
    broken, others = Counter[bytes](), Counter[bytes]()
    for text in texts:
        name, _, rest = text.partition(b" ")
        if name in _TOPICS:
            words = text.split()
            times = (
                [time_of_text(words[i].decode("latin-1")) for i in (-TAIL, -1)] if is_whole(words) else [None]
            )
            if None in times:
                broken[name] += 1
            else:
                stamp_ns, logged_ns = (time or 0 for time in times)
                lines.append(_Line(name, text, stamp_ns or logged_ns, logged_ns))
        elif name == b"PARAM" and len(words := rest.split()) > 1 and len(parameters) < _MAX_PARAMETERS:
            parameters[words[0].decode("latin-1")] = words[1].decode("latin-1")
        elif text.strip() and not text.startswith(b"#") and name not in (b"PARAM", b"SYNC"):
            others[name[:20]] += 1
    for name, count in broken.items():
        findings.lose(_TOPICS[name], count, "lines that are cut off, or whose times are none")
    if others:
        names = ", ".join(f"{name.decode('latin-1')} ({count})" for name, count in others.most_common(5))
        findings.notes.append(f"lines of other messages are not read: {names}")
    return lines


def _arrivals(stamps: Times, logged: Times, findings: Findings) -> Times:
    """Return when the logger had each line, on the clock of the stamps.

    The two differ by a constant while the logger runs. Nothing arrives before it is measured, and the fastest
    messages arrive at once, so the constant is the largest stamp less arrival, but for 1 in 200.
    """
    if not len(stamps):
        return stamps
    starts = [0, *(np.flatnonzero(np.diff(logged) < -_JUMP_NS) + 1), len(logged)]
    arrivals = logged.copy()
    for begin, end in pairwise(starts):
        offset = np.quantile(stamps[begin:end] - logged[begin:end], 0.995, method="lower")
        arrivals[begin:end] += np.int64(offset)
    findings.notes.append("arrivals are the logger's clock, moved by a constant onto that of the stamps")
    if len(starts) > 2:
        findings.notes.append(
            f"the logger's clock goes back {len(starts) - 2} times: each part is moved by itself"
        )
    back = np.diff(arrivals)
    if (back < 0).any():
        findings.notes.append(
            f"{int((back < 0).sum())} arrivals go back in time, by up to {-back.min() / 1e9:.3f} s"
        )
    return np.maximum(arrivals, 0)


def _streams(
    name: bytes,
    texts: Sequence[bytes],
    stamps: Times,
    arrivals: Times,
    parameters: Mapping[str, str],
    findings: Findings,
) -> Iterator[Stream]:
    """Yield the stream of one kind of line; before that of a laser, where it sits."""
    topic = _TOPICS[name]
    if name in _NUMBERS:
        fields = ODOM_FIELDS if name == b"ODOM" else POSE_FIELDS
        schema = encoding.json_schema(f"carmen.{name.decode()}")
        yield Stream(
            topic,
            schema,
            stamps,
            lambda i: encoding.numbers(int(stamps[i]), parse_fields(texts[i], fields)),
            arrivals,
        )
        return
    frame = topic.strip("/").replace("/", "_")
    parse = _old_parser(name, texts, parameters, findings) if name in _OLD else parse_scan
    mount, known = mount_of([scan for i in (0, len(texts) // 2, -1) if (scan := _scan_of(parse, texts[i]))])
    if not known:
        findings.notes.append(f"{topic}: its place is not known, and guessed to be that of base_link")
    at = int(arrivals.min())
    yield fixed_stream(
        f"/tf/{frame}", encoding.TRANSFORMS, at, encoding.transforms(at, [("base_link", frame, mount)])
    )
    yield Stream(
        topic, encoding.SCAN, stamps, lambda i: parse(texts[i]).message(int(stamps[i]), frame), arrivals
    )


def _old_parser(
    name: bytes, texts: Sequence[bytes], parameters: Mapping[str, str], findings: Findings
) -> Callable[[bytes], Scan]:
    side = "front" if name == b"FLASER" else "rear"
    written = time_of_text(parameters.get(f"robot_{side}_laser_max", ""))
    max_m = written / 1e9 if written else SICK_MAX_M
    source = f"robot_{side}_laser_max" if written else "guessed"
    findings.notes.append(
        f"{_OLD[name]}: the angles of {name.decode()} are guessed from the number of readings (180 degrees, "
        f"100 for 401); readings from {max_m:g} m ({source}) are no returns"
    )
    return lambda text: parse_old_scan(text, max_m)


def _scan_of(parse: Callable[[bytes], Scan], text: bytes) -> Scan | None:
    try:
        return parse(text)
    except ValueError:
        return None
