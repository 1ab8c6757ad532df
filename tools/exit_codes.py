"""The exit codes of the command line, by status."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from perception.types import Status

EXIT_CODES: Mapping[Status, int] = {
    "clean": 0,
    "failed": 1,
    "usage": 2,
    "loss": 3,
    "gate_failed": 4,
    "interrupted": 130,
}


class _Interruption:
    """The signal that interrupted the command: Ctrl-C, unless `note_signal` was called with another."""

    number: int = signal.SIGINT


def note_signal(number: int) -> None:
    """Note the signal that interrupts the command; its exit code says which."""
    _Interruption.number = number


def exit_code(status: Status) -> int:
    """Return the exit code of a status; after a signal 128 and its number, as shells count."""
    code = EXIT_CODES[status]
    return code - signal.SIGINT + _Interruption.number if status == "interrupted" else code


def leave(status: Status) -> NoReturn:
    """End the command with the exit code of a status."""
    raise typer.Exit(exit_code(status))


def with_exit_code(document: Mapping[str, Any], status: Status) -> dict[str, Any]:
    """Return a JSON document with `exit_code` after its `status`."""
    return _with_key(document, exit_code(status))


def json_status(status: Status) -> Status:
    """Return the `status` of a JSON document: a command that did nothing has failed."""
    return "failed" if status == "usage" else status


def schema_with_exit_code(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a document that `with_exit_code` was applied to."""
    properties = _with_key(schema["properties"], {"title": "Exit Code", "type": "integer"})
    required = schema["required"]
    place = required.index("status") + 1
    required = [*required[:place], "exit_code", *required[place:]]
    return {**schema, "properties": properties, "required": required}


def _with_key(document: Mapping[str, Any], value: object) -> dict[str, Any]:
    items = list(document.items())
    place = list(document).index("status") + 1
    return dict([*items[:place], ("exit_code", value), *items[place:]])
