"""YAML from people we do not know: plain data only, bounded, nothing that unfolds or runs."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1 << 20
"""A configuration, or a plugin's manifest, is never larger."""


def read_yaml(path: Path) -> Any:
    """What a small YAML file says.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not such a text; the message says where and why.
    """
    with path.open("rb") as file:
        return parse_yaml(file.read(MAX_BYTES + 1))


def parse_yaml(text: bytes | str) -> Any:
    """What a small YAML text says: plain data only, no aliases, no key twice, at most `MAX_BYTES`.

    Raises:
        ValueError: It is not such a text; the message says where and why.
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
    """Refuses aliases, through which a small file unfolds without end, and keys given twice."""

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
