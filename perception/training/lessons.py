"""The losses of a batch, and how they are balanced: where losses, balancing and the plan meet the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception.balancing import make_balancer
from perception.losses import HeadLosses
from perception.models import DenseOutputs, FusionModel
from perception.tensors import Inputs
from perception.training.config import TrainConfig
from perception.training.distill import Teacher
from perception.training.examples import Batch
from perception.training.plan import Plan


class Lessons:
    """Losses and balancing of a run.

    Args:
        config: Says which.
        model: On its device.

    Raises:
        ConfigError: The sections `losses` or `balancing` have faults.
    """

    def __init__(self, config: TrainConfig, model: FusionModel) -> None:
        self.device = next(model.parameters()).device
        self.head_losses = HeadLosses(config.losses).to(self.device)
        self.balancer = make_balancer(config.balancing).to(self.device)
        distill = config.transfer.distill
        self.teacher = Teacher(distill, model) if distill is not None else None
        self._said: DenseOutputs | None = None

    def parameters(self) -> list[nn.Parameter]:
        """What losses and balancing learn themselves."""
        return [*self.head_losses.parameters(), *self.balancer.parameters()]

    def losses(self, model: FusionModel, part: Batch, plan: Plan, step: int) -> dict[str, Tensor]:
        """The loss of each head that this step teaches, weighed as the plan says."""
        inputs = Inputs(*(torch.from_numpy(a).to(self.device, non_blocking=True) for a in part.inputs))
        said = self._said = model.dense(inputs)
        found = dict(self.head_losses(said, self._targets(model, part, plan, step)))
        if self.teacher is not None:
            for head, loss in self.teacher.losses(model, said, inputs).items():
                found[head] = found[head] + loss
        return {head: weight * found[head] for head, weight in plan.weights(step).items() if head in found}
