"""Transfer: starting from the tensors of another checkpoint that fit, with parts of the model frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from perception.errors import ConfigError
from perception.models import FusionModel, ModelConfig
from perception.models.checkpoint import load_checkpoint, read_metadata
from perception.models.pretrained import weights_file
from perception.models.stats import ChannelStats, InputStats, channel_names, default_stats
from perception.text import listed
from perception.training.data.dataset import Dataset
from perception.training.data.input_stats import measure_stats
from perception.training.loop.observer import Watcher
from perception.training.loop.optimiser import belongs_to
from perception.training.train_config import TrainConfig

_BY_CLASS = ("class_head.predict.weight", "class_head.predict.bias")
_BY_CONTROL = ("control_head.predict.weight", "control_head.predict.bias")
_BY_STATUS = "status.from_input.weight"
_BY_PART = ("class_head.predict.weight", "box_head.predict.weight")
_SIDES = "box_head.predict.bias"
_OF_TOWERS = ("tower.", "class_head.tower.", "box_head.tower.", *_BY_PART)
_OF_STEM = "camera.backbone.stem."
_STATISTICS = ("normaliser.", "decoder.")
"""Statistics and calibration, which are measured again from the data."""


@dataclass(frozen=True, slots=True)
class TransferReport:
    """The outcome of each tensor of a checkpoint and of a model.

    Attributes:
        taken: Taken over: same name and shape.
        partly: Classes or channels with the same name, or those of a narrower tower or stem, taken over.
        different: Same name, another shape, or no class or channel in common; with both shapes.
        missing: Only in the model; they keep their initial values.
        unused: Only in the checkpoint.
    """

    taken: tuple[str, ...]
    partly: tuple[str, ...]
    different: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return lines for the user: counts, and the names of tensors that were not simply taken over."""
        total = len(self.taken) + len(self.partly) + len(self.different) + len(self.missing)
        lines = [f"{len(self.taken)} of {total} tensors taken over"]
        for outcome, names in (
            ("in part: classes and channels of the same name, those of narrower layers", self.partly),
            ("another shape or other channels, left as they start", self.different),
            ("not in the checkpoint, left as they start", self.missing),
            ("in the checkpoint only, unused", self.unused),
        ):
            if names:
                lines.append(f"{outcome}: {listed(names)}")
        return lines


def check_transfer(config: TrainConfig) -> None:
    """Check the checkpoints to start from before hours are spent on decoding; download published weights.

    Raises:
        CheckpointError: A checkpoint cannot be read, or published weights cannot be downloaded.
        ConfigError: No weights are published for the backbone.
    """
    transfer = config.transfer
    if transfer.checkpoint is not None:
        read_metadata(weights_file(transfer.checkpoint))
    if transfer.distill is not None:
        read_metadata(weights_file(transfer.distill.checkpoint))
    if transfer.pretrained:
        from perception.models.torchvision_backbone import published_weights  # torchvision takes seconds

        published_weights(config.model_shape().backbone)


def starting_model(config: TrainConfig, training: Dataset, watcher: Watcher) -> FusionModel:
    """Return the model before the first step: statistics measured, weights taken over, parts frozen."""
    transfer, shape = config.transfer, config.model_shape()
    start = None if transfer.checkpoint is None else weights_file(transfer.checkpoint)
    known = None if start is None else _known_stats(start, shape)
    stats = measure_stats(training.some(config.data.stats_samples), shape, known)
    if transfer.keep_stats and start is not None and known is not None:
        stats = _kept_stats(start, shape, stats, known)
    model = FusionModel(shape, seed=config.run.seed, stats=stats, pretrained=transfer.pretrained)
    if start is None:
        watcher.message(
            "training starts from random weights; transfer.checkpoint: fusion starts from the default ones"
        )
    else:
        watcher.message(f"training starts from the weights in {start}")
        for line in take_over(model, start).lines():
            watcher.message(f"  {line}")
    if transfer.freeze:
        count = freeze(model, transfer.freeze)
        watcher.message(
            f"frozen: {', '.join(transfer.freeze)}; {count} of {sum(p.numel() for p in model.parameters())}"
        )
    return model


def take_over(model: FusionModel, path: Path) -> TransferReport:
    """Copy the tensors of a checkpoint that fit into a model.

    The last layers of class and control, and the first one of the status, are matched by the names of their
    classes and channels. Of weights without `split`, each part of a cell starts as the cell; the channels of
    a narrower tower or stem become the first ones. Statistics and calibration stay.

    Raises:
        CheckpointError: It cannot be loaded.
        ConfigError: No tensor fits.
    """
    other, _ = load_checkpoint(path)
    mine, theirs = model.state_dict(), _at_stride(other, model.config)
    names = [name for name in mine if not name.startswith(_STATISTICS)]
    renamed = _renamed(model.config, other.config)
    taken, partly, different, missing = [], [], [], []
    with torch.no_grad():
        for name in names:
            tensor = theirs.get(name)
            if tensor is None:
                missing.append(name)
            elif tensor.shape == mine[name].shape and name not in renamed:
                mine[name].copy_(tensor)
                taken.append(name)
            elif _take_part(name, mine[name], tensor, model.config, other.config):
                partly.append(name)
            else:
                different.append(f"{name} {list(tensor.shape)} -> {list(mine[name].shape)}")
    if not taken:
        raise ConfigError(
            [f"transfer.checkpoint: no tensor of {path} fits the model; is it another kind of model?"]
        )
    unused = [name for name in theirs if name not in mine and not name.startswith(_STATISTICS)]
    return TransferReport(*(tuple(names) for names in (taken, partly, different, missing, unused)))


