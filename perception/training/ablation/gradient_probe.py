"""Do the heads pull the shared maps the same way: cosines between their gradients while a model is trained.

The gradients are those that balancing methods see (`training.balancing.shared`): of each head's loss,
unweighted, over the fused maps of all strides and the pooled feature. They are taken of the same samples,
unchanged by augmentation, each time. Below 0, a step that helps one head harms the other, on these samples
and to first order (Yu et al. 2020, PCGrad). Heads that rest on different cells have cosines near 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from perception.models.camera import Pyramid
from perception.models.tensors import Inputs
from perception.training.ablation.gradient_courses import FILE, PAIRS
from perception.training.data.training_sample import Batch, collate
from perception.training.loop.trainer import Trainer


class Probe:
    """Measures the gradients after every so many steps of a run, and changes nothing of it.

    Args:
        folder: Of the run; gets a line of `FILE` for each measurement.
        every: Steps from one to the next. The first step is measured too.
        samples: How many, evenly spaced over the training samples.
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
    """Head -> its gradient over the shared maps, flat; heads without truth, or whose
    gradient is 0 or not finite, are missing.

    Norms use the statistics of the batch, as in training; their running statistics are put back.
    """
    model, loss_step = trainer.model, trainer.loss_step
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    inputs = Inputs(*(torch.from_numpy(a).to(loss_step.device) for a in batch.inputs))
    with torch.no_grad():
        cleaned = model.clean(inputs)
        fused = model.fuse(model.encode(cleaned), cleaned.present, cleaned.age)
    leaves = [x.detach().requires_grad_() for x in fused]
    said = model.heads(Pyramid(*leaves), cleaned.present)
    losses = loss_step.head_losses(
        said, loss_step.targets(model, batch, trainer.head_schedule, trainer.step - 1)
    )
    found = {}
    for head, loss in losses.items():
        rows = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        row = torch.cat([r.flatten() for r in rows]).float()
        if bool(row.any()) and bool(row.isfinite().all()):
            found[head] = row
    for buffer, before in kept:
        buffer.copy_(before)
    return found


def describe(found: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """`cosine`: pair (`box-control`) -> -1 to 1; `norm`: head -> length."""
    cosines = {f"{a}-{b}": cosine(found[a], found[b]) for a, b in PAIRS if a in found and b in found}
    return {"cosine": cosines, "norm": {head: float(row.norm()) for head, row in found.items()}}


def cosine(one: Tensor, other: Tensor) -> float:
    """Of the angle between two vectors, neither of them 0."""
    one, other = one.double() / one.double().norm(), other.double() / other.double().norm()
    return max(-1.0, min(1.0, float(one @ other)))
