"""The usual outputs that a monitor compares with: from the checkpoint, or a run's own first outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp, log

from perception.diagnosis.monitor.baseline_stats import LEAST, LEVELS, Quantiles, StatsCollector, SubsetStats
from perception.diagnosis.monitor.drift import place_of
from perception.diagnosis.monitor.limits import Limits
from perception.diagnosis.monitor.output_statistics import Statistics
from perception.types import HEADS, SENSORS, Output, Sample

_MEDIAN = LEVELS.index(0.5)

INFORMATIVE = ("best_score", "expected", "box_std", "distance_std")
"""Statistics of detections that show the worth of an input; of control the stds do."""

SAME = 0.1
"""Relative difference up to which two medians are the same."""


class Baseline:
    """The usual outputs by subset of the sensors, and the worth of each sensor to each head.

    A run's own first outputs may themselves be those of a fault. So only outputs on sound inputs count, and
    what they show is confirmed by as many outputs after them, or replaced by these: until then nothing is
    judged by it.

    Args:
        stats: The checkpoint's; None: those of the first outputs are collected.
        limits: How many outputs these are, and what counts as degraded.
    """

    def __init__(self, stats: Mapping[str, SubsetStats] | None, limits: Limits) -> None:
        self.known = bool(stats)
        """Whether the statistics are the checkpoint's."""
        self.stats = stats or None
        """By subset; None: not known yet."""
        self.confirmed = self.known
        """Whether heads may be judged by the statistics."""
        self.left_out = 0
        """Outputs that were not collected because something was wrong with their inputs."""
        self.contradicted = 0
        """How often outputs replaced those before them."""
        self._limits = limits
        self._collectors: dict[str, StatsCollector] = {}
        self._outputs = 0
        self._degraded: dict[tuple[str, str], Mapping[str, str]] = {}  # there are few subsets
        self._unaffected: dict[tuple[str, str], frozenset[str]] = {}

    def observe(
        self, output: Output, statistics: Statistics, sound: bool = True
    ) -> Mapping[str, SubsetStats] | None:
        """Return the statistics to judge an output by; while they are not confirmed, collect it.

        Args:
            output: The next output.
            statistics: Its statistics.
            sound: Nothing is known to be wrong with the inputs of the output.
        """
        if self.confirmed:
            return self.stats
        if not sound:
            self.left_out += 1
            return None
        part = output.control or output.detections
        if part is not None:
            self._collectors.setdefault(subset_of(part.based_on), StatsCollector()).add(
                output, statistics=statistics
            )
        self._outputs += 1
        if self._outputs >= self._limits.own_outputs:
            self._settle({subset: collector.stats() for subset, collector in self._collectors.items()})
        return None

    def _settle(self, newest: Mapping[str, SubsetStats]) -> None:
        """Confirm the statistics by those of as many outputs after them, or replace them."""
        before, self.stats = self.stats, newest
        self._collectors, self._outputs = {}, 0
        if before is None:
            return
        if _agree(before, newest, self._limits.own_drift):
            self.stats, self.confirmed = before, True
        else:
            self.contradicted += 1

    @property
    def origin(self) -> str:
        """The origin of the statistics, and what speaks against them, in words."""
        if self.known:
            return "the checkpoint's statistics"
        count = self._limits.own_outputs
        text = f"the first {count} outputs of this run"
        if self.left_out:
            text += f" on sound inputs ({self.left_out} were left out)"
        if self.contradicted:
            text = f"{count} later outputs of this run: those before them were unlike these, one was at fault"
        if self.confirmed:
            return text
        return f"nothing yet: {text if self.stats else f'fewer than {count} outputs'}" + (
            ", which nothing has confirmed" if self.stats else ""
        )

    @property
    def _checkpoint(self) -> Mapping[str, SubsetStats]:
        return self.stats if self.known and self.stats is not None else {}

    def of(self, subset: str) -> SubsetStats | None:
        """Return the checkpoint's statistics of outputs on a subset."""
        return self._checkpoint.get(subset)

    def of_inputs(self, sample: Sample) -> Quantiles:
        """Return the checkpoint's statistics of these inputs; none at a substitute tick: ages differ."""
        stats = self.of(subset_of(item.kind for item in sample.inputs if item.present))
        return stats.inputs if stats is not None and sample.tick.kind == "reference" else {}

    def degraded(self, subset: str, sample: Sample) -> Mapping[str, str]:
        """Return head -> how much less it gives on a subset than on all configured sensors."""
        every = _configured(sample)
        if (subset, every) not in self._degraded:
            self._degraded[subset, every] = degradations(self._checkpoint, subset, every, self._limits)
        return self._degraded[subset, every]

    def degraded_without(self, name: str, sample: Sample) -> Mapping[str, str]:
        """Return the same on all configured sensors but one."""
        return self.degraded(_without(name, _configured(sample)), sample)

    def unaffected(self, name: str, sample: Sample) -> frozenset[str]:
        """Return the heads that usually give the same without an input, if the checkpoint knows."""
        every = _configured(sample)
        if (name, every) not in self._unaffected:
            self._unaffected[name, every] = unaffected_heads(self._checkpoint, name, every)
        return self._unaffected[name, every]


