"""When a monitor speaks up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When a monitor speaks up. Times are in seconds of the log's clock.

    Attributes:
        window_s: Over which figures are averaged.
        raise_s, clear_s: How long something must be wrong, or well again, without a break.
        still_s: How long the same content under new stamps is allowed.
        detail: Pictures with less than this share of their usual bytes, or more than its inverse, are
            unusual.
        baseline_s: Over which the usual bytes of pictures are averaged.
        invalid: The share of invalid answers from which a head does not answer.
        drift: How far a figure's average may lie from the usual median: 1 is where 5 or 95 % of the usual
            figures end, on the side where it lies.
        own_drift: The same where only the run's own first outputs are known, which is little.
        own_outputs: How many of these there are.
    """

    window_s: float = 0.7
    raise_s: float = 0.5
    clear_s: float = 1.0
    still_s: float = 0.25
    detail: float = 0.5
    baseline_s: float = 10.0
    invalid: float = 0.5
    drift: float = 2.5
    own_drift: float = 6.0
    own_outputs: int = 100
