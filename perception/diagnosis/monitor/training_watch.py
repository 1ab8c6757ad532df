"""How far the inputs of a run lie from those that the weights were trained on, followed from time to time."""

from __future__ import annotations

from math import exp, log
from typing import Any

from perception.diagnosis.monitor.hysteresis import SECOND_NS, FadingAverage
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.trained_inputs import NOUNS, TrainedInputs, describe
from perception.types import Sample

LEAST = 3
"""Comparisons that an alarm rests on: a single sample may be odd."""


class TrainingWatch:
    """Compares a sample with the training data every `Limits.compare_s`: worlds change slowly."""

    def __init__(self, trained: TrainedInputs, limits: Limits) -> None:
        self._trained = trained
        self._limits = limits
        self._times = {name: FadingAverage(limits.unlike_s) for name in trained.profiles}
        """Logarithms of the distance, as a multiple of the usual one."""
        self._compared = dict.fromkeys(trained.profiles, 0)
        self._last_ns: int | None = None

    def update(self, sample: Sample, now_ns: int) -> dict[str, str]:
        """Add the next sample; return input -> how unlike training it is, for those that are."""
        elapsed_s = 0.0 if self._last_ns is None else (now_ns - self._last_ns) / SECOND_NS
        due = self._last_ns is None or not 0 <= elapsed_s < self._interval_s()
        if due and any(item.present and item.kind in self._times for item in sample.inputs):
            self._last_ns = now_ns
            for name, numbers in describe(sample, self._trained).numbers.items():
                profile = self._trained.profiles[name]
                times = float(profile.distances(numbers[None])[0]) / profile.usual
                self._times[name].add(log(max(times, 1e-3)), elapsed_s)
                self._compared[name] += 1
        return {
            name: f"{NOUNS[name]} are unlike those that {self._trained.weights} were trained on"
            for name in self._times
            if self._unlike(name)
        }

    def _interval_s(self) -> float:
        """Return how long to wait for the next comparison: not long at first."""
        first = min(self._compared.values(), default=0) < LEAST
        return min(1.0, self._limits.compare_s) if first else self._limits.compare_s

    def _unlike(self, name: str) -> bool:
        value, profile = self._times[name].value, self._trained.profiles[name]
        return (
            self._compared[name] >= LEAST and value is not None and value > log(profile.limit / profile.usual)
        )

    def to_json(self) -> dict[str, Any]:
        """Return input -> its distance and the limit, as multiples of what is usual among training logs."""
        report = {}
        for name, average in self._times.items():
            profile = self._trained.profiles[name]
            times = None if average.value is None else round(exp(average.value), 3)
            limit = round(profile.limit / profile.usual, 3)
            report[name] = {"times": times, "limit": limit, "unlike": self._unlike(name)}
        return report