def freeze(model: FusionModel, parts: Sequence[str]) -> int:
    """Freeze parameters by name or beginning of a name; return the number of their elements.

    `train_mode` then keeps the running statistics of their batch norms, too.

    Raises:
        ConfigError: A name fits no parameter.
    """
    names = [name for name, _ in model.named_parameters()]
    available = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
    errors = [
        f"transfer.freeze: {part!r} is the beginning of no parameter's name; expected one of {available}"
        for part in parts
        if not any(belongs_to(name, part) for name in names)
    ]
    if errors:
        raise ConfigError(errors)
    count = 0
    for name, parameter in model.named_parameters():
        if any(belongs_to(name, part) for part in parts):
            parameter.requires_grad_(False)
            count += parameter.numel()
    return count


def train_mode(model: FusionModel) -> None:
    """Set training mode, except for batch norms whose parameters are frozen."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train(any(p.requires_grad for p in module.parameters(recurse=False)))


def _known_stats(path: Path, shape: ModelConfig) -> InputStats:
    """Return the statistics of a checkpoint for the channels of the same name, which its tensors rest on; of
    others the defaults. Where returns lie in the picture is in pixels of this model's input."""
    default, meta = default_stats(shape), read_metadata(path)
    old = meta.input_stats or default
    scale = {
        "u": shape.input_width / meta.config.input_width,
        "v": shape.input_height / meta.config.input_height,
    }
    known: dict[str, dict[str, ChannelStats]] = {}
    for group, names in channel_names(shape).items():
        channels = {**getattr(default, group), **getattr(old, group)}
        scales = scale if group == "returns" and meta.input_stats is not None else {}
        known[group] = {name: _scaled(channels[name], scales.get(name, 1.0)) for name in names}
    return InputStats(**known)


def _scaled(channel: ChannelStats, factor: float) -> ChannelStats:
    """Return the statistics of a channel in another unit."""
    least, most = channel.minimum, channel.maximum
    return ChannelStats(
        channel.mean * factor,
        channel.std * factor,
        None if least is None else least * factor,
        None if most is None else most * factor,
    )


def _kept_stats(path: Path, shape: ModelConfig, stats: InputStats, known: InputStats) -> InputStats:
    """Return the statistics of a checkpoint in each group with the same channels, else the measured ones.

    Args:
        path: The checkpoint.
        shape: The model that starts from it.
        stats: The measured ones.
        known: Those of the checkpoint, as `_known_stats` returns them.
    """
    old = read_metadata(path).input_stats
    if old is None:
        return stats
    names = channel_names(shape)
    kept = {g: getattr(known, g) for g in names if set(getattr(old, g)) == set(names[g])}
    return InputStats(**{g: kept.get(g, getattr(stats, g)) for g in names})


def _at_stride(other: FusionModel, shape: ModelConfig) -> Mapping[str, Tensor]:
    """Return a model's weights as one of `shape` reads them, which may have other cells of the output map."""
    tensors = dict(other.state_dict())
    if other.config.split < shape.split:
        for name in _BY_PART:
            tensors[name] = tensors[name].transpose(0, 1).expand(-1, -1, shape.split, shape.split)
    tensors[_SIDES] = tensors[_SIDES].clone()
    tensors[_SIDES][:4] += math.log(other.config.output_stride / shape.output_stride)  # sides are in cells
    return tensors


def _renamed(shape: ModelConfig, other: ModelConfig) -> frozenset[str]:
    """Return the tensors whose rows or columns are those of names that two models have not alike."""
    tensors = (*_BY_CLASS, *_BY_CONTROL, _BY_STATUS)
    return frozenset(name for name in tensors if _names_in(name, shape) != _names_in(name, other))


def _names_in(tensor: str, shape: ModelConfig) -> list[str]:
    """Return the name of each row of a tensor, or of each column of the one that reads the status."""
    if tensor in _BY_CLASS:
        return list(shape.classes)
    channels = shape.status if tensor == _BY_STATUS else shape.control
    # First the values, then whether they are known, or how sure they are.
    return [f"{part} {channel.name}" for part in ("value", "second") for channel in channels]


def _of_same_name(mine: Sequence[str], theirs: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the places of the names that both have, in each of them."""
    rows = [row for row, name in enumerate(mine) if name in theirs]
    return rows, [theirs.index(mine[row]) for row in rows]


def _take_part(name: str, mine: Tensor, theirs: Tensor, shape: ModelConfig, other: ModelConfig) -> bool:
    """Copy the classes and channels of the same name, or those of a narrower tower or stem into the first
    ones. What a stem's further channels compute starts without an effect.

    Returns:
        Whether the tensor is one of those, and what is copied fits.
    """
    if name in _renamed(shape, other):
        dim = int(name == _BY_STATUS or (name in _BY_PART and shape.split > 1))
        rows, sources = _of_same_name(*(_names_in(name, config) for config in (shape, other)))
    elif name.startswith(_OF_TOWERS):
        dim = 1 if name in _BY_PART and shape.split == 1 else 0
        rows = sources = list(range(theirs.shape[dim]))
    elif name.startswith(_OF_STEM):
        dim = int(mine.ndim > 1 and len(mine) == len(theirs))  # the layer's own channels, or those it reads
        rows = sources = list(range(theirs.shape[dim]))
    else:
        return False
    mine, theirs = mine.movedim(dim, 0), theirs.movedim(dim, 0)
    if not rows or mine.shape[1:] != theirs.shape[1:] or len(rows) > len(mine):
        return False
    mine[rows] = theirs[sources]
    if name.startswith(_OF_STEM) and dim:
        mine[len(rows) :] = 0.0
    return True
