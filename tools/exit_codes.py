"""The exit codes of the command line, by status."""

from __future__ import annotations

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


def leave(status: Status) -> NoReturn:
    """End the command with the exit code of a status."""
    raise typer.Exit(EXIT_CODES[status])


def with_exit_code(document: Mapping[str, Any], status: Status) -> dict[str, Any]:
    """Return a JSON document with `exit_code` after its `status`."""
    return _with_key(document, EXIT_CODES[status])


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
