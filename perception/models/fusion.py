"""The fusion of the three branches, at every stride and for the pooled features.

Each fusion takes one map of each branch (or a [B, D, 1, 1] that holds everywhere) and gives [B, D, h, w].
Where an input is absent its features are replaced by a learned null before anything is computed from
them, so that the values of an absent sensor cannot reach an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.models.config import ModelConfig
from perception.models.layers import as_weight, conv_bn, pointwise

GROUPS = 4
"""Groups of channels that share one gate or one attention pattern."""


class Single(nn.Module):
    """Projects a [B, ., 1, 1], normalised over its channels (Ba et al. 2016); a batch norm needs a batch."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, outputs, 1)
        nn.init.kaiming_normal_(self.project.weight, nonlinearity="linear")

    def forward(self, x: Tensor) -> Tensor:
        normal = F.layer_norm(x.flatten(1), x.shape[1:2])
        return pointwise(self.project, normal[..., None, None])


class Fusion(nn.Module):
    """The common part of the three kinds: projection to one width, and the learned nulls.

    Everything is computed on [B, D, h, w]: with a fifth dimension, engines that keep channels last would turn
    the maps around and back (measured: a third of the time of the whole model in float32).

    Inputs are normalised as they are projected, so that none dominates by its scale.

    Args:
        widths: Channels of the three inputs.
        width: D.
        maps: Which of the inputs are maps, and not a single [B, ., 1, 1].
    """

    def __init__(self, widths: Sequence[int], width: int, maps: Sequence[bool]) -> None:
        super().__init__()
        self.width = width
        self.project = nn.ModuleList(
            conv_bn(w, width, 1) if is_map else Single(w, width)
            for w, is_map in zip(widths, maps, strict=True)
        )
        self.null = nn.Parameter(torch.randn(len(widths), width) * 0.1)

    def forward(self, inputs: Sequence[Tensor], present: Tensor, age: Tensor) -> Tensor:
        """Fuse one map of each branch.

        Args:
            inputs: Camera [B, ., h, w], range [B, ., h, w], status [B, ., 1, 1].
            present: bool [B, 3].
            age: [B, 3], a feature of the inputs' ages; 0 where absent.
        """
        embedded = []
        for index, x in enumerate(inputs):
            project = self.project[index]
            known = project(x.to(next(project.parameters()).dtype))
            here = present[:, index, None, None, None].to(known.dtype)
            null = self.null[index].to(known.dtype)[:, None, None] * (1 - here)
            embedded.append(torch.addcmul(null, known, here))  # exact: the one or the other times 0
        return self.combine(embedded, present, age)

    def combine(self, embedded: Sequence[Tensor], present: Tensor, age: Tensor) -> Tensor:
        """Combine three [B, width, h or 1, w or 1] into one [B, width, h, w]."""
        raise NotImplementedError


class ConcatFusion(Fusion):
    """A linear map of all features side by side, computed as a sum of three, and of the ages."""

    def __init__(self, widths: Sequence[int], width: int, maps: Sequence[bool]) -> None:
        super().__init__(widths, width, maps)
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 1, bias=index == 0) for index in range(len(widths)))
        self.age = _age_layer(len(widths), width)

    def combine(self, embedded: Sequence[Tensor], present: Tensor, age: Tensor) -> Tensor:
        *others, last = (mix(x.relu()) for mix, x in zip(self.mix, embedded, strict=True))
        old = self.age(as_weight(age, self.age))[..., None, None]
        total: Tensor = reduce(add, others, last + old)  # status and age hold everywhere: first, while small
        return total.relu_()


