"""What is usual: from the checkpoint, or from a run's own first outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.reference import Quantiles, StatsCollector, SubsetStats
from perception.diagnosis.monitor.weakness import indifferent, weaknesses
from perception.types import SENSORS, Output, Sample


class Usual:
    """What a monitor compares with.

    Args:
        stats: The checkpoint's, by subset of the sensors; None: the first outputs will tell.
        limits: How many of these there are, and what counts as weak.
    """

    def __init__(self, stats: Mapping[str, SubsetStats] | None, limits: Limits) -> None:
        self.known = bool(stats)
        """Whether the checkpoint says it."""
        self.stats = stats or None
        """By subset; None: not known yet."""
        self._limits = limits
        self._own: dict[str, StatsCollector] = {}
        self._first = 0
        self._weak: dict[tuple[str, str], Mapping[str, str]] = {}  # of so few sensors there are few subsets
        self._same: dict[tuple[str, str], frozenset[str]] = {}

    def watch(self, output: Output) -> Mapping[str, SubsetStats] | None:
        """What is usual for an output; while that is not known, it becomes part of it."""
        if self.stats is not None:
            return self.stats
        part = output.control or output.detections
        if part is not None:
            self._own.setdefault(subset_of(part.based_on), StatsCollector()).add(output)
        self._first += 1
        if self._first >= self._limits.own_outputs:
            self.stats = {subset: collector.stats() for subset, collector in self._own.items()}
            self._own.clear()
        return None

    def of(self, subset: str) -> SubsetStats | None:
        """What the checkpoint says of outputs on a subset."""
        return self.stats.get(subset) if self.known and self.stats is not None else None

    def of_inputs(self, sample: Sample) -> Quantiles:
        """What it says of these inputs. The ages of a tick that was made up say nothing."""
        found = self.of(subset_of(given.name for given in sample.inputs if given.present))
        return found.inputs if found is not None and sample.tick.kind == "reference" else {}

    def weak(self, subset: str, sample: Sample) -> Mapping[str, str]:
        """Head -> how much less it gives on a subset than on all sensors that are configured."""
        whole = _configured(sample)
        if (subset, whole) not in self._weak:
            known = self.stats if self.known and self.stats is not None else {}
            self._weak[subset, whole] = weaknesses(known, subset, whole, self._limits)
        return self._weak[subset, whole]

    def weak_without(self, name: str, sample: Sample) -> Mapping[str, str]:
        """The same on all but one."""
        return self.weak(
            subset_of(other for other in _configured(sample).split("+") if other != name), sample
        )

    def indifferent(self, name: str, sample: Sample) -> frozenset[str]:
        """The heads to which an input is worth nothing, where the checkpoint says so."""
        whole = _configured(sample)
        if (name, whole) not in self._same:
            known = self.stats if self.known and self.stats is not None else {}
            self._same[name, whole] = indifferent(known, name, whole)
        return self._same[name, whole]


def subset_of(names: Iterable[str]) -> str:
    """The name of a subset of the sensors: `camera+range`."""
    given = frozenset(names)
    return "+".join(name for name in SENSORS if name in given)


def _configured(sample: Sample) -> str:
    return subset_of(given.name for given in sample.inputs if given.configured)
