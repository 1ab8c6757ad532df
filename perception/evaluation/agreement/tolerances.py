"""Tolerances within which two outputs agree."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception.errors import ConfigError
from perception.evaluation.worst_frames import CUT


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The tolerances within which two outputs agree.

    Attributes:
        cut: Detections with a lower score may be missing from either output.
        score: Difference of scores.
        iou: Overlap of a box with the same box of the other output, at least.
        distance: Difference of distances, relative; `distance_m` is added to it. A position may be off by
            twice as much, where both outputs state positions in the same frame.
        control: Difference of a channel, over its standard deviation.
        box: Difference of an edge, over the size of the box; `box_px` is added to it.
        std: Difference of a standard deviation, relative.
    """

    cut: float
    score: float
    iou: float
    distance: float
    control: float
    distance_m: float = 0.0
    box: float = np.inf
    box_px: float = 0.0
    std: float = np.inf


ROUNDING = Tolerances(
    cut=0.1, score=0.02, iou=0.0, distance=0.01, control=0.05, distance_m=0.05, box=0.01, box_px=0.5, std=0.05
)
"""Tolerances for another number of threads, batch shape or processor."""
DECISIONS = Tolerances(cut=CUT, score=0.05, iou=0.9, distance=0.05, control=0.1)
"""Tolerances within which a robot acts the same."""


def parse_tolerances(text: str | None) -> Tolerances:
    """Return `DECISIONS` with the changes of a text such as `iou=0.95,control=0.05`.

    Raises:
        ConfigError: A name is unknown, or a value is not a number of 0 or more.
    """
    names = ("cut", "score", "iou", "distance", "control")
    changes: dict[str, float] = {}
    errors = []
    for word in filter(None, (part.strip() for part in (text or "").split(","))):
        name, _, number = word.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if name not in names or not 0 <= value < np.inf:
            errors.append(f"--tolerance: expected {'=X, '.join(names)}=X with numbers from 0, found '{word}'")
        else:
            changes[name] = value
    if errors:
        raise ConfigError(errors)
    return replace(DECISIONS, **changes)
