"""Data-parallel training: each process computes a shard of the global batch, and gradients are summed.

`torchrun` or Ray starts the processes and tells each its rank. Batch norms take their statistics from the
global batch (`GlobalBatchNorm`, because torch's layer works only on GPUs), losses are divided by global
counts, and gradients are summed in one flat buffer. The result is that of one process with the same global
batch, up to the order of floating-point summation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from perception.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The processes that train together, and the rank of this one."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Return whether this process writes files and reports progress."""
        return self.rank == 0

    def shard(self, batch: int, parts: int = 1) -> slice:
        """Return the slice of a global batch that this process computes.

        Args:
            batch: Samples of a step.
            parts: The equal parts that each process computes its slice in (`schedule.accumulate`).

        Raises:
            ConfigError: The number of processes, or that of all their parts, does not divide the batch.
        """
        if batch % (self.size * parts):
            more = f" of {parts} parts each (schedule.accumulate)" if parts > 1 else ""
            raise ConfigError(
                [f"schedule.batch: expected a multiple of {self.size} processes{more}, found {batch}"]
            )
        samples = batch // self.size
        return slice(self.rank * samples, (self.rank + 1) * samples)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over all processes, without a gradient."""
        if self.size == 1:
            return value
        value = value.detach().clone()
        dist.all_reduce(value)
        return value

    def wait(self) -> None:
        """Block until all processes have called this."""
        if self.size > 1:
            dist.barrier()

    def from_first(self, text: str) -> str:
        """Return the text that the first process calls this with, in all of them."""
        texts = [text]
        if self.size > 1:
            dist.broadcast_object_list(texts)
        return texts[0]

    @torch.no_grad()
    def add_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Sum the gradients over all processes, in place. A parameter without a gradient counts as zeros."""
        if self.size == 1:
            return
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for g, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            g.copy_(part.view_as(g))


@contextmanager
def process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Yield the processes that `torchrun` or Ray started; a group of one without them."""
    starts_it = not dist.is_initialized()
    size = int(os.environ.get("WORLD_SIZE", "1")) if starts_it else dist.get_world_size()
    if size == 1:
        yield ProcessGroup()
        return
    if starts_it:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size())
    finally:
        if starts_it:
            dist.destroy_process_group()


class _GlobalNorm(torch.autograd.Function):
    """Batch norm by given statistics, which are those of the inputs of all processes.

    torch's own layers compute all but the part of the gradient that comes through the statistics.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([of_weight, of_bias])
        dist.all_reduce(sums)
        through_variance, through_mean = sums / (x.numel() // x.shape[1] * dist.get_world_size())
        scale = torch.rsqrt(variance + ctx.eps)
        slope = -weight * scale.square() * through_variance
        shift = -weight * scale * through_mean - slope * mean
        of_x += torch.addcmul(shift[:, None, None], x.float(), slope[:, None, None])
        return of_x, of_weight, of_bias, None, None, None


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, with the names and buffers of `BatchNorm2d`."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            own = torch.batch_norm_update_stats(x, self.running_mean, self.running_var, 0.0)  # changes none
            sums = torch.stack([own[0], own[1] + own[0].square()])
            dist.all_reduce(sums)
            mean, square = sums / dist.get_world_size()
            variance = (square - mean.square()).clamp(min=0)
            self.num_batches_tracked.add_(1)
            momentum = self.momentum if self.momentum is not None else 0.1
            count = x.numel() // x.shape[1] * dist.get_world_size()
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)
        normalised: Tensor = _GlobalNorm.apply(x, self.weight, self.bias, mean, variance, self.eps)
        return normalised


def with_global_norms(model: nn.Module) -> None:
    """Turn every batch norm of a model into a `GlobalBatchNorm`, in place."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm
