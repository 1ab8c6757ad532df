"""The losses of a batch and their balanced gradients: where losses, balancing and schedule meet the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception.errors import ConfigError
from perception.models import DenseOutputs, FusionModel
from perception.models.camera_encoder import Pyramid
from perception.models.fusion_model import Encoded
from perception.models.normalise import Cleaned
from perception.models.tensors import Inputs
from perception.training.balancing import make_balancer, resolve_balancing
from perception.training.data.augmentation import too_hard
from perception.training.data.training_sample import IGNORED, Batch, FeatureBatch
from perception.training.loop.distillation import Teacher
from perception.training.loop.feature_teacher import FeatureTeacher
from perception.training.loop.head_schedule import HeadSchedule
from perception.training.losses import DenseTruth, HeadLosses, Targets, make_targets, resolve_losses
from perception.training.losses.targets import Grid
from perception.training.train_config import TrainConfig
from perception.types import SENSORS, loss_parts

FEATURES = "features"
"""The name of the loss towards a teacher's features, beside those of the heads."""
CAMERA = SENSORS.index("camera")


def check_losses(config: TrainConfig) -> None:
    """Check the sections `losses` and `balancing` before hours are spent on decoding.

    Raises:
        ConfigError: They have errors; all of both.
        MissingExtraError: The balancing method needs a package that is not installed.
    """
    errors: list[str] = []
    shape = config.model_shape()
    for check in (
        lambda: resolve_losses(config.losses, shape.loss_family, shape.extra_heads),
        lambda: resolve_balancing(config.balancing),
    ):
        try:
            check()
        except ConfigError as error:
            errors += error.errors
    if errors:
        raise ConfigError(errors)
    make_balancer(config.balancing)


