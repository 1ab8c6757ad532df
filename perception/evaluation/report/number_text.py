"""Numbers as people read them, and where a report keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from perception.evaluation.report.schema import MetricReport, ValueReport

Heads = Mapping[str, Mapping[str, MetricReport]]

MINUS = "\u2212"
TITLES = {"class": "Class", "box": "Box", "distance": "Distance", "control": "Control"}


def short(value: float | None, digits: int = 3) -> str:
    """So many significant digits, without an exponent where it can be helped; a dash for None."""
    if value is None or value != value:
        return "\u2013"
    found = f"{value:.{digits}g}"
    if "e" in found and 1e-5 <= abs(value) < 1e7:
        found = f"{value:.{max(0, digits - 1 - _exponent(value))}f}"
    elif "e" not in found and "." in found and abs(value) < 1:
        found = f"{value:.{digits}f}" if abs(value) >= 0.1 else found
    return found.replace("-", MINUS)


def measured(value: float | None, digits: int = 3) -> str:
    """So many significant digits, also where the last are zeros: `1.00`; a dash for None."""
    if value is None or value != value:
        return "\u2013"
    if value == 0 or not 1e-5 <= abs(value) < 1e7:
        return short(value, digits)
    return f"{value:.{max(0, digits - 1 - _exponent(float(f'{value:.{digits}g}')))}f}".replace("-", MINUS)


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def percent(share: float | None) -> str:
    """A share from 0 to 1 as `45 %`."""
    return "\u2013" if share is None else f"{100 * share:.0f} %".replace("-", MINUS)


def signed(value: float | None) -> str:
    """With its sign."""
    return measured(value) if value is None or value < 0 else f"+{measured(value)}"


def interval(value: ValueReport | None) -> str:
    """`0.32 to 0.41`; empty without an interval."""
    if value is None or value.interval is None:
        return ""
    return f"{measured(value.interval.low)} to {measured(value.interval.high)}"


def values(heads: Heads, head: str) -> dict[str, ValueReport]:
    """All values of a head by name."""
    return {key: value for metric in heads.get(head, {}).values() for key, value in metric.values.items()}


def details(heads: Heads, head: str, metric: str) -> Mapping[str, object]:
    """What a metric has beside numbers."""
    found = heads.get(head, {}).get(metric)
    return {} if found is None else found.details


def number(heads: Heads, head: str, name: str) -> float | None:
    """One value; None where it is undefined or missing."""
    found = values(heads, head).get(name)
    return None if found is None else found.value


def file_name(path: str) -> str:
    """The last part of a path of this or another system."""
    return PurePath(path.replace("\\", "/")).name or path


def parts_of(found: Mapping[str, ValueReport], name: str) -> dict[str, ValueReport]:
    """`AP50` -> class -> value."""
    return {key[len(name) + 1 :]: value for key, value in found.items() if key.startswith(f"{name}/")}
