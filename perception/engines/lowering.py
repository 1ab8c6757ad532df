"""Models for inference: batch norms folded, weights cast, and called with their inputs by position."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from perception.models.fusion_model import FusionModel
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
    model = fold_batch_norms(copy.deepcopy(model).eval().requires_grad_(False))
    return model if precision == "fp32" else lower_precision(model, DTYPES[precision])


def fold_batch_norms(model: FusionModel) -> FusionModel:
    """Fold every batch norm that follows a convolution into it, in place, for inference."""
    for module in list(model.modules()):
        children = dict(module.named_children())
        for first, second in _pairs(module, children):
            conv, norm = children[first], children[second]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return model


def lower_precision(model: FusionModel, dtype: torch.dtype) -> FusionModel:
    """Cast the weights, in place, but for the last layer of each head. Statistics stay float32."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and not name.endswith(".predict"):
            module.to(dtype)
    return model


def _pairs(module: nn.Module, children: dict[str, nn.Module]) -> list[tuple[str, str]]:
    """Pairs of children, by name, of which the second is applied to the output of the first."""
    names = list(children)
    if isinstance(module, nn.Sequential):
        return list(pairwise(names))
    return [
        (n, n.replace("conv", "bn"))
        for n in names
        if n.startswith("conv") and n.replace("conv", "bn") in children
    ]
