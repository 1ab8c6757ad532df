"""The text of an error of usage: the error, the nearest name, and the help of the command that was meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from perception.text import did_you_mean

if TYPE_CHECKING:
    from perception.errors import ConfigError

EXAMPLES = {
    "replay": "perception replay drive.mcap --render drive.webm --ledger drive.csv",
    "evaluate": "perception evaluate drive.mcap --require 'box.mAP50 >= 0.5' --report out.html",
    "compare": "perception compare old.safetensors new.safetensors drive.mcap",
    "verify": "perception verify drive.outputs.mcap",
    "bench": "perception bench drive.mcap --backend torch,openvino",
    "export": "perception export model.onnx --log drive.mcap",
    "find": "perception find tables 'speed > 5 and abs(control.curvature.error) > 0.02'",
    "host": "perception host dora --config robot.yaml --record drive.mcap",
    "info": "perception info drive.mcap --audit",
    "convert": "perception convert drive.bag drive.mcap --cut 10 20",
    "synthesize": "perception synthesize logs --count 10 --seed 1",
    "train": "perception train finetune --train logs --validate other.mcap --out runs/mine",
    "adapt": "perception adapt drive.mcap --out runs/mine",
    "study": "perception study newcomer --train logs --validate other.mcap",
    "plugin list": "perception plugin list",
    "plugin new": "perception plugin new my_detector",
    "plugin try": "perception plugin try my_detector.py:MyDetector drive.mcap",
    "plugin check": "perception plugin check fusion --log drive.mcap",
}
"""One for each command, shown by its help."""


def epilog(command: str) -> str:
    """Return the last paragraph of a command's help."""
    return f"Example: {EXAMPLES[command]}"


def usage_text(error: Any, root: Any, arguments: Sequence[str]) -> str:
    """Return the line for an error of usage.

    Args:
        error: The exception of click, the one that typer brings or another.
        root: The group of all commands.
        arguments: The arguments of the command line.
    """
    words, command = _command(root, arguments)
    text = str(error.format_message())
    if "ossible options" not in text and "id you mean" not in text and "No such" in text:
        text += _nearest(text, command, arguments)
    return f"{text} (see `{' '.join(['perception', *words])} --help`)"


def config_text(error: ConfigError, root: Any, arguments: Sequence[str]) -> str:
    """Return the lines for errors of a configuration: for those of options, also where their help is."""
    about_options = any(line.startswith("--") or line.partition(":")[0].isupper() for line in error.errors)
    if error.source or not about_options:
        return str(error)
    words, _ = _command(root, arguments)
    text = str(error).replace("in the configuration:", "in the arguments:", 1)
    return f"{text}\n(see `{' '.join(['perception', *words])} --help`)"


def _command(root: Any, arguments: Sequence[str]) -> tuple[list[str], Any]:
    """Return the words of the command that the arguments name, and the command."""
    words: list[str] = []
    for argument in arguments:
        below = getattr(root, "commands", {})
        if argument in below:
            words.append(argument)
            root = below[argument]
        elif not argument.startswith("-"):
            break
    return words, root


def _nearest(text: str, command: Any, arguments: Sequence[str]) -> str:
    """Return the names that an unknown one may have been meant for."""
    unknown = next((argument for argument in arguments if f"'{argument}'" in text), None)
    if unknown is not None and hasattr(command, "commands"):
        near = get_close_matches(unknown, command.commands, n=1)
        if os.path.exists(unknown) and not near:
            return " It is a file: name a command before it, as in `perception info FILE`."
        return f" Did you mean '{near[0]}'?" if near else f" There are {', '.join(command.commands)}."
    options = [name for parameter in command.params for name in parameter.opts if name.startswith("-")]
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("-") and name not in options and name not in ("-h", "--help"):
            return did_you_mean(name.lower().replace("_", "-"), options, "; ", cutoff=0.5)
    return ""
