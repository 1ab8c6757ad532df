"""The limits of a monitor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """When a monitor raises an alarm. Times are in seconds of the log's clock.

    False alarms, on simulated logs that neither trained nor calibrated the weights: with the default weights
    one of 1.4 s, of the box head, in 10 runs of 20 s with all sensors. The limits were set with weights
    before these: none in 25 runs of 10 s with all sensors; one event, of control, in 24 runs of 20 s over
    their subsets. Another robot's logs will have their own rate: calibrate on them.

    Attributes:
        window_s, slow_s: Windows of the averages that show large drifts soon, and small ones later.
        raise_s, clear_s: How long a problem must last, or be gone, without a break.
        still_s: How long the same content under new stamps is allowed.
        detail: Pictures with less than this share of their usual bytes, or more than its inverse, are
            unusual.
        baseline_s: Over which the usual bytes of pictures are averaged.
        invalid: The share of invalid answers from which a head does not answer.
        absent: The share of ticks without an input, absences of more than a second left out, from which there
            are gaps.
        behind_ms: How much later than its arrival a message may be stamped.
        drift, slow_drift: How far a statistic's average over `window_s`, and over `slow_s`, may lie from the
            usual median: 1 is the 5th or 95th percentile, on the side where it lies.
        unsure, slow_unsure: The same of the mean over all statistics of the detections' confidence.
        weak_objects, weak_std: A head is degraded on some of the sensors where it finds less than this share
            of the objects, or where its standard deviations are so many times as large, as on all.
        compare_s, unlike_s: How often inputs are compared with those of training (more often at first), and
            over how long the distances are averaged.
        own_drift: As `drift` where only the run's own first outputs are known.
        own_outputs: How many of these are collected.
    """

    window_s: float = 0.7
    slow_s: float = 3.0
    raise_s: float = 0.5
    clear_s: float = 1.0
    still_s: float = 0.25
    detail: float = 0.5
    baseline_s: float = 10.0
    invalid: float = 0.5
    absent: float = 0.25
    behind_ms: float = 10.0
    drift: float = 3.0
    slow_drift: float = 2.0
    unsure: float = 2.3
    slow_unsure: float = 0.9
    weak_objects: float = 0.5
    weak_std: float = 1.6
    compare_s: float = 3.0
    unlike_s: float = 6.0
    own_drift: float = 6.0
    own_outputs: int = 100
