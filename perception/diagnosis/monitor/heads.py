"""What a monitor watches of one head: whether it answers, on what, and whether its figures are usual."""

from __future__ import annotations

from collections.abc import Mapping

from perception.diagnosis.monitor.drift import Drift
from perception.diagnosis.monitor.hysteresis import Average
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.reference import LEAST, SubsetStats


class HeadWatch:
    """Follows one head from output to output, in constant memory."""

    def __init__(self, head: str, limits: Limits) -> None:
        self.head = head
        self._limits = limits
        self.outputs = self.valid = 0
        self._invalid, self._weak = Average(limits.window_s), Average(limits.window_s)
        self._weak_text = ""
        self.drifts: dict[str, Drift] = {}
        self.usual: Mapping[str, tuple[float, ...]] = {}

    def update(
        self,
        valid: bool,
        error: str,
        figures: Mapping[str, float],
        subset: str,
        stats: Mapping[str, SubsetStats] | None,
        known: bool,
        weak: str,
        elapsed_s: float,
    ) -> dict[str, str]:
        """Take in one output. Returns what is wrong now: code -> words.

        Args:
            subset: The inputs that the head rests on: `camera+range`.
            stats: What is usual, by subset; None: not known yet.
            known: The checkpoint says what is usual; else only the run's own first outputs do.
            weak: How much less it usually gives on that subset; empty: not much.
        """
        self.outputs += 1
        self.valid += valid
        self._invalid.add(0.0 if valid else 1.0, elapsed_s)
        found: dict[str, str] = {}
        if self._invalid.value is not None and self._invalid.value > self._limits.invalid:
            found["invalid"] = f"it does not answer{f' ({error})' if error else ''}"
        if valid:
            self._weak.add(1.0 if weak else 0.0, elapsed_s)
            self._weak_text = weak or self._weak_text
            if (self._weak.value or 0.0) > self._limits.invalid:
                found["weak"] = self._weak_text
        if not valid or stats is None:
            return found
        usual = stats.get(subset)
        if usual is None or usual.frames < LEAST:
            found["subset"] = f"it rests on {subset} alone, of which nothing is known"
            return found
        self.usual = usual.quantiles.get(self.head, {})
        for name, quantiles in self.usual.items():
            if name in figures:
                drift = self.drifts.setdefault(name, Drift(name, self._limits))
                text = drift.update(figures[name], quantiles, known, elapsed_s)
                found |= {f"drift/{name}": text} if text else {}
        return found
