"""The schedule of heads: stages of a curriculum, heads in turn, and focus on the head furthest behind.

It gives each head a weight in each step; heads without one are not trained. Balancing acts on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from perception.training.train_config import FocusConfig, ScheduleConfig, StageConfig
from perception.types import LOSSES

SMOOTHING = 0.98
"""Decay of the running mean of each head's loss."""


class HeadSchedule:
    """The heads' weights in each step, which may depend on the losses so far.

    Args:
        schedule: The stages and the focus.
        heads: Names of the model's losses.
    """

    def __init__(self, schedule: ScheduleConfig, heads: Sequence[str] = LOSSES) -> None:
        self.schedule = schedule
        self.heads = tuple(heads)
        self.whole = StageConfig(until=1.0, heads=self.heads)  # after the last stage, or without any
        self.mean: dict[str, float] = {}
        self.first: dict[str, float] = {}
        self.focused = ""
        self.focus_ends = 0

    def stage(self, step: int) -> StageConfig:
        """Return the stage of the curriculum that a step is in."""
        at = step / self.schedule.steps
        return next((stage for stage in self.schedule.curriculum if at < stage.until), self.whole)

    def weights(self, step: int) -> dict[str, float]:
        """Return the weight of each head that a step trains."""
        heads: list[str] = [head for head in self.heads if head in self.stage(step).heads]
        if self.schedule.alternate == "heads":
            heads = [heads[step % len(heads)]] if heads else []
        weights = dict.fromkeys(heads, 1.0)
        focus = self.schedule.focus
        if focus is not None and step < self.focus_ends and self.focused in weights:
            weights[self.focused] = focus.weight
        return weights

    def update(self, step: int, losses: Mapping[str, float]) -> None:
        """Record the losses of a step; at the end of a period, choose the head to focus on."""
        for head, loss in losses.items():
            if isfinite(loss) and head in self.heads:
                self.mean[head] = SMOOTHING * self.mean.get(head, loss) + (1 - SMOOTHING) * loss
                self.first.setdefault(head, loss)
        focus = self.schedule.focus
        if focus is not None and (step + 1) % focus.every == 0:
            self.focused = self._furthest_behind(focus)
            self.focus_ends = step + 1 + focus.steps

    def state_dict(self) -> dict[str, Any]:
        return {
            "mean": self.mean,
            "first": self.first,
            "focused": self.focused,
            "focus_ends": self.focus_ends,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.mean, self.first = dict(state["mean"]), dict(state["first"])
        self.focused, self.focus_ends = state["focused"], state["focus_ends"]

    def _furthest_behind(self, focus: FocusConfig) -> str:
        """Return the head whose loss has fallen least towards its reference.

        Likelihoods may be negative, so heads are compared by the distance of their loss to the reference, as
        a fraction of the first distance; without a reference, by the change since the start.
        """
        behind = {}
        for head, mean in self.mean.items():
            first, goal = self.first[head], focus.reference.get(head)
            scale = max(abs(first), 1e-6) if goal is None else max(abs(first - goal), 1e-6)
            behind[head] = (mean - (first if goal is None else goal)) / scale
        return max(behind, key=lambda head: behind[head]) if behind else ""
