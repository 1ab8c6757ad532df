"""Conditions on moments, as a user writes them: `speed > 5 and abs(control.curvature.error) > 0.02`.

The grammar, from the weakest to the strongest binding::

    condition   = condition "or" condition | condition "and" condition | "not" condition | comparison | flag
    comparison  = sum ("<" | "<=" | ">" | ">=" | "=" | "==" | "!=") sum
    sum         = term (("+" | "-") term)*          term = factor (("*" | "/") factor)*
    factor      = number | text | name | "-" factor | "abs(" sum ")" | "known(" name ")" | "(" condition ")"

A text is in quotes. A name is words with dots; a word with other letters is in backticks. Nothing of a
condition reaches a database as text: names are looked up, texts and numbers are written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from perception.errors import ConfigError

MOST_LETTERS = 2000
_DEEPEST = 40

Kind = Literal["number", "text", "flag"]
"""The type of a value: number, text, or boolean."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<name>(?:[^\W\d]\w*|`[^`]+`)(?:\.(?:\w+|`[^`]+`))*)"
    r"|(?P<sign><=|>=|==|!=|<>|[-+*/()<>=]))"
)
_COMPARISONS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "==": "=", "!=": "<>", "<>": "<>"}
_PART = re.compile(r"`([^`]+)`|([^.`]+)")


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A number, a text, or true or false."""

    value: float | str | bool


@dataclass(frozen=True, slots=True)
class Named:
    """A value of a moment, by the parts of its name."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Applied:
    """An operator or a function over values: `and`, `not`, `<`, `<>`, `+`, `neg`, `abs`, `known`, ..."""

    sign: str
    values: tuple[Node, ...]


Node = WrittenValue | Named | Applied


def wrong_condition(errors: Sequence[str]) -> ConfigError:
    """Return the error of a condition."""
    return ConfigError(errors, head="wrong condition")


def parse_condition(text: str) -> Node:
    """Return the tree of a condition.

    Raises:
        ConfigError: It is none; says where.
    """
    if len(text) > MOST_LETTERS:
        raise wrong_condition([f"expected a condition of at most {MOST_LETTERS} letters, found {len(text)}"])
    parser = _Parser(text)
    node = parser.condition()
    parser.end()
    return node


def names_in(node: Node) -> Iterator[Named]:
    """Yield each name of a condition, in order."""
    if isinstance(node, Named):
        yield node
    elif isinstance(node, Applied):
        for value in node.values:
            yield from names_in(value)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._kind, self._token = "", ""
        self._next()

    def condition(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(f"at most {_DEEPEST} parentheses in each other")
        node = self._chain("or", lambda: self._chain("and", self._negated))
        self._depth -= 1
        return node

    def end(self) -> None:
        if self._kind:
            self._fail("and, or, or the end")

    def _chain(self, word: str, part: object) -> Node:
        assert callable(part)
        node: Node = part()
        while self._kind == "name" and self._token.lower() == word:
            self._next()
            node = Applied(word, (node, part()))
        return node

    def _negated(self) -> Node:
        if self._kind == "name" and self._token.lower() == "not":
            self._next()
            return Applied("not", (self._negated(),))
        return self._comparison()

    def _comparison(self) -> Node:
        node = self._sum()
        if self._kind == "sign" and self._token in _COMPARISONS:
            sign = _COMPARISONS[self._token]
            self._next()
            node = Applied(sign, (node, self._sum()))
            if self._kind == "sign" and self._token in _COMPARISONS:
                self._fail("and between two comparisons")
        return node

    def _sum(self) -> Node:
        return self._binary(("+", "-"), lambda: self._binary(("*", "/"), self._factor))

    def _binary(self, signs: tuple[str, ...], part: object) -> Node:
        assert callable(part)
        node: Node = part()
        while self._kind == "sign" and self._token in signs:
            sign = self._token
            self._next()
            node = Applied(sign, (node, part()))
        return node

    def _factor(self) -> Node:
        kind, token = self._kind, self._token
        if not kind:
            self._fail("a name, a number or a text in quotes")
        self._next()
        if kind == "number":
            return WrittenValue(float(token))
        if kind == "text":
            return WrittenValue(token[1:-1])
        if kind == "name":
            return self._named(token)
        if token == "-":
            return Applied("neg", (self._factor(),))
        if token == "(":
            return self._closed(self.condition())
        return self._fail("a name, a number or a text in quotes", token)

    def _named(self, token: str) -> Node:
        word = token.lower()
        if word in ("true", "false"):
            return WrittenValue(word == "true")
        if word in ("and", "or", "not"):
            self._fail("a name, a number or a text in quotes", token)
        if self._kind == "sign" and self._token == "(":
            if word not in ("abs", "known"):
                self._fail("abs( or known(", token)
            self._next()
            self._depth += 1
            if self._depth > _DEEPEST:
                self._fail(f"at most {_DEEPEST} parentheses in each other")
            value = self._closed(self._sum())
            self._depth -= 1
            if word == "known" and not isinstance(value, Named):
                self._fail("a name in known(...)")
            return Applied(word, (value,))
        return Named(tuple(quoted or plain for quoted, plain in _PART.findall(token)))

    def _closed(self, node: Node) -> Node:
        if self._token != ")":
            self._fail(")")
        self._next()
        return node

    def _next(self) -> None:
        rest = self._text[self._at :]
        if not rest.strip():
            self._kind, self._token, self._at = "", "", len(self._text)
            return
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            self._kind, self._token = "other", rest.strip()[:12]
            self._fail("a name, a number, a text in quotes or an operator")
        self._kind = str(match.lastgroup)
        self._token = match[self._kind]
        self._at = match.end()

    def _fail(self, expected: str, found: str | None = None) -> NoReturn:
        token = self._token if found is None else found
        shown = f"'{token}'" if token else "the end"
        raise wrong_condition([f"'{self._text}': expected {expected}, found {shown}"])
