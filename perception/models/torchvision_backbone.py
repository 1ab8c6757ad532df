"""Backbones from torchvision by name: networks with feature maps at the three strides of the model."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from perception.errors import CheckpointError, ConfigError


class TorchvisionBackbone(nn.Module):
    """The first layers of a classification network, cut after the last map of the coarsest stride.

    Args:
        name: In `torchvision.models`: the ResNets, and what has `features` (MobileNet, EfficientNet, ...).
        pretrained: With the default published weights (`published_weights`).
        strides: Of the three maps, fine to coarse.

    Raises:
        ConfigError: There is no such network, or it does not have these strides.
        CheckpointError: The published weights are not there and cannot be fetched, or are damaged.
    """

    def __init__(
        self, name: str, pretrained: bool = False, strides: tuple[int, int, int] = (4, 8, 16)
    ) -> None:
        super().__init__()
        from torchvision import models  # type: ignore[import-untyped]

        try:
            network = models.get_model(name, weights=None)
        except ValueError:
            raise ConfigError([f"backbone: torchvision knows no network {name!r}"], "of the model") from None
        steps = _steps(network)
        if steps is None:
            raise ConfigError([f"backbone: {name} is neither a ResNet nor has it `features`"], "of the model")
        if pretrained:
            _load(network, name)
        self.stages, self.widths = _cut(name, steps, strides)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image.to(next(self.stages.parameters()).dtype)
        return [x := stage(x) for stage in self.stages]


def published_weights(name: str) -> Mapping[str, Tensor]:
    """Return the default published weights of a network, from torch's cache (`TORCH_HOME`).

    They are fetched into the cache if missing; the file must have the digest that its name ends in. Only
    tensors are read: no code in a file runs.

    Raises:
        ConfigError: Nothing is published under this name.
        CheckpointError: They are not there and cannot be fetched, or are damaged.
    """
    from torchvision import models

    try:
        weights = models.get_model_weights(name).DEFAULT
    except ValueError:
        raise ConfigError([f"backbone: torchvision knows no network {name!r}"], "of the model") from None
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(weights.url).path).name
    is_cached = file.is_file()
    try:
        tensors: Mapping[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        text = " ".join(str(getattr(error, "reason", error)).split())[:200]
        if is_cached:
            raise CheckpointError(
                f"{file}: the weights of {name} cannot be read: {text}; delete it"
            ) from None
        raise CheckpointError(
            f"the published weights of {name} cannot be fetched from {weights.url}: {text}. Fetch that file "
            f"on a machine with a network and put it at {file}, or set transfer.pretrained: false"
        ) from None
    return tensors


def _load(network: nn.Module, name: str) -> None:
    try:
        network.load_state_dict(published_weights(name))
    except (RuntimeError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the weights in torch's cache are not those of {name}: {text}") from None


def _steps(network: nn.Module) -> list[nn.Module] | None:
    """Return the network as modules applied one after the other, without its classifier."""
    if hasattr(network, "layer1"):
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        return [getattr(network, name) for name in names]
    features = getattr(network, "features", None)
    return list(features) if isinstance(features, nn.Sequential) else None


@torch.no_grad()
def _cut(name: str, steps: list[nn.Module], wanted: tuple[int, ...]) -> tuple[nn.ModuleList, tuple[int, ...]]:
    """Group the steps by the stride they work at, up to the coarsest; return groups and output channels."""
    groups: dict[int, list[nn.Module]] = {stride: [] for stride in wanted}
    maps: dict[int, tuple[int, int]] = {}  # group -> its stride, its channels
    x = torch.zeros(1, 3, 128, 128, device=next(steps[0].parameters()).device)
    for step in steps:
        x = step.eval()(x)  # in training mode, the probe would change the running statistics
        step.train()
        stride = 128 // x.shape[2]
        group = max(stride, wanted[0])
        if group not in groups:
            break
        groups[group].append(step)
        maps[group] = (stride, x.shape[1])
    strides = tuple(stride for stride, _ in maps.values())
    if strides != wanted:
        raise ConfigError(
            [f"backbone: {name} has maps of strides {strides}, expected {wanted}"], "of the model"
        )
    return nn.ModuleList(nn.Sequential(*groups[s]) for s in wanted), tuple(maps[s][1] for s in wanted)
