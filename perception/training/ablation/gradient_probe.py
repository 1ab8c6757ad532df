"""Cosines between the heads' gradients over the shared maps, measured while a model is trained.

The gradients are those that balancing methods see (`balancing.shared_gradients`): of each head's loss,
unweighted, over the fused maps of all strides and the pooled feature. They are always measured on the same
samples, without augmentation. Below 0, a step that helps one head harms the other, on these samples and to
first order (Yu et al. 2020, PCGrad). Heads that depend on different cells have cosines near 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from perception.models.camera_encoder import Pyramid
from perception.models.tensors import Inputs
from perception.training.ablation.gradient_courses import FILE, PAIRS
from perception.training.data.training_sample import Batch, collate
from perception.training.loop.trainer import Trainer


class Probe:
    """Measures the gradients at regular steps of a run, without changing it.

    Args:
        folder: The run's folder; its `FILE` gets a line for each measurement.
        every: Steps between two measurements. The first step is measured, too.
        samples: Number of training samples, evenly spaced.
    """

    def __init__(self, folder: Path, every: int, samples: int = 8) -> None:
        self.path, self.every, self.samples = folder / FILE, every, samples
        self._batch: Batch | None = None

    def __call__(self, trainer: Trainer) -> None:
        if trainer.step != 1 and trainer.step % self.every:
            return
        if self._batch is None:
            few = trainer.batches.dataset.some(self.samples)
            self._batch = collate([few[i] for i in range(len(few))])
        line = {"step": trainer.step, **describe(gradients(trainer, self._batch))}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def gradients(trainer: Trainer, batch: Batch) -> dict[str, Tensor]:
    """Return head -> its gradient over the shared maps, flat.

    Heads without truth, or whose gradient is 0 or not finite, are missing. Batch norms use
    the statistics of the batch, as in training; their running statistics are put back.
    """
    model, loss_step = trainer.model, trainer.loss_step
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    inputs = Inputs(*(torch.from_numpy(a).to(loss_step.device) for a in batch.inputs))
    with torch.no_grad():
        cleaned = model.clean(inputs)
        fused = model.fuse(model.encode(cleaned), cleaned.present, cleaned.age)
    leaves = [x.detach().requires_grad_() for x in fused]
    outputs = model.heads(Pyramid(*leaves), cleaned.present)
    losses = loss_step.head_losses(
        outputs, loss_step.targets(model, batch, trainer.head_schedule, trainer.step - 1)
    )
    by_head = {}
    for head, loss in losses.items():
        rows = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        row = torch.cat([r.flatten() for r in rows]).float()
        if bool(row.any()) and bool(row.isfinite().all()):
            by_head[head] = row
    for buffer, before in kept:
        buffer.copy_(before)
    return by_head


def describe(found: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Return `cosine`: pair (`box-control`) -> -1 to 1, and `norm`: head -> length."""
    cosines = {
        pair: cosine(found[a], found[b]) for pair, (a, b) in PAIRS.items() if a in found and b in found
    }
    return {"cosine": cosines, "norm": {head: float(row.norm()) for head, row in found.items()}}


def cosine(a: Tensor, b: Tensor) -> float:
    """Return the cosine of the angle between two vectors, neither of them 0."""
    a, b = a.double() / a.double().norm(), b.double() / b.double().norm()
    return max(-1.0, min(1.0, float(a @ b)))
