"""Typer commands that take their arguments as one dataclass, so that commands can share options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from perception.remote import log_path

T = TypeVar("T")

OneLog = Annotated[
    Path,
    typer.Argument(
        metavar="LOG", parser=log_path, help="The log: a path or a URL, of any format.", show_default=False
    ),
]


def takes(arguments: type[T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """Give a typer command the fields of a dataclass as its parameters.

    Each field is annotated as a typer parameter (`Annotated[int, typer.Option(...)]`) and has a default.
    Fields of base classes come first.
    """
    hints = get_type_hints(arguments, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(arguments)  # type: ignore[arg-type]
    ]

    def decorate(run: Callable[[T], None]) -> Callable[..., None]:
        @wraps(run)
        def command(**values: Any) -> None:
            run(arguments(**values))

        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate
