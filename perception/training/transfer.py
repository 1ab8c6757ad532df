"""What training starts from: a model with the tensors of another checkpoint that fit, parts of it frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from perception.errors import ConfigError
from perception.models import FusionModel, ModelConfig
from perception.models.checkpoint import load_checkpoint, read_metadata
from perception.models.stats import InputStats, channel_names
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import measure_stats
from perception.training.loop.optimiser import begins
from perception.training.loop.watcher import Watcher
from perception.training.train_config import TrainConfig

_BY_CLASS = ("class_head.predict.weight", "class_head.predict.bias")
_STATISTICS = ("normaliser.", "decoder.")
"""Statistics and calibration belong to the data, and are measured anew."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of each tensor of a checkpoint and of a model.

    Attributes:
        taken: Of the same name and shape.
        partly: Rows for classes of the same name.
        different: Of the same name and another shape: both shapes.
        missing: Only in the model: they start from chance, adapters from changing nothing.
        unused: Only in the checkpoint.
    """

    taken: tuple[str, ...]
    partly: tuple[str, ...]
    different: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def lines(self) -> list[str]:
        """To be shown: counts, and the names of what does not simply match."""
        total = len(self.taken) + len(self.partly) + len(self.different) + len(self.missing)
        found = [f"{len(self.taken)} of {total} tensors taken over"]
        for what, names in (
            ("rows of classes with the same name", self.partly),
            ("another shape, left as they start", self.different),
            ("not in the checkpoint, left as they start", self.missing),
            ("in the checkpoint only, unused", self.unused),
        ):
            if names:
                shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
                found.append(f"{what}: {shown}")
        return found


def check_transfer(config: TrainConfig) -> None:
    """Find what training would start from before hours are spent on decoding; fetch published weights.

    Raises:
        CheckpointError: A checkpoint cannot be read, or published weights are not to be had.
        ConfigError: Nothing is published for the backbone.
    """
    transfer = config.transfer
    for path in (transfer.checkpoint, transfer.distill.checkpoint if transfer.distill is not None else None):
        if path is not None:
            read_metadata(path)
    if transfer.pretrained:
        from perception.models.torchvision_backbone import published_weights  # torchvision takes seconds

        published_weights(config.model_shape().backbone)


def starting_model(
    config: TrainConfig, shape: ModelConfig, learning: Dataset, watcher: Watcher
) -> FusionModel:
    """The model as training finds it: statistics measured, weights taken over, parts frozen."""
    transfer = config.transfer
    stats = measure_stats(learning.some(config.data.stats_samples), shape)
    if transfer.keep_stats and transfer.checkpoint is not None:
        stats = _kept_stats(transfer.checkpoint, shape, stats)
    model = FusionModel(shape, seed=config.run.seed, stats=stats, pretrained=transfer.pretrained)
    if transfer.checkpoint is not None:
        for line in take_over(model, transfer.checkpoint).lines():
            watcher.said(f"{transfer.checkpoint.name}: {line}")
    if transfer.freeze:
        count = freeze(model, transfer.freeze)
        watcher.said(
            f"frozen: {', '.join(transfer.freeze)}; {count} of {sum(p.numel() for p in model.parameters())}"
        )
    return model


def take_over(model: FusionModel, path: Path) -> Account:
    """Start a model from whatever fits of a checkpoint.

    The last layer of the class head is matched class by class, by name. Statistics and calibration are left.

    Raises:
        CheckpointError: It cannot be loaded.
        ConfigError: Nothing of it fits.
    """
    other, _ = load_checkpoint(path)
    mine, theirs = model.state_dict(), other.state_dict()
    names = [name for name in mine if not name.startswith(_STATISTICS)]
    taken, partly, different, missing = [], [], [], []
    with torch.no_grad():
        for name in names:
            found = theirs.get(name)
            if found is None:
                missing.append(name)
            elif name in _BY_CLASS and other.config.classes != model.config.classes:
                _take_classes(mine[name], found, model.config.classes, other.config.classes)
                partly.append(name)
            elif found.shape != mine[name].shape:
                different.append(f"{name} {list(found.shape)} -> {list(mine[name].shape)}")
            else:
                mine[name].copy_(found)
                taken.append(name)
    if not taken:
        raise ConfigError(
            [f"transfer.checkpoint: no tensor of {path} fits the model; is it another kind of model?"]
        )
    unused = [name for name in theirs if name not in mine and not name.startswith(_STATISTICS)]
    return Account(*(tuple(names) for names in (taken, partly, different, missing, unused)))


def freeze(model: FusionModel, parts: Sequence[str]) -> int:
    """Keep parameters as they are, by name or beginning of a name; returns how many numbers that is.

    Running statistics of frozen batch norms stay too: `frozen_modules` are to be in evaluation mode.

    Raises:
        ConfigError: A name fits nothing.
    """
    names = [name for name, _ in model.named_parameters()]
    parts_there = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
    faults = [
        f"transfer.freeze: {part!r} is the beginning of no parameter's name; expected one of {parts_there}"
        for part in parts
        if not any(begins(name, part) for name in names)
    ]
    if faults:
        raise ConfigError(faults)
    count = 0
    for name, parameter in model.named_parameters():
        if any(begins(name, part) for part in parts):
            parameter.requires_grad_(False)
            count += parameter.numel()
    return count


def train_mode(model: FusionModel) -> None:
    """Training mode, but for batch norms whose parameters are frozen."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and not any(
            p.requires_grad for p in own
        ):
            module.eval()


def _kept_stats(path: Path, shape: ModelConfig, stats: InputStats) -> InputStats:
    """The statistics of a checkpoint, group by group where the channels are the same."""
    old = read_metadata(path).input_stats
    if old is None:
        return stats
    names = channel_names(shape)
    kept = {g: getattr(old, g) for g in names if set(getattr(old, g)) == set(names[g])}
    return InputStats(**{g: kept.get(g, getattr(stats, g)) for g in names})


def _take_classes(mine: Tensor, theirs: Tensor, names: Sequence[str], others: Sequence[str]) -> None:
    for row, name in enumerate(names):
        if name in others:
            mine[row].copy_(theirs[others.index(name)])
