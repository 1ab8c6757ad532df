"""Models for inference: batch norms folded, weights cast, and called with their inputs by position."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from perception.models.fusion_model import FusionModel
from perception.models.layers import fold_batch_norms
from perception.models.tensors import Inputs

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Flat(nn.Module):
    """The fusion model as a function of the fields of `Inputs`, in order, to a tuple of `Predictions`."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        image: Tensor,
        returns: Tensor,
        returns_valid: Tensor,
        status: Tensor,
        present: Tensor,
        age_s: Tensor,
    ) -> tuple[Tensor, ...]:
        return tuple(self.model(Inputs(image, returns, returns_valid, status, present, age_s)))


class ByPosition(nn.Module):
    """A copy of any module for inference, as a function of its inputs by position to a tuple of tensors."""

    def __init__(self, module: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.inputs, self.outputs = inputs, outputs

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs = self.module(**dict(zip(self.inputs, tensors, strict=True)))
        if isinstance(outputs, Mapping):
            return tuple(outputs[name] for name in self.outputs)
        return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def lowered_copy(model: FusionModel, precision: str) -> FusionModel:
    """Return a copy for inference: batch norms folded, weights cast to the precision."""
    model = copy.deepcopy(model).eval().requires_grad_(False)
    fold_batch_norms(model)
    return model if precision == "fp32" else lower_precision(model, DTYPES[precision])


def lower_precision(model: FusionModel, dtype: torch.dtype) -> FusionModel:
    """Cast the weights, in place, but for the last layer of each head. Statistics stay float32."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and not name.endswith(".predict"):
            module.to(dtype)
    return model
