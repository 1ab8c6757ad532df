"""Layers that several parts of the model share.

Every map is downsampled by kernels of even size with symmetric padding, so that each cell of a map is
centred on its pixels: a mirrored image gives mirrored maps (an odd kernel of stride 2 would sit half a
pixel to the left). Inputs are cast to a layer's own precision, so that one model runs in several.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution and a batch norm, which an engine folds into one; `stride` divides the size."""
    padding = (kernel - stride) // 2 if stride > 1 else kernel // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def fold_batch_norms(model: nn.Module) -> None:
    """Fold every batch norm that follows a convolution into it, in place, for inference: equal outputs in
    less time. The model cannot be trained or saved afterwards."""
    for module in list(model.modules()):
        children = dict(module.named_children())
        for first, second in _consecutive(module, list(children)):
            conv, norm = children[first], children[second]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())


def _consecutive(module: nn.Module, names: list[str]) -> list[tuple[str, str]]:
    """Return pairs of children, by name, of which the second is applied to the output of the first."""
    if isinstance(module, nn.Sequential):
        return list(pairwise(names))
    norms = {name: name.replace("conv", "bn") for name in names if name.startswith("conv")}
    return [(conv, norm) for conv, norm in norms.items() if norm in names]


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer initialised to keep the scale of features followed by a ReLU (He et al. 2015).

    Torch's own initialisation shrinks it by more than half in each layer: range features were then 15 times
    smaller than the camera's where the two meet, and stayed unused.
    """
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_bn(width, width, 3)
        self.second = conv_bn(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(self.first(x).relu_())
        return (x + change).relu_()


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution; on a single cell as a matrix product, in a fifth of the time."""
    if x.shape[2:] != (1, 1):
        mapped: Tensor = conv(x)
        return mapped
    return F.linear(x.flatten(1), conv.weight.flatten(1), conv.bias)[..., None, None]


def as_weight(x: Tensor, layer: nn.Module) -> Tensor:
    """Return `x` in the precision of a layer's weight."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return x.to(weight.dtype)