class LossStep:
    """Losses and balancing of a run.

    Args:
        config: Names the losses and the balancing method.
        model: On its device.
        total: Sums a count over all processes.

    Raises:
        ConfigError: The sections `losses` or `balancing` have errors.
    """

    def __init__(
        self, config: TrainConfig, model: FusionModel, total: Callable[[Tensor], Tensor] = lambda count: count
    ) -> None:
        self.total = total
        self.device = next(model.parameters()).device
        shape = model.config
        self.head_losses = HeadLosses(config.losses, shape.loss_family, shape.extra_heads).to(self.device)
        parts = tuple(loss_parts(shape.extra_heads))
        self.balancer = make_balancer(config.balancing, self.head_losses.signed, parts).to(self.device)
        self.balancer.total, self.balancer.parts = total, config.schedule.accumulate
        self._processes = float(total(torch.ones((), device=self.device)))
        distill = config.transfer.distill
        self.teacher = Teacher(distill, model) if distill is not None else None
        features = config.transfer.features
        self.feature_teacher = FeatureTeacher(model, features) if features else None
        self._fused: list[Tensor] = []
        self._leaves: list[Tensor] = []

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters of losses and balancing themselves."""
        own = [*self.head_losses.parameters(), *self.balancer.parameters()]
        return [*own, *(self.feature_teacher.parameters() if self.feature_teacher is not None else ())]

    def losses(
        self, model: FusionModel, batch: Batch | FeatureBatch, schedule: HeadSchedule, step: int
    ) -> dict[str, Tensor]:
        """Return the loss of each head that a step trains, times its weight in the schedule, and where there
        is a teacher of features, the loss `features`."""
        losses = (
            {"control": self._control(model, batch)}
            if isinstance(batch, FeatureBatch)
            else self._all(model, batch, schedule, step)
        )
        weights = schedule.weights(step) | {FEATURES: 1.0}
        return {head: weight * losses[head] for head, weight in weights.items() if head in losses}

    def _control(self, model: FusionModel, batch: FeatureBatch) -> Tensor:
        features, control = (torch.from_numpy(a).to(self.device) for a in (batch.features, batch.control))
        target = model.normaliser.standardise("control", control)
        known = target.isfinite()
        outputs = model.control_head.answer(features)
        return self.head_losses.control(
            *outputs, torch.where(known, target, 0.0), known.to(target.dtype), self.total
        )

    def _all(self, model: FusionModel, batch: Batch, schedule: HeadSchedule, step: int) -> dict[str, Tensor]:
        inputs = Inputs(*(torch.from_numpy(a).to(self.device, non_blocking=True) for a in batch.inputs))
        cleaned = model.clean(inputs)
        encoded = model.encode(cleaned)
        outputs = self._dense(model, encoded, cleaned)
        losses = dict(self.head_losses(outputs, self.targets(model, batch, schedule, step), self.total))
        if self.feature_teacher is not None:
            present = cleaned.present[:, CAMERA]
            losses[FEATURES] = self.feature_teacher(inputs.image, present, encoded[CAMERA][:-1])
        if self.teacher is not None:
            rows = None if self.teacher.pictures else self._of_drives(batch)
            for head, loss in self.teacher.losses(model, outputs, inputs, rows, self.total).items():
                losses[head] = losses[head] + loss
        return losses

    def _of_drives(self, batch: Batch) -> Tensor:
        """Return bool [B]: the samples that are more than a labelled picture."""
        present, control = batch.inputs.present > 0.5, np.isfinite(batch.truth.control)
        others = np.delete(present, CAMERA, axis=1)
        return torch.from_numpy(others.any(1) | control.any(1)).to(self.device)

    def backward(self, losses: Mapping[str, Tensor], values: Mapping[str, float], parts: int) -> None:
        """Add the gradients of the balanced losses to every parameter that is not frozen.

        Args:
            losses: Of a micro-batch, as `losses` returns them.
            values: Their values without the weights of the schedule, summed over all processes.
            parts: Number of micro-batches in a batch.
        """
        learned = {head: loss / parts for head, loss in losses.items() if loss.requires_grad}
        features = learned.pop(FEATURES, None)  # of the body alone: not a head's, so it is not balanced
        ends: list[tuple[Tensor, Tensor | None]] = []
        if features is not None:
            ends.append((features / self._processes, None))
        if learned:
            self.balancer.observe({head: value for head, value in values.items() if head != FEATURES})
            self.balancer.backward(learned, self._leaves, 1 / (parts * self._processes))
            pairs = zip(self._fused, self._leaves, strict=True)
            ends += [(x, leaf.grad) for x, leaf in pairs if x.requires_grad and leaf.grad is not None]
        if ends:
            torch.autograd.backward([x for x, _ in ends], [gradient for _, gradient in ends])
        self._fused, self._leaves = [], []

    def weights(self) -> dict[str, float]:
        """Return the heads' weights, where the balancing method sets any."""
        return self.balancer.weights()

    def state_dict(self) -> dict[str, Any]:
        state = {"losses": self.head_losses.state_dict(), "balancer": self.balancer.state_dict()}
        if self.feature_teacher is not None:
            state[FEATURES] = self.feature_teacher.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.head_losses.load_state_dict(state["losses"])
        self.balancer.load_state_dict(state["balancer"])
        if self.feature_teacher is not None:
            self.feature_teacher.load_state_dict(state[FEATURES])

    def _dense(self, model: FusionModel, encoded: Encoded, cleaned: Cleaned) -> DenseOutputs:
        """Return the heads' maps. The shared maps become leaves where balancing needs their gradients, and
        where the body has a loss of its own: it is then gone through once for all losses."""
        fused = model.fuse(encoded, cleaned.present, cleaned.age)
        if not self.balancer.cuts and self.feature_teacher is None:
            return model.heads(fused, cleaned.present)
        self._fused = list(fused)
        self._leaves = [x.detach().requires_grad_() for x in fused]
        return model.heads(Pyramid(*self._leaves), cleaned.present)

    def targets(self, model: FusionModel, batch: Batch, schedule: HeadSchedule, step: int) -> Targets:
        """Return the targets of every cell, in the curriculum stage of a step."""
        stage, truth, shape = schedule.stage(step), batch.truth, model.config
        ignored = too_hard(truth, stage.min_height_px, stage.min_visible)
        on = {name: torch.from_numpy(getattr(truth, name)).to(self.device) for name in truth._fields}
        control = model.normaliser.standardise("control", on["control"])
        dense = DenseTruth(
            on["labels"],
            on["boxes"],
            on["distance_m"],
            torch.from_numpy(ignored).to(self.device),
            on["boxes_known"],
            control,
            on["extra"],
            on["complete"],
            on["visible"] < 0,
            on["visible"] == IGNORED,
        )
        rows, columns = (size // shape.output_stride for size in (shape.input_height, shape.input_width))
        return make_targets(dense, len(shape.classes), Grid(rows, columns, shape.output_stride))
