"""Every value of an evaluation on other draws of the same logs and blocks, and from that its spread.

Class and box share their blocks, control has its own, the joint score takes the longer: a steering error that
lasts for ten seconds says nothing about boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perception.evaluation.error_series import box_series, control_series
from perception.evaluation.log_record import SCORED, WRONG, LogRecord
from perception.evaluation.metrics import Suite
from perception.evaluation.metrics.joint import WEIGHTS
from perception.evaluation.metrics.marks import Blocks as BlockNumbers
from perception.evaluation.metrics.marks import Marks, tables
from perception.evaluation.metrics.ranked import Weights
from perception.evaluation.metrics.redraw import Redrawn, redraw
from perception.evaluation.report.schema import BlocksReport, ResamplingReport
from perception.evaluation.statistics import (
    FEWEST_LOGS,
    Autocorrelation,
    Blocks,
    Draws,
    Spread,
    autocorrelation,
)
from perception.types import Float64

BLOCK_S = 2.0
BOXES, CONTROL = "boxes", "control"
GROUP_OF = {"class": BOXES, "box": BOXES, "control": CONTROL}


@dataclass(frozen=True, slots=True)
class Resampling:
    """How to draw.

    Attributes:
        draws: How often; 0: no intervals.
        seed: Of the draws; equal seeds give equal intervals.
        level: Of the intervals.
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
    """What one plugin's outputs came to over some logs."""

    suite: Suite
    marks: Marks
    records: Sequence[LogRecord]


class Group(NamedTuple):
    """The blocks of one kind of error, and how they are drawn; `draws` None where there are too few."""

    blocks: Blocks
    draws: Draws | None
    missed: float
    correlation_s: float


class Resampler:
    """Draws the logs and blocks of one evaluation, or of two on the same logs, which are then paired.

    Args:
        scored: One, or two that compare; their records are of the same logs in the same order.
        options: How to draw.
    """

    def __init__(self, scored: Sequence[Scored], options: Resampling) -> None:
        self.options = options
        records = [one.records for one in scored]
        self._stamps = [
            np.unique(np.concatenate([record.stamps_ns for record in log]))
            for log in zip(*records, strict=True)
        ]
        self._every = [record for one in records for record in one]
        periods = [p for record in self._every if (p := record.period_s) is not None]
        self._period_s = float(np.median(periods)) if periods else 1.0
        boxes, control = self._group(box_series(records)), self._group(control_series(records))
        longer = boxes if boxes.blocks.length_s >= control.blocks.length_s else control
        self.groups = {BOXES: boxes, CONTROL: control, "joint": longer}

    def _group(self, series: Sequence[Sequence[Float64]]) -> Group:
        """Blocks for the errors that remember longest."""
        found = [autocorrelation(one) for one in series] or [Autocorrelation(1.0, np.ones(1))]
        longest = max(found, key=lambda one: one.time)
        blocks = Blocks(self._stamps, max(BLOCK_S, longest.time * self._period_s))
        missed = longest.missed(blocks.length_s / self._period_s)
        draws = None if blocks.why_not else Draws(blocks, self.options.draws, self.options.seed)
        return Group(blocks, draws, missed, longest.time * self._period_s)

    def group(self, head: str) -> Group | None:
        """That of a head; None for what cannot be drawn (timing, heads of other packages)."""
        return self.groups.get(GROUP_OF.get(head, head))

    def redrawn(self, scored: Scored) -> dict[str, tuple[Redrawn, Redrawn | None]]:
        """For each head the values under draws of blocks, and under draws of logs where there are enough."""
        found: dict[str, tuple[Redrawn, Redrawn | None]] = {}
        for head in ("class", "box", "control", "joint"):
            group = self.group(head)
            if group is None or group.draws is None:
                continue
            stages = [group.draws.blocks, *([group.draws.logs] if group.draws.logs is not None else [])]
            told = [self._head(head, scored, group, weights, found) for weights in stages]
            found[head] = (told[0], told[1] if len(told) > 1 else None)
        return found

    def _head(
        self,
        head: str,
        scored: Scored,
        group: Group,
        weights: Weights,
        before: Mapping[str, tuple[Redrawn, Redrawn | None]],
    ) -> Redrawn:
        if head == "joint":
            return self._joint(scored, group, weights, before)
        values: Redrawn = {}
        for metric in scored.suite.metrics:
            if metric.head == head:
                values |= redraw(metric, self._places(scored, metric, group), weights)
        return values

    def _places(self, scored: Scored, metric: object, group: Group) -> dict[str, BlockNumbers]:
        return {
            key: scored.marks.blocks(key, rows, group.blocks.of)
            for key, rows in tables(metric).items()  # type: ignore[arg-type]
        }

    def _joint(
        self,
        scored: Scored,
        group: Group,
        weights: Weights,
        before: Mapping[str, tuple[Redrawn, Redrawn | None]],
    ) -> Redrawn:
        """The formula of `metrics.joint`, draw by draw."""
        values: Redrawn = {}
        stage = 0 if group.draws is not None and weights is group.draws.blocks else 1
        for metric in scored.suite.metrics:
            own = before.get(metric.head)
            if own is not None and self.group(metric.head) is group and own[stage] is not None:
                values |= own[stage] or {}
            else:
                values |= redraw(metric, self._places(scored, metric, group), weights, by_size=False)
        results = scored.suite.compute()
        parts = results[-1].values
        seen = self._valid(scored, group, weights, "boxes")
        steers = self._valid(scored, group, weights, "control")
        found: Redrawn = {}
        if "joint/boxes" in parts and "mAP" in values:
            found["joint/boxes"] = seen * values["mAP"]
        if "joint/distance" in parts and "distance_rel" in values:
            found["joint/distance"] = seen / (1 + values["distance_rel"] / 0.1)
        if "joint/calibration" in parts and "D-ECE" in values:
            found["joint/calibration"] = seen * (1 - values["D-ECE"])
        skills = [
            1 / (1 + values[name] / values[f"MAE_mean/{name[4:]}"])
            for name in values
            if name.startswith("MAE/")
        ]
        control = next((r for r in results if r.metric == "control_errors"), None)
        unsaid = control.details["missing"] if control is not None else {}
        missing = sum(f"MAE/{name}" not in values for name in unsaid)
        if "joint/control" in parts and skills:
            found["joint/control"] = steers * np.sum(skills, axis=0) / (len(skills) + missing)
        weight = sum(WEIGHTS[name.partition("/")[2]] for name in parts if "/" in name)
        if found and weight:
            zero = np.zeros(len(weights))
            found["joint"] = sum((WEIGHTS[name[6:]] * part for name, part in found.items()), zero) / weight
        return found

    def _valid(self, scored: Scored, group: Group, weights: Weights, column: str) -> Float64:
        """[D]: the share of frames with truth in which a head was valid."""
        size = len(group.blocks)
        good, all_ = np.zeros(size), np.zeros(size)
        for log, record in enumerate(scored.records):
            state, block = record.frames[column], group.blocks.of(log, record.stamps_ns)
            good += np.bincount(block[state == SCORED], minlength=size)
            all_ += np.bincount(block[(state == SCORED) | (state == WRONG)], minlength=size)
        below = weights @ all_
        return np.divide(weights @ good, below, out=np.zeros(len(weights)), where=below > 0)

    def spread(self, head: str, value: float, by_block: Float64, by_log: Float64 | None) -> Spread | None:
        """The spread of one value, or of a difference of values."""
        group = self.group(head)
        if group is None or group.draws is None:
            return None
        return Spread(value, group.blocks, by_block, by_log, group.missed)

    def report(self) -> ResamplingReport:
        """What was done, for the report."""
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
