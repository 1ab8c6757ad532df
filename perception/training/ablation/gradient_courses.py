"""Measurements of gradients, and their means over steps and seeds. No torch.

A measurement is a dict as `gradient_probe.describe` returns it, with its `step`; a course is those of a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from perception.types import LOSSES

FILE = "gradients.jsonl"
PAIRS = {f"{a}-{b}": (a, b) for a, b in combinations(LOSSES, 2)}
"""Name (`box-control`) -> both heads."""

Course = Sequence[Mapping[str, Any]]


def read_course(folder: Path) -> list[dict[str, Any]]:
    """Return the measurements of a run in the order of steps; an empty list where there are none.

    Of a step that was repeated after an interruption, the last measurement counts.
    """
    path = folder / FILE
    by_step: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
            by_step[int(entry["step"])] = entry
        except (ValueError, KeyError, TypeError):
            continue  # cut short when the run was killed
    return [by_step[step] for step in sorted(by_step)]


def conflicts(courses: Sequence[Course]) -> dict[str, dict[str, float]]:
    """Return the cosines of each pair that was measured.

    Keys: `mean` over steps and seeds, its range over seeds (`low`, `high`), and the `share` of measurements
    below 0.
    """
    summary: dict[str, dict[str, float]] = {}
    for pair in PAIRS:
        cosines = [values for course in courses if (values := _values(course, "cosine", pair))]
        if cosines:
            means = [_mean(values) for values in cosines]
            negative = [value < 0 for values in cosines for value in values]
            summary[pair] = {
                "mean": _mean(means), "low": min(means), "high": max(means), "share": _mean(negative)
            }  # fmt: skip
    return summary


def mean_norms(courses: Sequence[Course]) -> dict[str, float]:
    """Return head -> mean length of its gradient, divided by the mean over all heads."""
    values = {head: [v for course in courses for v in _values(course, "norm", head)] for head in LOSSES}
    means = {head: _mean(lengths) for head, lengths in values.items() if lengths}
    overall = _mean(list(means.values())) if means else 1.0
    return {head: value / overall for head, value in means.items()}


def mean_course(courses: Sequence[Course]) -> list[dict[str, Any]]:
    """Return, for each step, the mean cosine of each pair over the seeds that measured it."""
    steps = sorted({entry["step"] for course in courses for entry in course})
    means = []
    for step in steps:
        entries = [entry for course in courses for entry in course if entry["step"] == step]
        cosines = {pair: _mean(values) for pair in PAIRS if (values := _values(entries, "cosine", pair))}
        means.append({"step": step, "cosine": cosines})
    return means


def _values(course: Course, kind: str, name: str) -> list[float]:
    return [entry[kind][name] for entry in course if name in entry[kind]]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