class GatedFusion(Fusion):
    """At each cell a softmax over the present inputs weighs them, separately for each group of channels
    (after the gated multimodal unit, Arevalo et al. 2017). With no input present the nulls are weighed."""

    def __init__(self, widths: Sequence[int], width: int, maps: Sequence[bool]) -> None:
        super().__init__(widths, width, maps)
        self.gate = nn.ModuleList(nn.Conv2d(width, GROUPS, 1) for _ in widths)
        self.age = _age_layer(len(widths), len(widths) * GROUPS)
        self.register_buffer("spread", _spread(width), persistent=False)

    def combine(self, embedded: Sequence[Tensor], present: Tensor, age: Tensor) -> Tensor:
        usable = present | ~present.any(1, keepdim=True)
        logits = [pointwise(gate, x) for gate, x in zip(self.gate, embedded, strict=True)]  # type: ignore[arg-type]
        old = self.age(as_weight(age, self.age))
        return _weighed(logits, embedded, old, usable, self.get_buffer("spread")).relu_()


class AttentionFusion(Fusion):
    """At each cell the three inputs are tokens, and their mean asks all of them, nulls included
    (scaled dot-product attention, Vaswani et al. 2017)."""

    def __init__(self, widths: Sequence[int], width: int, maps: Sequence[bool]) -> None:
        super().__init__(widths, width, maps)
        self.query = nn.Conv2d(width, width, 1)
        self.key = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in widths)
        self.value = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in widths)
        self.out = nn.Conv2d(width, width, 1)
        self.age = _age_layer(len(widths), len(widths) * GROUPS)
        self.register_buffer("spread", _spread(width), persistent=False)

    def combine(self, embedded: Sequence[Tensor], present: Tensor, age: Tensor) -> Tensor:
        mean = reduce(add, embedded) / len(embedded)
        query, spread = self.query(mean) * (self.width / GROUPS) ** -0.5, self.get_buffer("spread")
        gather = spread.to(query.dtype).transpose(0, 1)
        logits = [F.conv2d(query * key(x), gather) for key, x in zip(self.key, embedded, strict=True)]
        values = [value(x) for value, x in zip(self.value, embedded, strict=True)]
        old = self.age(as_weight(age, self.age))
        asked = _weighed(logits, values, old, torch.ones_like(present), spread)
        answer: Tensor = self.out(asked)
        return (mean + answer).relu_()


def _weighed(
    logits: Sequence[Tensor], values: Sequence[Tensor], age: Tensor, usable: Tensor, spread: Tensor
) -> Tensor:
    """Return the mean of the inputs' values, weighed by a softmax of their logits.

    Args:
        logits: For each input [B, groups, h or 1, w or 1]; the first is h x w.
        values: For each input [B, D, h or 1, w or 1].
        age: [B, inputs * groups], added to the logits.
        usable: bool [B, inputs]; the others weigh exactly 0.
        spread: [D, groups, 1, 1], which gives each group's weight to its channels.
    """
    shut = torch.zeros_like(usable, dtype=age.dtype).masked_fill(~usable, -torch.inf)
    added = age.reshape(-1, len(logits), GROUPS) + shut.unsqueeze(-1)
    asked = [x + added[:, index, :, None, None] for index, x in enumerate(logits)]
    highest = reduce(torch.maximum, asked).detach()  # a softmax ignores shifts
    shares = [(x - highest).exp() for x in asked]
    share_sum = reduce(add, shares)
    kernel = spread.to(share_sum.dtype)
    weights = [F.conv2d(share / share_sum, kernel) for share in shares]
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total = torch.addcmul(total, weight, value)
    return total


def _spread(width: int) -> Tensor:
    """Return [width, groups, 1, 1]: 1 where a channel is of the group, else 0."""
    return torch.eye(GROUPS).repeat_interleave(width // GROUPS, 0)[..., None, None]


def _age_layer(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer that starts at zero: untrained, age changes nothing."""
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def make_fusion(config: ModelConfig, widths: Sequence[int], maps: Sequence[bool]) -> Fusion:
    """Return the configured fusion, for inputs of these widths."""
    kinds = {"concat": ConcatFusion, "gated": GatedFusion, "attention": AttentionFusion}
    return kinds[config.fusion](widths, config.fused_width, maps)
