"""Printing for people: text from files is shown, and cannot act on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from perception.text import visible_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def degrade_text() -> None:
    """Let stdout and stderr write what their encoding lacks as `\\u901f`, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # None, closed, or not a stream of Python's own
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def say(*lines: str, stderr: bool = False) -> None:
    """Print lines, with control characters and line ends in them escaped."""
    stream = sys.stderr if stderr else sys.stdout
    for line in lines if stream is not None else ():  # None: the caller closed it, as with `>&-`
        print(visible_line(line), file=stream, flush=stderr)


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is: control characters escaped, no markup, no emoji codes."""
    from perception_tools.console import VisibleConsole

    return VisibleConsole(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_lines(console: Console, text: Text) -> None:
    """Print a text of several lines on a console, which escapes line ends inside a line."""
    for line in text.split("\n", allow_blank=True):
        console.print(line)


@contextmanager
def status_line(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step of the work on stderr, if that is a terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda text: None
        return
    with make_console(stderr=True).status("") as status:
        yield lambda text: status.update(visible_line(text))
