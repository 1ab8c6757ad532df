"""Safe YAML: plain data of bounded size, without aliases or objects."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1 << 20
"""The largest file that is read: a configuration, or the manifest of a plugin."""


def read_yaml(path: Path) -> Any:
    """Read a small YAML file; see `parse_yaml`.

    Raises:
        OSError: The file cannot be read.
        ValueError: Its text is not allowed; the message says where and why.
    """
    with path.open("rb") as file:
        return parse_yaml(file.read(MAX_BYTES + 1))


def parse_yaml(text: bytes | str) -> Any:
    """Parse a small YAML text: plain data, no aliases, no key twice, at most `MAX_BYTES`.

    Raises:
        ValueError: The text is not allowed; the message says where and why.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES >> 20} MiB: this is not a configuration")
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.reader.ReaderError as error:
        raise ValueError(f"is not text: {error.reason}, at byte {error.position}") from None
    except yaml.YAMLError as error:
        text = " ".join(str(error).replace('in "<byte string>", ', "at ").split())
        raise ValueError(f"is not YAML: {text}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


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
                if key.value in seen:
                    text = f"the key {key.value!r} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, text, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)
