"""Standard output: kept for the one JSON object of `--json`, whatever plugins and libraries print."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from perception_tools.exit_codes import leave

if TYPE_CHECKING:
    from perception.errors import OutputError
    from perception.types import Status


class _Reserved:
    """The stream of the JSON object; None: it is `sys.stdout`."""

    stream: TextIO | None = None


def open_closed_streams() -> None:
    """Open the null device in place of each standard stream that the caller closed, as with `2>&-`. Else the
    next file that is opened gets its number, and what libraries write in C goes into that file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115


def reserve_stdout() -> None:
    """Keep the standard output of this process for `print_json`: all else that is written there, from C as
    well, goes to stderr from now on."""
    if sys.stdout is None or sys.stderr is None:  # the caller closed one, as with `>&-`
        return
    try:
        sys.stdout.flush()
        descriptor = os.dup(1)
        os.dup2(2, 1)
    except OSError:
        return
    _Reserved.stream = os.fdopen(descriptor, "w", encoding="ascii")
    sys.stdout = sys.stderr


def print_json(document: Mapping[str, Any]) -> None:
    """Print the JSON object of a command, in ASCII and without the secrets of URLs."""
    from perception.remote.url_secrets import without_secrets

    text = without_secrets(json.dumps(document, indent=2))
    print(text, file=_Reserved.stream or sys.stdout, flush=True)


@contextmanager
def answering(status: Status) -> Iterator[None]:
    """Print the answer of a command in the block, then leave with its status: also where the reader of
    stdout has gone, as with `| head`, or the terminal that the interrupt came from."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, SystemExit) as error:
        if not reader_has_gone(error) and not (status == "interrupted" and isinstance(error, OSError)):
            raise
        discard_stdout()
    leave(status)


def reader_has_gone(error: BaseException) -> bool:
    """Return whether an exception came of writing to a stdout that nobody reads any more.

    rich and click turn the BrokenPipeError into a SystemExit.
    """
    if isinstance(error, SystemExit):
        return isinstance(error.__context__, BrokenPipeError)
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        poll = select.poll()
        poll.register(_Reserved.stream.fileno() if _Reserved.stream is not None else 1, 0)
        return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system: nothing else of ours is a pipe
        return True


def pipe_has_gone(error: OutputError) -> bool:
    """Return whether an output was written into a pipe that nobody reads any more, as in
    `--jsonl /dev/stdout | head` or `--jsonl >(head)`."""
    return isinstance(error.__cause__, BrokenPipeError)


def discard_stdout() -> None:
    """Discard what is buffered for stdout, on which Python would fail again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (_Reserved.stream, sys.__stdout__):
        if stream is not None and not stream.closed:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
