"""Learning from a larger model's answers beside the truth (Hinton et al. 2015), head by head.

Where the teacher sees an object its box and distance are matched, weighed by its score; its heatmap is
matched everywhere, as the cross-entropy of two Bernoulli distributions less the teacher's own entropy, so
that the loss is 0 when both say the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from perception.checkpoint import load_checkpoint
from perception.errors import ConfigError
from perception.models import DenseOutputs, FusionModel
from perception.tensors import Inputs
from perception.training.config import DistillConfig


class Teacher:
    """A frozen model that says what it would answer.

    Args:
        config: Which checkpoint, and what its word weighs.
        student: Must speak of the same classes and channels, over an image of the same size.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ConfigError: It speaks of something else.
    """

    def __init__(self, config: DistillConfig, student: FusionModel) -> None:
        model, _ = load_checkpoint(config.checkpoint)
        mine, theirs = student.config, model.config
        faults = [
            f"transfer.distill.checkpoint: its {name} is {getattr(theirs, name)}, "
            f"expected the model's {getattr(mine, name)}"
            for name in ("classes", "control", "status", "input_height", "input_width", "returns", "steps")
            if getattr(theirs, name) != getattr(mine, name)
        ]
        if faults:
            raise ConfigError(faults)
        self.weight = config.weight
        self.model = model.requires_grad_(False).to(next(student.parameters()).device)

    def losses(self, student: FusionModel, said: DenseOutputs, inputs: Inputs) -> dict[str, Tensor]:
        """For each head how far the student's answers are from the teacher's, weighed."""
        with torch.no_grad():
            true = self.model.dense(inputs)
            wanted = self.model.normaliser
            control = true.control * wanted.get_buffer("control_std") + wanted.get_buffer("control_mean")
            control = student.normaliser.standardise("control", control)
            score = true.heatmap.sigmoid()
            seen = score.amax(1, keepdim=True)
            seen = torch.where(seen > 0.1, seen, 0.0)
            sure = seen.sum().clamp(min=1.0)
        entropy = F.binary_cross_entropy_with_logits(true.heatmap, score, reduction="none")
        cross = F.binary_cross_entropy_with_logits(said.heatmap, score, reduction="none")
        sides = (
            (said.ltrb.clamp(min=1e-3).log() - true.ltrb.clamp(min=1e-3).log()).abs().mean(1, keepdim=True)
        )
        found = {
            "class": (cross - entropy).sum() / sure,
            "box": (sides * seen).sum() / sure,
            "distance": ((said.distance_log - true.distance_log).abs() * seen).sum() / sure,
            "control": (said.control - control).abs().mean(),
        }
        return {head: self.weight * loss for head, loss in found.items()}
