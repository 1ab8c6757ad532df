"""Changes to a trained model that make it faster and its outputs different by rounding alone."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from perception.models.fusion_model import FusionModel


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
