"""Safe YAML: plain data of bounded size, without aliases or objects."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from perception.errors import ConfigError
from perception.files import open_regular

MAX_BYTES = 1 << 20
"""The largest file that is read: a configuration, or the manifest of a plugin."""


def read_yaml(path: Path) -> Any:
    """Read a small YAML file; see `parse_yaml`.

    Raises:
        OSError: The file cannot be read, or is a pipe or a device.
        ValueError: Its text is not allowed; the message says where and why.
    """
    with open_regular(path) as file:
        return parse_yaml(file.read(MAX_BYTES + 1))


def read_config_yaml(path: Path, hint: str = "") -> Any:
    """Read the YAML file of a configuration; see `parse_yaml`.

    Args:
        path: The file.
        hint: The end of the error where it cannot be read.

    Raises:
        ConfigError: It cannot be read, or its text is not allowed.
    """
    try:
        return read_yaml(path)
    except OSError as error:
        raise ConfigError([f"cannot be read: {error.strerror or error}{hint}"], str(path)) from None
    except ValueError as error:
        raise ConfigError([str(error)], str(path)) from None


def parse_yaml(text: bytes | str) -> Any:
    """Parse a small YAML text: plain data, no aliases, no key twice, at most `MAX_BYTES`.

    Every key is text: YAML reads `on` as true, `1` as a number, and `010` as the number 8; where that would
    change what was meant, the text is refused and has to stand in quotes.

    Raises:
        ValueError: The text is not allowed; the message says where and why.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES >> 20} MiB: this is not a configuration")
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.reader.ReaderError as error:
        raise ValueError(f"is not text: {error.reason}, at byte {error.position}") from None
    except _MistakableError as error:
        raise ValueError(str(error)) from None
    except yaml.YAMLError as error:
        text = " ".join(str(error).replace('in "<byte string>", ', "at ").split())
        raise ValueError(f"is not YAML: {text}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


class _MistakableError(yaml.YAMLError):
    """A plain word or number that YAML takes for something else than most people do."""

    def __init__(self, text: str, node: yaml.Node) -> None:
        super().__init__(f"line {node.start_mark.line + 1}: {text}")


class _PlainLoader(yaml.SafeLoader):
    """A safe loader without duplicate keys, and without aliases, which can expand a file without bound."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.tag not in _TEXT_TAGS:
                    text = f"the key {key.value} is no text to YAML; put it in quotes: '{key.value}'"
                    raise _MistakableError(text, key)
                if key.value in seen:
                    text = f"the key {key.value!r} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, text, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number, unless it is written in base 8 (`010`) or 60 (`1:30`), as few mean it."""
        number: int = super().construct_yaml_int(node)
        if _OTHER_BASE.match(node.value):
            text = f"{node.value} is the number {number} to YAML"
            raise _MistakableError(
                f"{text}; write {number} where you mean that, else put it in quotes: '{node.value}'", node
            )
        return number


_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_OTHER_BASE = re.compile(r"[-+]?0[0-9_]|.*:")
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_yaml_int)
