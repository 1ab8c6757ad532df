"""Distillation: a loss towards the predictions of a larger model (Hinton et al. 2015), for each head.

The loss is the Kullback-Leibler divergence of the student's distributions from the teacher's: of the heatmap
at every cell (Bernoulli); of sides and distance where the teacher detects an object, weighted by its score;
of control everywhere. The teacher's scales are corrected by its calibration. With `regression: l1` only its
values are matched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from perception.errors import ConfigError
from perception.models import DenseOutputs, FusionModel
from perception.models.checkpoint import load_checkpoint
from perception.models.decode import subset_index
from perception.models.layers import fold_batch_norms
from perception.models.pretrained import weights_file
from perception.models.tensors import Inputs
from perception.training.losses.divergence import gaussian_kl, laplace_kl
from perception.training.train_config import DistillConfig

DETECTED_FROM = 0.1
"""The least score with which the teacher detects an object."""

_ALIKE = ("classes", "control", "status", "input_height", "input_width", "output_stride", "returns", "steps")
_READ = frozenset(DenseOutputs._fields) - {"fused", "present", "extra"}
"""The maps and values that have losses here."""


class TeacherValue(NamedTuple):
    """A teacher's prediction of one quantity, in the units and the distribution family of the student."""

    value: Tensor
    log_scale: Tensor


class Teacher:
    """A frozen model whose predictions a student learns.

    Args:
        config: The checkpoint, and the weight of the loss.
        student: Must have the same classes, channels, input size and cells of the output map.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: Its classes, channels, input size or output map differ.
    """

    def __init__(self, config: DistillConfig, student: FusionModel) -> None:
        model, _ = load_checkpoint(weights_file(config.checkpoint))
        mine, theirs = student.config, model.config
        errors = [
            f"transfer.distill.checkpoint: its {name} is {getattr(theirs, name)}, "
            f"expected the model's {getattr(mine, name)}"
            for name in _ALIKE
            if getattr(theirs, name) != getattr(mine, name)
        ]
        if errors:
            raise ConfigError(errors)
        self.weight, self.regression, self.pictures = config.weight, config.regression, config.pictures
        fold_batch_norms(model)
        device = next(student.parameters()).device
        self.model = model.requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self._kl = laplace_kl if mine.loss_family == "laplace" else gaussian_kl
        # Scales of another family are turned into those of the same standard deviation.
        self._rescale = math.log(model.decoder.std_per_scale / student.decoder.std_per_scale)

    def losses(
        self,
        student: FusionModel,
        predicted: DenseOutputs,
        inputs: Inputs,
        rows: Tensor | None = None,
        total: Callable[[Tensor], Tensor] = lambda count: count,
    ) -> dict[str, Tensor]:
        """Return head -> the weighted loss of the student's maps `predicted` towards the teacher's.

        Args:
            student: The model in training.
            predicted: Its maps.
            inputs: What both see.
            rows: bool [B], the samples that the teacher teaches; None: all.
            total: Sums counts over all processes that share a batch, so that their losses add up to those of
                the batch. Every process calls it once.
        """
        if rows is not None and not rows.all():
            if not rows.any():
                total(torch.zeros(2, device=rows.device))
                return {}
            inputs = Inputs(*(values[rows] for values in inputs))
            parts = {name: values[rows] for name, values in predicted._asdict().items() if name in _READ}
            predicted = predicted._replace(**parts)
        with torch.no_grad():
            true = self.model.dense(inputs)
            score = true.heatmap.sigmoid()
            seen = score.amax(1, keepdim=True)
            seen = torch.where(seen > DETECTED_FROM, seen, 0.0)
            counts = torch.stack([seen.sum(), torch.full_like(seen.sum(), predicted.control.numel())])
            detections, channels = total(counts).clamp(min=1.0)
            box, distance, control = self._values(student, true)
        entropy = F.binary_cross_entropy_with_logits(true.heatmap, score, reduction="none")
        cross = F.binary_cross_entropy_with_logits(predicted.heatmap, score, reduction="none")
        if self.regression == "kl":
            sides = self._kl(predicted.ltrb, predicted.ltrb_log_scale, *box)
            metres = self._kl(predicted.distance_log, predicted.distance_log_scale, *distance)
            commands = self._kl(predicted.control, predicted.control_log_scale, *control)
        else:
            sides = (predicted.ltrb.clamp(min=1e-3).log() - box.value.clamp(min=1e-3).log()).abs()
            metres = (predicted.distance_log - distance.value).abs()
            commands = (predicted.control - control.value).abs()
        divergences = {
            "class": (cross - entropy).sum() / detections,
            "box": (sides.mean(1, keepdim=True) * seen).sum() / detections,
            "distance": (metres * seen).sum() / detections,
            "control": commands.sum() / channels,
        }
        return {head: self.weight * loss for head, loss in divergences.items()}

    def _values(
        self, student: FusionModel, true: DenseOutputs
    ) -> tuple[TeacherValue, TeacherValue, TeacherValue]:
        """Return the teacher's box, distance and control; control is standardised as the student's."""
        mine, theirs, calibration = student.normaliser, self.model.normaliser, self.model.decoder.calibration
        subset = subset_index(true.present)

        def scale(log_scale: Tensor, factor: Tensor) -> Tensor:
            corrected = factor[subset].log()
            return log_scale + self._rescale + corrected.view(*corrected.shape, *[1] * (log_scale.ndim - 2))

        control = true.control * theirs.get_buffer("control_std") + theirs.get_buffer("control_mean")
        unit = (theirs.get_buffer("control_std") / mine.get_buffer("control_std")).log()
        return (
            TeacherValue(true.ltrb, scale(true.ltrb_log_scale, calibration.box_factor)),
            TeacherValue(true.distance_log, scale(true.distance_log_scale, calibration.distance_factor)),
            TeacherValue(
                mine.standardise("control", control),
                scale(true.control_log_scale, calibration.control_factor) + unit,
            ),
        )
