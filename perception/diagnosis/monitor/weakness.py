"""How much less a head gives on some of the sensors than on all, by the checkpoint's own statistics."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.reference import LEAST, LEVELS, SubsetStats
from perception.types import HEADS

_MIDDLE = LEVELS.index(0.5)

TELLING = ("best_score", "expected", "box_std", "distance_std")
"""Figures of detections that tell what an input is worth to them; of control the stds do."""

SAME = 0.1
"""Relative to it, two medians are the same."""


def weaknesses(stats: Mapping[str, SubsetStats], subset: str, whole: str, limits: Limits) -> dict[str, str]:
    """Head -> in words, how much less it usually gives on a subset of the sensors than on all that there are.

    Such a head is still calibrated, and says little: the class head without a camera, as a rule. Class and
    box go by the number of objects that the scores promise, control by its standard deviations.
    """
    part, all_of_them = stats.get(subset), stats.get(whole)
    if subset == whole or part is None or all_of_them is None or min(part.frames, all_of_them.frames) < LEAST:
        return {}
    found: dict[str, str] = {}
    fewer = _middles(part, "class").get("expected", 0.0)
    usual = _middles(all_of_them, "class").get("expected", 0.0)
    if fewer < limits.weak_objects * usual:
        text = f"on {subset} alone it finds about {fewer:.2g} objects, of {usual:.2g} on {whole}"
        found |= {"class": text, "box": text}
    wider = _wider(part, all_of_them)
    if wider > limits.weak_std:
        found["control"] = f"on {subset} alone its stds are about {wider:.1f} times those on {whole}"
    return found


def indifferent(stats: Mapping[str, SubsetStats], name: str, whole: str) -> frozenset[str]:
    """The heads that give usually the same without an input: what is wrong with it does not concern them."""
    rest = "+".join(other for other in whole.split("+") if other != name)
    part, all_of_them = stats.get(rest), stats.get(whole)
    if part is None or all_of_them is None or min(part.frames, all_of_them.frames) < LEAST:
        return frozenset()
    same = set()
    for head in HEADS:
        with_it, without = _middles(all_of_them, head), _middles(part, head)
        looked_at = [figure for figure in with_it if figure in TELLING or figure.startswith("std/")]
        if looked_at and all(
            abs(without.get(figure, 0.0) - with_it[figure]) <= SAME * abs(with_it[figure])
            for figure in looked_at
        ):
            same.add(head)
    return frozenset(same)


def _wider(part: SubsetStats, all_of_them: SubsetStats) -> float:
    """How many times as large control's standard deviations are, as the geometric mean over channels."""
    known = _middles(all_of_them, "control")
    ratios = [
        log(value / known[name])
        for name, value in _middles(part, "control").items()
        if name.startswith("std/") and value > 0.0 and known.get(name, 0.0) > 0.0
    ]
    return exp(sum(ratios) / len(ratios)) if ratios else 0.0


def _middles(stats: SubsetStats, head: str) -> dict[str, float]:
    return {name: quantiles[_MIDDLE] for name, quantiles in stats.quantiles.get(head, {}).items()}
