"""The commands by name. Each is imported when it is asked for: `perception info` imports no other one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import cleandoc
from typing import Any

import typer
from typer.main import get_command

from perception_tools.usage import epilog

NAMES = (
    "replay",
    "evaluate",
    "compare",
    "verify",
    "bench",
    "export",
    "find",
    "host",
    "info",
    "convert",
    "synthesize",
    "train",
    "adapt",
    "study",
    "plugin",
)
"""In the order of the help. The module `NAME.command` has a function of the name, or `app` with commands."""


class CommandTable(Mapping[str, Any]):  # the values are of the click that typer brings, or uses
    """The commands, as the `commands` of a group."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in NAMES:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _command(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


def _command(name: str) -> Any:
    module = import_module(f"perception_tools.{name}.command")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command(name, epilog=epilog(name))(getattr(module, name))
    command = get_command(app)
    command.name = name
    for each in (command, *getattr(command, "commands", {}).values()):
        each.help = _flowing(each.help or "")
        flags_take_nothing(each)
    return command


def flags_take_nothing(command: Any) -> None:
    """Show no type beside the flags of a command: `--json <bool>` reads as if a value were to follow."""
    all_of = command.get_params

    def params(context: Any) -> list[Any]:
        options = list(all_of(context))  # those of the function, and --help
        for option in options:
            if getattr(option, "is_flag", False):
                option.metavar = ""
        return options

    command.get_params = params


def _flowing(text: str) -> str:
    """Return a help text with a line for each paragraph, which is as wide as the terminal then."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(text).split("\n\n"))
