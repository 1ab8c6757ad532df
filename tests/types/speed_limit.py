"""A fourth head that the project does not have: which of three speed limits holds, one probability for each.

Everything that it is made of stands here: its specification, network, loss and metric.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from perception.config.named_options import Option
from perception.evaluation.metrics import Result, Rules, Value
from perception.models import ModelConfig
from perception.models.heads import ExtraHead
from perception.training.losses import LossMethod
from perception.types import Control, HeadSpec, LossPart, Output, Quantity, TruthFrame

LIMITS_KMH = (30, 50, 80)
_HERE = "tests.types.speed_limit"


class SpeedLimitNetwork(ExtraHead):
    """Logits of the limits; decoded to probabilities and the standard deviations of yes or no."""

    def __init__(self, config: ModelConfig, spec: HeadSpec) -> None:
        super().__init__(config, len(spec.channels))

    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        p = raw.softmax(1)
        return p, (p * (1 - p)).sqrt()


def limit_cross_entropy(logits: Tensor, limit_kmh: Tensor, known: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy [B] of logits [B, 3] against the nearest limit [B, 1]."""
    limits = torch.tensor(LIMITS_KMH, dtype=limit_kmh.dtype, device=limit_kmh.device)
    nearest = (limit_kmh - limits).abs().argmin(1)
    return F.cross_entropy(logits, nearest, reduction="none", label_smoothing=smoothing)


LOSSES = {
    "cross_entropy": LossMethod(f"{_HERE}:limit_cross_entropy", {"smoothing": Option(0.0, 0.0, 0.5)}),
}


class SpeedLimitAccuracy:
    """The share of frames in which the most probable limit is the true one."""

    name: ClassVar[str] = "speed_limit_accuracy"
    head: ClassVar[str] = "speed_limit"

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.right: list[bool] = []
        self.frames = {"scored": 0, "invalid": 0, "no_truth": 0, "no_head": 0}

    def update(self, output: Output, truth: TruthFrame) -> None:
        head, known = output.extra.get(self.head), truth.extra.get(self.head)
        state = (
            "no_head"
            if head is None
            else "no_truth"
            if known is None
            else "scored"
            if head.valid
            else "invalid"
        )
        self.frames[state] += 1
        if state == "scored" and head is not None and known is not None:
            self.right.append(limit_of(head) == known["limit_kmh"])

    def compute(self) -> Result:
        support = len(self.right)
        share = sum(self.right) / support if support else None
        value = Value(share, support, better="higher", why="" if support else "no frame is scored")
        return Result(self.name, self.head, {"limit_accuracy": value}, {}, dict(self.frames))

    def merge(self, other: SpeedLimitAccuracy) -> None:
        self.right += other.right
        self.frames = {state: count + other.frames[state] for state, count in self.frames.items()}


def limit_of(head: Control) -> int:
    """The most probable limit."""
    return max(LIMITS_KMH, key=lambda limit: head[f"limit_{limit}"].value)


SPEED_LIMIT = HeadSpec(
    "speed_limit",
    rests_on=("camera",),
    channels=tuple(Quantity(f"limit_{limit}", "") for limit in LIMITS_KMH),
    losses=(LossPart("speed_limit", f"{_HERE}:LOSSES", "cross_entropy"),),
    metrics=(f"{_HERE}:SpeedLimitAccuracy",),
    score="limit_accuracy",
    truth=("limit_kmh",),
    module=f"{_HERE}:SpeedLimitNetwork",
)
