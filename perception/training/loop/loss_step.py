"""The losses of a batch, and how they are balanced: where losses, balancing and the plan meet the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from perception.errors import ConfigError
from perception.models import DenseOutputs, FusionModel
from perception.models.camera import Pyramid
from perception.models.config import STRIDES
from perception.models.tensors import Inputs
from perception.training.balancing import make_balancer, resolve_balancing
from perception.training.data.augmentation import easier
from perception.training.data.training_sample import Batch, FeatureBatch
from perception.training.loop.distillation import Teacher
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.losses import DenseTruth, HeadLosses, Targets, make_targets, resolve_losses
from perception.training.train_config import TrainConfig


def check_losses(config: TrainConfig) -> None:
    """Find the faults of `losses` and `balancing` before hours are spent on decoding.

    Raises:
        ConfigError: They have some: all of both.
        MissingExtraError: The method of balancing needs what is not installed.
    """
    faults: list[str] = []
    family = config.model_shape().loss_family
    for check in (lambda: resolve_losses(config.losses, family), lambda: resolve_balancing(config.balancing)):
        try:
            check()
        except ConfigError as error:
            faults += error.errors
    if faults:
        raise ConfigError(faults)
    make_balancer(config.balancing)


class LossStep:
    """Losses and balancing of a run.

    Args:
        config: Says which.
        model: On its device.
        total: Sums a count over all processes.

    Raises:
        ConfigError: The sections `losses` or `balancing` have faults.
    """

    def __init__(
        self, config: TrainConfig, model: FusionModel, total: Callable[[Tensor], Tensor] = lambda count: count
    ) -> None:
        self.total = total
        self.device = next(model.parameters()).device
        self.head_losses = HeadLosses(config.losses, model.config.loss_family).to(self.device)
        self.balancer = make_balancer(config.balancing, self.head_losses.signed).to(self.device)
        self.balancer.total = total
        self._processes = float(total(torch.ones((), device=self.device)))
        distill = config.transfer.distill
        self.teacher = Teacher(distill, model) if distill is not None else None
        self._fused: list[Tensor] = []
        self._leaves: list[Tensor] = []

    def parameters(self) -> list[nn.Parameter]:
        """What losses and balancing learn themselves."""
        return [*self.head_losses.parameters(), *self.balancer.parameters()]

    def losses(
        self, model: FusionModel, part: Batch | FeatureBatch, plan: HeadSchedule, step: int
    ) -> dict[str, Tensor]:
        """The loss of each head that this step teaches, weighed as the plan says."""
        found = (
            {"control": self._control(model, part)}
            if isinstance(part, FeatureBatch)
            else self._all(model, part, plan, step)
        )
        return {head: weight * found[head] for head, weight in plan.weights(step).items() if head in found}

    def _control(self, model: FusionModel, part: FeatureBatch) -> Tensor:
        readings, control = (torch.from_numpy(a).to(self.device) for a in (part.readings, part.control))
        target = model.normaliser.standardise("control", control)
        known = target.isfinite()
        said = model.control_head.answer(readings)
        return self.head_losses.control(
            *said, torch.where(known, target, 0.0), known.to(target.dtype), self.total
        )

    def _all(self, model: FusionModel, part: Batch, plan: HeadSchedule, step: int) -> dict[str, Tensor]:
        inputs = Inputs(*(torch.from_numpy(a).to(self.device, non_blocking=True) for a in part.inputs))
        said = self._dense(model, inputs)
        found = dict(self.head_losses(said, self.targets(model, part, plan, step), self.total))
        if self.teacher is not None:
            for head, loss in self.teacher.losses(model, said, inputs).items():
                found[head] = found[head] + loss
        return found

    def backward(
        self, model: FusionModel, losses: Mapping[str, Tensor], values: Mapping[str, float], parts: int
    ) -> None:
        """Gradients of the balanced losses, added to those of the parts before. What is frozen gets none."""
        learned = {head: loss / parts for head, loss in losses.items() if loss.requires_grad}
        if learned:
            self.balancer.observe(values)
            self.balancer.backward(learned, self._leaves, 1 / (parts * self._processes))
            below = [
                (x, leaf.grad) for x, leaf in zip(self._fused, self._leaves, strict=True) if x.requires_grad
            ]
            if below:
                torch.autograd.backward([x for x, _ in below], [gradient for _, gradient in below])
        self._fused, self._leaves = [], []

    def weights(self) -> dict[str, float]:
        """What balancing weighs the heads by, where it weighs."""
        return self.balancer.weights()

    def state_dict(self) -> dict[str, Any]:
        return {"losses": self.head_losses.state_dict(), "balancer": self.balancer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.head_losses.load_state_dict(state["losses"])
        self.balancer.load_state_dict(state["balancer"])

    def _dense(self, model: FusionModel, inputs: Inputs) -> DenseOutputs:
        """The heads' maps; cut from what they rest on, where balancing wants to see gradients there."""
        if not self.balancer.cuts:
            return model.dense(inputs)
        cleaned = model.clean(inputs)
        fused = model.fuse(model.encode(cleaned), cleaned.present, cleaned.age)
        self._fused = list(fused)
        self._leaves = [x.detach().requires_grad_() for x in fused]
        return model.heads(Pyramid(*self._leaves), cleaned.present)

    def targets(self, model: FusionModel, part: Batch, plan: HeadSchedule, step: int) -> Targets:
        """What every cell should say, as the stage of a step sees it."""
        stage, truth, shape = plan.stage(step), part.truth, model.config
        ignored = easier(truth, stage.min_height_px, stage.min_visible)
        on = {name: torch.from_numpy(getattr(truth, name)).to(self.device) for name in truth._fields}
        control = model.normaliser.standardise("control", on["control"])
        dense = DenseTruth(
            on["labels"],
            on["boxes"],
            on["distance_m"],
            torch.from_numpy(ignored).to(self.device),
            on["boxes_known"],
            control,
        )
        return make_targets(
            dense, len(shape.classes), shape.input_height // STRIDES[0], shape.input_width // STRIDES[0]
        )
