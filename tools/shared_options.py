"""Options that several commands share: of the engine, of the plugin, of files."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

ENGINE = "Engine: the same outputs within stated tolerances, at another speed"
BACKENDS = "auto, openvino, torch, graph or onnx"
PRECISIONS = "auto, fp32, bf16, fp16 or int8"
"""The values of two options, for their help: `perception.types.backends` cannot be imported as fast."""

PluginOptions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE", help="An option of the plugin (model=yolo.onnx, input.fit=stretch); repeatable."
    ),
]

Force = Annotated[
    bool, typer.Option("--force", help="Replace existing files that are no earlier outputs, too.")
]


AsOne = Annotated[
    bool,
    typer.Option(
        "--as-one", help="The files are one drive: several, a folder or a pattern of them, joined by time."
    ),
]


class Device(StrEnum):
    """The device to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Backend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=f"The backend: {BACKENDS}.", show_default="auto", rich_help_panel=ENGINE
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=f"The number format: {PRECISIONS}.", show_default="auto", rich_help_panel=ENGINE
    ),
]
EngineDevice = Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel=ENGINE)]


def plugin_options(texts: list[str]) -> dict[str, Any]:
    """Return the options of a plugin from `KEY=VALUE` texts; a dot in the key is a section, values are YAML.

    Raises:
        BadParameter: A text is not of that form, or its value is not YAML, or a key is given twice.
    """
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        *sections, last = key.strip().split(".")
        if not equals or not all((*sections, last)):
            raise typer.BadParameter(f"--option: expected KEY=VALUE, found {text!r}")
        from perception.config.safe_yaml import parse_yaml

        place = options
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"--option: {section} is both a value and a section")
        if last in place:
            raise typer.BadParameter(f"--option: {key} is given twice")
        try:
            place[last] = parse_yaml(value)
        except ValueError as error:
            raise typer.BadParameter(f"--option {key}: expected a value as in YAML, {error}") from None
    return options


def engine_values(**options: Any) -> dict[str, Any]:
    """Return the options that are set of the configuration's section `engine`, validated.

    Raises:
        BadParameter: An option is not valid.
    """
    values = {key: value for key, value in options.items() if value is not None}
    if values:
        from pydantic import ValidationError

        from perception.config import EngineConfig

        try:
            EngineConfig(**values)
        except ValidationError as error:
            detail = error.errors()[0]
            name, text = detail["loc"][0], detail["msg"].replace("Input should", "should")
            raise typer.BadParameter(f"--{name} {values[str(name)]}: {text}") from None
    return values
