"""Streams of files that are numbered, a message each, with a list of their times beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perception.logs.formats.column_rules import date_ns
from perception.logs.formats.folder_files import files_in
from perception.logs.formats.streams import Findings, Times, made_stamps
from perception.logs.formats.text_lines import text_lines

MADE_HZ = 10.0


class NumberedFiles(NamedTuple):
    """The files of one sensor and their times, in the order of the times."""

    files: Sequence[Path]
    stamps_ns: Times


def timed_files(
    folder: Path,
    suffixes: Sequence[str],
    times: Path,
    topic: str,
    findings: Findings,
    stamp_of: Callable[[str], int | None] = date_ns,
) -> NumberedFiles:
    """Return the files of a folder with the times of the lines that their numbers name, from 0 on.

    A line without a file, and a file without a line, are counted as lost. Without a list of times, stamps are
    made, and the user is told.

    Args:
        stamp_of: Returns the nanoseconds of a line; None where it is no time.
    """
    files = files_in(folder, *suffixes)
    try:
        lines = text_lines(times, findings)
    except (OSError, ValueError):
        findings.notes.append(f"{topic}: {times.name} cannot be read: stamps are made at {MADE_HZ:g} Hz")
        return NumberedFiles(files, made_stamps(len(files), MADE_HZ))
    stamps = [stamp_of(line.decode("latin-1")) for line in lines]
    while stamps and not lines[len(stamps) - 1].strip():
        stamps.pop()
    numbers = [_number(file, place) for place, file in enumerate(files)]
    by_number = {number: file for number, file in zip(numbers, files, strict=True) if number < len(stamps)}
    findings.lose(topic, len(files) - len(by_number), f"files without a line in {times.name}")
    findings.lose(topic, len(stamps) - len(by_number), f"files that {times.name} has a line of")
    usable = {number: ns for number in by_number if (ns := stamps[number]) is not None}
    findings.lose(topic, len(by_number) - len(usable), f"files whose line in {times.name} is no time")
    numbers = sorted(usable, key=lambda number: usable[number])
    if any(b < a for a, b in pairwise(numbers)):
        findings.notes.append(f"{topic}: the times of {times.name} go back; files are put in their order")
    return NumberedFiles([by_number[n] for n in numbers], np.array([usable[n] for n in numbers], np.int64))


def _number(file: Path, place: int) -> int:
    match = re.fullmatch(r"\d{1,12}", file.stem)
    return int(match[0]) if match else place
