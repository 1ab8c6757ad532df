"""Formatting of numbers and names for display, and access to the values of a report by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

from perception.evaluation.report.value_schema import Heads, ValueReport

MINUS = "\u2212"
TITLES = {"class": "Class", "box": "Box", "distance": "Distance", "control": "Control"}


def short(value: float | None, digits: int = 3) -> str:
    """Return a number with significant digits, without an exponent where possible; a dash for None."""
    if value is None or value != value:
        return "\u2013"
    text = f"{value:.{digits}g}"
    if "e" in text and 1e-5 <= abs(value) < 1e7:
        text = f"{value:.{max(0, digits - 1 - _exponent(value))}f}"
    elif "e" not in text and "." in text and abs(value) < 1:
        text = f"{value:.{digits}f}" if abs(value) >= 0.1 else text
    return text.replace("-", MINUS)


def measured(value: float | None, digits: int = 3) -> str:
    """Return a number with significant digits, trailing zeros included: `1.00`; a dash for None."""
    if value is None or value != value:
        return "\u2013"
    if value == 0 or not 1e-5 <= abs(value) < 1e7:
        return short(value, digits)
    return f"{value:.{max(0, digits - 1 - _exponent(float(f'{value:.{digits}g}')))}f}".replace("-", MINUS)


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def percent(share: float | None) -> str:
    """Return a share from 0 to 1 as `45 %`."""
    return "\u2013" if share is None else f"{100 * share:.0f} %".replace("-", MINUS)


def signed(value: float | None) -> str:
    """Return the number with its sign."""
    return measured(value) if value is None or value < 0 else f"+{measured(value)}"


def interval(value: ValueReport | None) -> str:
    """Return `0.32 to 0.41`; empty without an interval."""
    if value is None or value.interval is None:
        return ""
    return f"{measured(value.interval.low)} to {measured(value.interval.high)}"


def values(heads: Heads, head: str) -> dict[str, ValueReport]:
    """Return all values of a head by name."""
    return {key: value for metric in heads.get(head, {}).values() for key, value in metric.values.items()}


def details(heads: Heads, head: str, metric: str) -> Mapping[str, object]:
    """Return the details of a metric: curves, matrices, bins."""
    metric_report = heads.get(head, {}).get(metric)
    return {} if metric_report is None else metric_report.details


def number(heads: Heads, head: str, name: str) -> float | None:
    """Return one value; None where it is undefined or missing."""
    report = values(heads, head).get(name)
    return None if report is None else report.value


def file_name(path: str) -> str:
    """Return the last part of a path of this or another system, or of a URL without its query."""
    path = re.split(r"[?#]", path, maxsplit=1)[0] if "://" in path else path
    return PurePath(path.replace("\\", "/")).name or path


def of_log(log: str, logs: int) -> str:
    """Return the name of a log before a text about it, `drive.mcap: `; empty where there is one log only.

    Args:
        log: The log; empty: the text is about all of them.
        logs: How many logs there are.
    """
    return f"{file_name(log)}: " if log and logs > 1 else ""


def parts_of(found: Mapping[str, ValueReport], name: str) -> dict[str, ValueReport]:
    """Return the values of one name by class or channel: `AP50` -> class -> value."""
    return {key[len(name) + 1 :]: value for key, value in found.items() if key.startswith(f"{name}/")}