def subset_of(names: Iterable[str]) -> str:
    """Return the name of a subset of the sensors: `camera+range`."""
    present = frozenset(names)
    return "+".join(name for name in SENSORS if name in present)


def degradations(stats: Mapping[str, SubsetStats], subset: str, every: str, limits: Limits) -> dict[str, str]:
    """Return head -> how much less it usually gives on a subset than on every sensor, in words.

    Such a head is still calibrated, and says little: the class head without a camera, as a rule. Class and
    box are judged by the number of objects that the scores promise, control by its standard deviations.
    """
    part, full = stats.get(subset), stats.get(every)
    if subset == every or part is None or full is None or min(part.frames, full.frames) < LEAST:
        return {}
    degraded: dict[str, str] = {}
    fewer = _medians(part, "class").get("expected", 0.0)
    usual = _medians(full, "class").get("expected", 0.0)
    if fewer < limits.weak_objects * usual:
        text = f"on {subset} alone it finds about {fewer:.2g} objects, of {usual:.2g} on {every}"
        degraded |= {"class": text, "box": text}
    wider = _std_ratio(part, full)
    if wider > limits.weak_std:
        degraded["control"] = f"on {subset} alone its stds are about {wider:.1f} times those on {every}"
    return degraded


def unaffected_heads(stats: Mapping[str, SubsetStats], name: str, every: str) -> frozenset[str]:
    """Return the heads that usually give the same without an input: its errors do not concern them."""
    part, full = stats.get(_without(name, every)), stats.get(every)
    if part is None or full is None or min(part.frames, full.frames) < LEAST:
        return frozenset()
    same = set()
    for head in HEADS:
        with_it, without = _medians(full, head), _medians(part, head)
        informative = [key for key in with_it if key in INFORMATIVE or key.startswith("std/")]
        if informative and all(
            abs(without.get(key, 0.0) - with_it[key]) <= SAME * abs(with_it[key]) for key in informative
        ):
            same.add(head)
    return frozenset(same)


def _agree(first: Mapping[str, SubsetStats], second: Mapping[str, SubsetStats], most: float) -> bool:
    """Return whether the medians of each lie within the usual range of the other, where both know them."""
    return all(
        abs(place_of(value, quantiles)) <= most
        for one, other in ((first, second), (second, first))
        for subset in set(one) & set(other)
        for head, table in one[subset].quantiles.items()
        for name, quantiles in table.items()
        if (value := _medians(other[subset], head).get(name)) is not None
    )


def _std_ratio(part: SubsetStats, full: SubsetStats) -> float:
    """Return the ratio of control's standard deviations, as the geometric mean over channels."""
    known = _medians(full, "control")
    ratios = [
        log(value / known[name])
        for name, value in _medians(part, "control").items()
        if name.startswith("std/") and value > 0.0 and known.get(name, 0.0) > 0.0
    ]
    return exp(sum(ratios) / len(ratios)) if ratios else 0.0


def _medians(stats: SubsetStats, head: str) -> dict[str, float]:
    return {name: quantiles[_MEDIAN] for name, quantiles in stats.quantiles.get(head, {}).items()}


def _without(name: str, subset: str) -> str:
    return "+".join(other for other in subset.split("+") if other != name)


def _configured(sample: Sample) -> str:
    return subset_of(item.kind for item in sample.inputs if item.configured)
