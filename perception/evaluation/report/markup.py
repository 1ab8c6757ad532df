"""HTML and SVG that cannot be broken into: all text is escaped on its way in.

Names of logs, classes and status fields come from files that somebody else made.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
    "|[\ud800-\udfff]"
)
_VOID = frozenset({"meta", "link", "input", "br", "wbr"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Part = str | int | float | Markup | None | Iterable["Part"]


def visible(text: str) -> str:
    """The text with every character that cannot be seen, or turns the reading direction, written out.

    Half characters, as names of files that are not UTF-8 have them, cannot be written to a file at all.
    """
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def text(value: object) -> Markup:
    """Anything as text."""
    return value if isinstance(value, Markup) else Markup(html.escape(visible(str(value)), quote=True))


def join(parts: Iterable[Part]) -> Markup:
    """Parts one after the other; None is nothing."""
    found = []
    for part in parts:
        if part is None:
            continue
        if isinstance(part, str | int | float):
            found.append(text(part))
        else:
            found.append(join(part))
    return Markup("".join(found))


def tag(_name: str, *children: Part, **attributes: str | int | float | bool | None) -> Markup:
    """An element. `class_` is the attribute `class`, `aria_label` is `aria-label`; None leaves one out, True
    gives it no value. Names are the program's own, values are escaped."""
    given = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        word = {"viewbox": "viewBox", "preserveaspectratio": "preserveAspectRatio"}.get(word, word)
        given.append(f" {word}" if value is True else f' {word}="{text(value)}"')
    opening = f"<{_name}{''.join(given)}>"
    return Markup(opening if _name in _VOID else f"{opening}{join(children)}</{_name}>")
