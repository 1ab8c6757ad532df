"""Methods chosen by name, alone (`focal`) or with options (`{name: focal, gamma: 1.5}`), and their errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from perception.text import did_you_mean


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a method: a number from `low` to `high`."""

    default: float
    low: float = 0.0
    high: float = math.inf
    whole: bool = False

    def error(self, value: object) -> str:
        """Return the error of a value; empty for a valid one."""
        kind = int if self.whole else int | float
        right = isinstance(value, kind) and not isinstance(value, bool)
        if right and math.isfinite(value) and self.low <= value <= self.high:  # type: ignore[arg-type, operator]
            return ""
        number = "a whole number" if self.whole else "a number"
        limits = f"from {self.low:g}" if math.isinf(self.high) else f"from {self.low:g} to {self.high:g}"
        return f"expected {number} {limits}, found {value!r:.60}"


Table = Mapping[str, Mapping[str, Option]]
"""Method -> its options by name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A method and all its options."""

    name: str
    options: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, str | float]:
        """Return it as a value for YAML, which `choose` reads."""
        return {"name": self.name, **self.options}


def choose(
    path: str, given: object, table: Table, default: str, errors: list[str], beside: Iterable[str] = ()
) -> Choice:
    """Return the method that a value of a configuration names.

    Args:
        path: The path of the value, which errors name.
        given: A name, a mapping with `name` and options, or None: the default.
        table: The methods.
        default: The method where none is named.
        errors: Errors are appended to it; the options are then those of the default.
        beside: Other keys that are allowed there, which the caller has taken out.
    """
    before = len(errors)
    if given is None or isinstance(given, str):
        given = {"name": given or default}
    if not isinstance(given, Mapping):
        errors.append(f"{path}: expected a name, or {{name: ..., options}}; found {given!r:.60}")
        given = {}
    name = given.get("name", default)
    if not isinstance(name, str) or name not in table:
        errors.append(
            f"{path}: expected one of {', '.join(table)}; found {name!r:.60}{did_you_mean(name, table)}"
        )
        return Choice(default, {key: option.default for key, option in table[default].items()})
    takes = table[name]
    for key, value in given.items():
        if key != "name" and key not in takes:
            errors.append(f"{path}.{key}: unknown option of {name}; {expected_keys(key, [*takes, *beside])}")
        elif key != "name" and (text := takes[key].error(value)):
            errors.append(f"{path}.{key}: {text}")
    options = {key: option.default for key, option in takes.items()}
    if len(errors) == before:
        options |= {key: value for key, value in given.items() if key != "name"}
    return Choice(name, options)


def expected_keys(key: object, names: Iterable[str]) -> str:
    """Return the end of an error: the keys expected in place of an unknown one."""
    names = list(names)
    return did_you_mean(key, names, "") or (f"expected {', '.join(names)}" if names else "it takes none")
