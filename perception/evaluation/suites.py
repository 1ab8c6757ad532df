"""The metrics of an evaluation: one suite over all logs, and one for each subset of the sensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from perception.evaluation.metrics import Metric, Rules, Suite
from perception.evaluation.subsets import Subset
from perception.sinks.base import RunInfo


class Suites:
    """Made at the first run, under its words and its family.

    Args:
        rules: The ground rules. `family` and `classes` are those of the run where it says so.
        guests: Makes the metrics of other packages.
    """

    def __init__(self, rules: Rules, guests: Callable[[Rules], list[Metric]]) -> None:
        self.rules = rules
        self._guests = guests
        self._whole: Suite | None = None
        self.subsets: dict[Subset, Suite] = {}

    @property
    def whole(self) -> Suite:
        """That over all logs so far."""
        return self._whole if self._whole is not None else Suite(self.rules)

    def of(self, run: RunInfo) -> Suite:
        """The one over all logs, made now if this run is the first."""
        if self._whole is None:
            family = run.extra.get("loss_family", "")
            self.rules = replace(
                self.rules,
                classes=self.rules.classes or run.classes,
                family="gaussian" if family == "gaussian" else self.rules.family,
            )
            self._whole = Suite(self.rules, guests=self._guests(self.rules))
        return self._whole

    def of_subset(self, run: RunInfo, subset: Subset) -> Suite:
        """That of a subset, under the same rules."""
        rules = self.of(run).rules
        return self.subsets.setdefault(subset, Suite(rules, guests=self._guests(rules)))
