"""Renewing the statistics of inputs from a log, where the model then agrees better with itself.

Only what depends on the sensor is renewed: pixels and intensities. Metres, radians and metres a second mean
the same on every robot, and the weights know them.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

from perception.models import FusionModel
from perception.models.stats import ChannelStats, Group, InputStats
from perception.training.adaptation.agreement import self_agreement
from perception.training.adaptation.report import StatsChange
from perception.training.adaptation.views import TwoViews, seen_twice
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import measure_stats


class Renewal(NamedTuple):
    """The statistics to use and what the model sees with them.

    Attributes:
        stats: Of the inputs.
        changes: Every channel that the log has, old and new.
        kept: Why the statistics stay; empty: they are renewed.
        views: Of each sample, by the model with these statistics.
    """

    stats: InputStats
    changes: list[StatsChange]
    kept: str
    views: list[TwoViews]


def renewed_stats(model: FusionModel, dataset: Dataset, views: list[TwoViews]) -> Renewal:
    """Renew the statistics of a model's inputs.

    Args:
        model: With the statistics of its checkpoint; it is not changed.
        dataset: The samples to learn from; only their inputs are read.
        views: What the model sees in them.
    """
    old, log = model.normaliser.get(), measure_stats(dataset.some(200), model.config)
    new = replace(
        old,
        image={name: _shifted(old.image[name], log.image[name]) for name in old.image},
        returns={
            name: (_shifted if name == "intensity" else _widened)(old.returns[name], log.returns[name])
            for name in old.returns
        },
        status={name: _widened(old.status[name], log.status[name]) for name in old.status},
    )
    trial = copy.deepcopy(model)
    trial.normaliser.set(new)
    seen = seen_twice(trial, dataset)
    kept = _why_kept(views, seen)
    used = old if kept else new
    changes = [
        StatsChange(group, name, _pair(before[name]), _pair(measured[name]), _pair(after[name]))
        for group in ("image", "returns", "status")
        for before, measured, after in [(_group(old, group), _group(log, group), _group(used, group))]
        for name in before
        if measured[name].minimum is not None
    ]
    return Renewal(used, changes, kept, views if kept else seen)


def _why_kept(before: list[TwoViews], after: list[TwoViews]) -> str:
    """Return why the statistics should not be renewed: the model would agree less with itself."""
    shares = [self_agreement(views).share or 0.0 for views in (before, after)]
    if shares[1] >= shares[0]:
        return ""
    return f"mirrored views would agree on {shares[1]:.0%} of the boxes instead of {shares[0]:.0%}"


def _shifted(old: ChannelStats, log: ChannelStats) -> ChannelStats:
    """Return the mean and deviation of the log, with the extremes of both."""
    if log.minimum is None:
        return old
    return replace(_widened(old, log), mean=log.mean, std=log.std)


def _widened(old: ChannelStats, log: ChannelStats) -> ChannelStats:
    """Return the channel with the extremes of both: the model has seen these values now."""
    if log.minimum is None or log.maximum is None or old.minimum is None or old.maximum is None:
        return old
    return replace(old, minimum=min(old.minimum, log.minimum), maximum=max(old.maximum, log.maximum))


def _group(stats: InputStats, name: str) -> Group:
    group: Group = getattr(stats, name)
    return group


def _pair(channel: ChannelStats) -> tuple[float, float]:
    return (channel.mean, channel.std)
