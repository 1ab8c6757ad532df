"""Tables of text as columns: CSV, TSV and columns between blanks, in whatever encoding."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perception.logs.formats.column_rules import PICTURES, direction_of, is_number, number_of
from perception.logs.formats.streams import Findings
from perception.types import Float64

MAX_COLUMNS = 1000
MAX_CELLS, BYTES_PER_CELL = 2_000_000, 2
"""A table has as many cells, plus one for as many bytes of its files."""
_SIMULATOR = ("center", "left", "right", "steering_normalized", "throttle", "brake", "speed_mph")
_SIMULATOR_NAMES = (*_SIMULATOR[:3], "steering", "throttle", "brake", "speed")
"""The columns of Udacity's simulator as they are meant, and as some of its tables call them."""
_KNOWN_COMMANDS = ("str", "thr", "steer", "steering", "throttle")


@dataclass(slots=True)
class TextTable:
    """The cells of a table, [row][column]; every row has a cell for each name."""

    names: list[str]
    rows: list[list[str]]

    def column(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]

    def numbers(self, index: int) -> Float64:
        """Return a column as numbers; NaN where a cell is none."""
        return np.array([number_of(row[index]) for row in self.rows], np.float64)


def looks_like_table(start: bytes) -> bool:
    """Return whether a text starts with a line of names and a line of as many cells, a number among them."""
    lines = [line for line in _decoded(start).splitlines()[:20] if line.strip()]
    if len(lines) < 2 or "\0" in lines[0]:
        return False
    head, lines = _head_and_rows(lines)
    if not lines:
        return False
    split = _splitter(head, lines[0])
    names, cells = split(head), split(lines[0])
    return (
        len(names) > 1
        and abs(len(names) - len(cells)) <= 1
        and not all(is_number(name) for name in names)
        and any(map(_is_value, cells))
    )


def parse_table(lines: Sequence[bytes], topic: str, findings: Findings) -> TextTable:
    """Return the cells of a table. Lines with another number of cells are counted as lost.

    Raises:
        ValueError: There are no names, or too many.
    """
    texts = [text for line in lines if (text := _decoded(line).replace("\0", "")).strip()]
    if not texts:
        raise ValueError("expected a line of names and lines of numbers, found no line")
    head, texts = _head_and_rows(texts)
    split = _splitter(head, texts[0] if texts else head)
    names = [name.strip().lstrip("#").strip() for name in split(head)]
    if any(name.lower().endswith(PICTURES) for name in names):  # it is a line of pictures and values
        texts, names = [head, *texts], _made_names(names)
        findings.notes.append(f"{topic}: no line names the columns: they are called {', '.join(names)}")
    if [name.lower() for name in names] == list(_SIMULATOR_NAMES):
        names = list(_SIMULATOR)
        findings.notes.append(
            f"{topic}: the columns are those of Udacity's simulator: steering is from -1 to 1, speed in mph"
        )
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"{len(names)} columns: up to {MAX_COLUMNS} are taken")
    most = (MAX_CELLS + findings.size_bytes // BYTES_PER_CELL) // max(len(names), 1)
    if len(texts) > most:
        findings.miss(f"a table of more cells than the limit (docs/limits.md): {most} lines of it are read")
    rows = [split(text) for text in texts[:most] if not text.startswith("#")]
    width = int(np.median([len(row) for row in rows])) if rows else len(names)
    if width == len(names) + 1:
        names = _repaired(names, findings)
    if width != len(names) and rows:
        raise ValueError(f"the first line names {len(names)} columns, but lines have {width}")
    kept = [row for row in rows if len(row) == len(names)]
    findings.lose(topic, len(rows) - len(kept), f"lines that have no {len(names)} cells")
    return TextTable(_unique(names), kept)


def _head_and_rows(texts: list[str]) -> tuple[str, list[str]]:
    """Return the line of names and those behind it: the last comment at the start (`# timestamp x y`), or the
    first line that is none, where there is no comment or this one holds names, too."""
    comments = next((i for i, text in enumerate(texts) if not text.startswith("#")), len(texts))
    place = comments if not comments or _is_of_words(texts[comments:]) else comments - 1
    return texts[place], texts[place + 1 :]


def _is_of_words(texts: list[str]) -> bool:
    """Return whether the first of some lines has cells, and neither a number nor a picture among them."""
    if not texts:
        return False
    cells = _splitter(texts[0], texts[min(1, len(texts) - 1)])(texts[0])
    return not any(_is_value(cell) for cell in cells)


def _is_value(cell: str) -> bool:
    return is_number(cell) or cell.lower().endswith(PICTURES)


def _made_names(cells: list[str]) -> list[str]:
    """Return names for the columns of a table without names: of pictures the words that their names begin
    with, else `column_N`. Three cameras and four numbers are a drive of Udacity's simulator, whose
    `driving_log.csv` has no names."""
    stems = [re.split(r"[/\\]", cell)[-1] if cell.lower().endswith(PICTURES) else "" for cell in cells]
    words = [match[0] if (match := re.match(r"[A-Za-z]+", stem)) else "" for stem in stems]
    names = [word or f"column_{i + 1}" for i, word in enumerate(words)]
    is_simulator = words == [*_SIMULATOR[:3], "", "", "", ""]  # steering from -1 to 1
    return list(_SIMULATOR) if is_simulator else names


def _repaired(names: list[str], findings: Findings) -> list[str]:
    """Return the names with the one that is two of known names, written without a gap, taken apart."""
    for i, name in enumerate(names):
        for word in _KNOWN_COMMANDS:
            rest = name[len(word) :]
            if name.lower().startswith(word) and direction_of(rest) is not None:
                findings.notes.append(
                    f"the name {name!r} is taken as two, {name[: len(word)]} and {rest}: a guess"
                )
                return [*names[:i], name[: len(word)], rest, *names[i + 1 :]]
    return names


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    counts: dict[str, int] = {}
    unique = []
    for i, name in enumerate(names):
        counts[name] = counts.get(name, 0) + 1
        unique.append(
            (name or f"column{i}") if seen[name] == 1 and name else f"{name or 'column'}_{counts[name]}"
        )
    return unique


def _splitter(first: str, second: str) -> Callable[[str], list[str]]:
    """Return the function that splits a line, by the sign that splits the first two into most cells."""
    for sign in ("\t", ";", ","):
        if sign in first or (sign != "," and sign in second):
            decimal = sign != "," and re.search(r"(^|[;\t])-?\d+,\d+", second) is not None

            def split(line: str, sign: str = sign, decimal: bool = decimal) -> list[str]:
                cells = next(csv.reader([line], delimiter=sign), [])
                return [cell.strip().replace(",", ".") if decimal else cell.strip() for cell in cells]

            return split
    return lambda line: line.lstrip("#").split()


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
