"""Resampling of an evaluation: its values under draws of logs and blocks, and the spread of each value.

Class and box share their blocks, control has its own, and the joint score and metrics of other heads take the
longer: a steering error that lasts for ten seconds says nothing about boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perception.evaluation.error_series import box_series, control_series
from perception.evaluation.log_record import SCORED, WRONG, LogRecord
from perception.evaluation.metrics import DrawnWeights, Suite
from perception.evaluation.metrics.joint_score import METRICS, joint_values
from perception.evaluation.report.value_schema import BlocksReport, ResamplingReport
from perception.evaluation.statistics import (
    FEWEST_LOGS,
    Autocorrelation,
    Blocks,
    BootstrapSpread,
    Draws,
    autocorrelation,
)
from perception.types import Float64

BLOCK_S = 2.0
BOXES, CONTROL = "boxes", "control"
GROUP_OF = {"class": BOXES, "box": BOXES, "control": CONTROL}
TIMING = "timing"
"""The head whose values have no intervals, since they do not belong to frames."""

DrawnValues = dict[str, Float64]
"""Name of a value -> its value under each draw, [D]."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """The options of the bootstrap.

    Attributes:
        draws: The number of draws; 0: no intervals.
        seed: Seed of the draws; equal seeds give equal intervals.
        level: Coverage of the intervals.
    """

    draws: int = 1000
    seed: int = 0
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.draws and self.draws < 100:
            raise ValueError(f"draws: expected 0 (no intervals) or 100 and more, found {self.draws}")
        if not 0.5 <= self.level < 1:
            raise ValueError(f"level: expected from 0.5 to below 1, found {self.level}")


class Scored(NamedTuple):
    """The metrics over one plugin's outputs, and the record of each log in the same order."""

    suite: Suite
    records: Sequence[LogRecord]


class BlockGroup(NamedTuple):
    """The blocks of one kind of error, and their draws; `draws` None where there are too few."""

    blocks: Blocks
    draws: Draws | None
    missed: float
    correlation_s: float


class Resampler:
    """A bootstrap of the logs and blocks of one evaluation, or of two paired on the same logs.

    Args:
        scored: One evaluation, or two to compare; their records are of the same logs in the same order.
        options: The options of the bootstrap.
    """

    def __init__(self, scored: Sequence[Scored], options: Resampling) -> None:
        self.options = options
        records = [side.records for side in scored]
        self._stamps = [
            np.unique(np.concatenate([record.stamps_ns for record in log]))
            for log in zip(*records, strict=True)
        ]
        periods = [p for side in records for record in side if (p := record.period_s) is not None]
        self._period_s = float(np.median(periods)) if periods else 1.0
        boxes, control = self._group(box_series(records)), self._group(control_series(records))
        longer = boxes if boxes.blocks.length_s >= control.blocks.length_s else control
        self.groups = {BOXES: boxes, CONTROL: control, "joint": longer}

    def _group(self, series: Sequence[Sequence[Float64]]) -> BlockGroup:
        """Return blocks with a length for the errors with the longest autocorrelation time."""
        correlations = [autocorrelation(errors) for errors in series] or [Autocorrelation(1.0, np.ones(1))]
        longest = max(correlations, key=lambda correlation: correlation.time)
        blocks = Blocks(self._stamps, max(BLOCK_S, longest.time * self._period_s))
        missed = longest.missed(blocks.length_s / self._period_s)
        draws = None if blocks.why_not else Draws(blocks, self.options.draws, self.options.seed)
        return BlockGroup(blocks, draws, missed, longest.time * self._period_s)

    def group(self, head: str) -> BlockGroup | None:
        """Return the block group of a head; None for timing, which is not resampled."""
        return None if head == TIMING else self.groups[GROUP_OF.get(head, "joint")]

    def redrawn(self, scored: Scored) -> dict[str, tuple[DrawnValues, DrawnValues | None]]:
        """Return the values of each head under draws of blocks, and under draws of logs if there are enough.

        Those of a metric of another package stand under `<head>/<metric>`.
        """
        suite = scored.suite
        sets = {
            head: (head, [metric for metric in suite.metrics if metric.head == head])
            for head in ("class", "box", "control")
        } | {f"{guest.head}/{guest.name}": (guest.head, [guest]) for guest in suite.guests}
        drawn: dict[str, tuple[DrawnValues, DrawnValues | None]] = {}
        for key, (head, metrics) in sets.items():
            stages = [suite.values(weights, metrics) for weights in self._weights(scored, head)]
            if stages:
                drawn[key] = (stages[0], stages[1] if len(stages) > 1 else None)
        joint = list(self._joint(scored, drawn))
        if joint:
            drawn["joint"] = (joint[0], joint[1] if len(joint) > 1 else None)
        return drawn

    def _weights(self, scored: Scored, head: str) -> list[DrawnWeights]:
        """Return the frame weights under draws of blocks and of logs; none without draws."""
        group = self.group(head)
        if group is None or group.draws is None:
            return []
        of_logs = [group.blocks.of(log, record.stamps_ns) for log, record in enumerate(scored.records)]
        block = np.concatenate(of_logs)
        return [DrawnWeights(w, block) for w in (group.draws.blocks, group.draws.logs) if w is not None]

    def _joint(
        self, scored: Scored, drawn: Mapping[str, tuple[DrawnValues, DrawnValues | None]]
    ) -> Iterator[DrawnValues]:
        """Yield the joint score and its parts under each kind of draw."""
        weights_of_kinds, results = self._weights(scored, "joint"), scored.suite.compute()
        for kind, weights in enumerate(weights_of_kinds):
            values: DrawnValues = {}
            for metric in scored.suite.metrics:
                if self.group(metric.head) is self.groups["joint"]:
                    values |= drawn[metric.head][kind] or {}
                elif metric.name in METRICS:
                    values |= scored.suite.values(weights, [metric])
            valid = {name: _valid(scored.records, name, weights) for name in ("boxes", "control")}
            yield joint_values(results, values, valid)

    def spread(
        self, head: str, value: float, by_block: Float64, by_log: Float64 | None
    ) -> BootstrapSpread | None:
        """Return the spread of one value, or of a difference of values; None if its head is not resampled."""
        group = self.group(head)
        if group is None or group.draws is None:
            return None
        return BootstrapSpread(value, group.blocks, by_block, by_log, group.missed)

    def report(self) -> ResamplingReport:
        """Return the report on the blocks and draws."""
        logs = int(max((group.blocks.logs for group in self.groups.values()), default=0))
        heads = {}
        for head in ("class", "box", "control", "joint"):
            group = self.group(head)
            assert group is not None
            heads[head] = BlocksReport(
                blocks=len(group.blocks),
                block_s=round(group.blocks.length_s, 3),
                correlation_s=round(group.correlation_s, 3),
                no_interval=group.blocks.why_not,
            )
        return ResamplingReport(
            level=self.options.level,
            draws=self.options.draws,
            seed=self.options.seed,
            logs=logs,
            stages=["logs", "blocks"] if logs >= FEWEST_LOGS else ["blocks"],
            heads=heads,
        )


def _valid(records: Sequence[LogRecord], column: str, weights: DrawnWeights) -> Float64:
    """Return the share of frames with truth in which a head was valid, [D]; 0 where there are none."""
    state = np.concatenate([record.frames[column] for record in records])
    frames = np.flatnonzero((state == SCORED) | (state == WRONG))
    return np.nan_to_num(weights.mean(frames, (state[frames] == SCORED).astype(np.float64)))
