"""Measurements of gradients, gathered over steps and seeds. No torch.

A measurement is what `gradients.describe` gives, with its `step`; a course is those of one run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from perception.types import LOSSES

FILE = "gradients.jsonl"
PAIRS = tuple(combinations(LOSSES, 2))

Course = Sequence[Mapping[str, Any]]


def read_course(folder: Path) -> list[dict[str, Any]]:
    """The measurements of a run in the order of steps; of a step that was repeated after an interruption, the
    last. Empty where there are none."""
    path = folder / FILE
    if not path.is_file():
        return []
    found: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line)
            found[int(entry["step"])] = entry
        except (ValueError, KeyError, TypeError):
            continue  # cut short when the run was killed
    return [found[step] for step in sorted(found)]


def conflicts(courses: Sequence[Course]) -> dict[str, dict[str, float]]:
    """Pair (`box-control`) -> `mean` cosine over steps and seeds, its range over seeds (`low`, `high`), and
    the `share` of measurements below 0."""
    summed: dict[str, dict[str, float]] = {}
    for pair in (f"{a}-{b}" for a, b in PAIRS):
        found = [[e["cosine"][pair] for e in course if pair in e["cosine"]] for course in courses]
        means = [sum(values) / len(values) for values in found if values]
        if means:
            every = [value for values in found for value in values]
            share = sum(value < 0 for value in every) / len(every)
            mean = sum(means) / len(means)
            summed[pair] = {"mean": mean, "low": min(means), "high": max(means), "share": share}
    return summed


def mean_norms(courses: Sequence[Course]) -> dict[str, float]:
    """Head -> mean length of its gradient, in parts of the mean over all heads."""
    found = {
        head: [e["norm"][head] for course in courses for e in course if head in e["norm"]] for head in LOSSES
    }
    means = {head: sum(values) / len(values) for head, values in found.items() if values}
    whole = sum(means.values()) / len(means) if means else 1.0
    return {head: value / whole for head, value in means.items()}


def mean_course(courses: Sequence[Course]) -> list[dict[str, Any]]:
    """Step by step, the mean cosine of each pair over the seeds that measured it."""
    by_step: dict[int, list[Mapping[str, float]]] = {}
    for course in courses:
        for entry in course:
            by_step.setdefault(entry["step"], []).append(entry["cosine"])
    found = []
    for step in sorted(by_step):
        cosines = {}
        for pair in (f"{a}-{b}" for a, b in PAIRS):
            values = [entry[pair] for entry in by_step[step] if pair in entry]
            if values:
                cosines[pair] = sum(values) / len(values)
        found.append({"step": step, "cosine": cosines})
    return found
