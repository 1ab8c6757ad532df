"""Texts that are shown: those from files made safe for a terminal, a page or a spreadsheet, and hints."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
    "|[\ud800-\udfff]"
)
_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\t\n\r"}
_FORMULA = ("=", "+", "-", "@", "\t", "\n", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NAMES = re.compile(r"(?<!\w)'[^']*'|\bsensors\.\w+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def visible(text: str) -> str:
    """Return the text with control, invisible and direction-changing characters escaped, as `\\u001b`.

    Line ends and tabs stay. Lone surrogates, as file names that are not UTF-8 have them, are escaped as well:
    they cannot be written to a file.
    """
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def visible_line(text: str) -> str:
    """Return the text as one line: as `visible`, with line ends and tabs escaped too.

    For names from files and what contains them: a line end in a name must not begin a line of its own.
    """
    return visible(text).translate(_ENDS)


def without_names(text: str) -> str:
    """Return a text without quoted names and sections of the configuration: equal for one reason."""
    return _NAMES.sub("", text)


def did_you_mean(
    name: object, names: Iterable[str], before: str = ", ", *, most: int = 1, cutoff: float = 0.6
) -> str:
    """Return `, did you mean NEAREST?` for a name that is not known; empty where no known one is near.

    Args:
        name: The name that was found.
        names: The known names.
        before: What stands before the question.
        most: How many names it may list.
        cutoff: How alike they must be, from 0 to 1.
    """
    near = get_close_matches(str(name), list(names), most, cutoff)
    return f"{before}did you mean {', '.join(near)}?" if near else ""


def listed(names: Iterable[str], most: int = 8, between: str = ", ") -> str:
    """Return names as `a, b and 3 more` (or `a; b; and 3 more`): the first, and the number of the others."""
    names = list(names)
    more = f"{between.replace(',', '')}and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 scan`, `1,200 scans`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def file_name_text(name: str) -> str:
    """Return a file name as text that can be written as UTF-8; bytes in it that are no text are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def csv_cell(value: object) -> object:
    """Return a value for a CSV file. Text that a spreadsheet would run as a formula gets a `'` before it.

    Numbers, also as text, stay numbers. Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    if not isinstance(value, str):
        return value
    neutral = value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return visible_line(f"'{value}" if neutral else value)
