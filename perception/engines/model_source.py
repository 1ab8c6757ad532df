"""Models as backends take them, with named inputs and outputs. torch is imported when a module is made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception.engines.arrays import Arrays, ArraySpec
from perception.errors import CheckpointError
from perception.files import file_sha256
from perception.models.checkpoint import Checkpoint, read_metadata, weights_in
from perception.models.config import ModelConfig
from perception.models.tensors import RETURN_CHANNELS, Inputs, predictions_type
from perception.types import head_spec

if TYPE_CHECKING:
    from torch import nn

    from perception.models.fusion_model import FusionModel


class ModelSource(Protocol):
    """A model with named inputs and outputs."""

    @property
    def inputs(self) -> Mapping[str, ArraySpec]:
        """Name -> type and shape of one row, in the order of the module's arguments."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names, in the order of what the module returns."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that `module` knows."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the file of weights; empty for a model in memory."""

    @property
    def digest(self) -> str:
        """A digest of all that decides the outputs, besides this package's code; empty: it has none, and
        what is made of the model is not kept."""

    def module(self, precision: str) -> nn.Module:
        """Return a module of its own for inference in `precision`: tensors in, a tuple of tensors out.

        Raises:
            CheckpointError: The weights cannot be loaded.
        """

    def noise(self, rows: int, seed: int) -> dict[str, NDArray[Any]]:
        """Return random inputs of plausible ranges."""


class ModuleSource:
    """Any torch module.

    Args:
        module: Takes one tensor for each input, by name, and returns a tensor, a tuple or a mapping of them,
            each with the batch as first dimension.
        example: Inputs of one or more rows; names, types and shapes are taken from them.
        outputs: Names for the tensors that are returned; of a mapping, its keys in this order.
    """

    precisions = ("fp32",)
    weights_sha256 = digest = ""

    def __init__(self, module: nn.Module, example: Arrays, outputs: tuple[str, ...]) -> None:
        self._module, self.outputs = module, outputs
        self.inputs = {name: ArraySpec(array.dtype, array.shape[1:]) for name, array in example.items()}

    def module(self, precision: str) -> nn.Module:
        from perception.engines.lowering import ByPosition

        return ByPosition(self._module, tuple(self.inputs), self.outputs)

    def noise(self, rows: int, seed: int) -> dict[str, NDArray[Any]]:
        draw, found = np.random.default_rng(seed), {}
        for name, spec in self.inputs.items():
            shape = (rows, *(size or 1 for size in spec.shape))
            values = draw.integers(0, 2, shape) if spec.dtype.kind in "iub" else draw.normal(0, 1, shape)
            found[name] = values.astype(spec.dtype)
        return found


class FusionSource:
    """The fusion model: a checkpoint, a folder with one, or a model in memory. Inputs and outputs are the
    fields of `Inputs` and `Predictions`.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """

    precisions = ("fp32", "bf16", "fp16", "int8")

    def __init__(self, source: Path | FusionModel) -> None:
        self._source = source
        self.path = weights_in(source) if isinstance(source, Path) else None
        self.meta = read_metadata(source) if isinstance(source, Path) else Checkpoint(source.config)
        self.weights_sha256 = self.meta.sha256
        self.outputs = predictions_type(self.meta.config.extra_heads)._fields

    @cached_property
    def inputs(self) -> Mapping[str, ArraySpec]:
        return input_specs(self.meta.config)

    @cached_property
    def digest(self) -> str:
        code = _code_of(self.meta.config.extra_heads)
        if code is None:
            return ""
        if isinstance(self._source, Path):
            return (
                hashlib.sha256(f"{self.meta.sha256} {code}".encode()).hexdigest()
                if code
                else self.meta.sha256
            )
        from perception.models.weights import model_to_bytes

        shape = f"{self.meta.config!r}{code}".encode()
        return hashlib.sha256(shape + model_to_bytes(self._source, {}, "the model")).hexdigest()

    def model(self) -> FusionModel:
        """Return the model in float32: that of the checkpoint, or the one in memory itself.

        Raises:
            CheckpointError: It cannot be loaded, or was replaced since its metadata were read: what is made
                of it is kept under the hash of the weights.
        """
        if not isinstance(self._source, Path):
            return self._source
        from perception.models.checkpoint import load_checkpoint

        model, now = load_checkpoint(self._source)
        if now.sha256 != self.weights_sha256:
            raise CheckpointError(
                f"{self._source}: replaced by other weights while it was opened, as a training does; open it "
                "again, or a copy of it"
            )
        return model

    def module(self, precision: str) -> nn.Module:
        from perception.engines.lowering import Flat, lowered_copy

        return Flat(lowered_copy(self.model(), precision))

    def noise(self, rows: int, seed: int) -> dict[str, NDArray[Any]]:
        return dict(random_inputs(self.meta.config, rows, seed)._asdict())


def _code_of(extra_heads: tuple[str, ...]) -> str | None:
    """Return the hashes of the files of other packages that decode a model's further heads; None: one of them
    has no file."""
    hashes = []
    for head in extra_heads:
        try:
            found = find_spec(head_spec(head).module.partition(":")[0])
        except (ImportError, ValueError):
            found = None
        if found is None or not found.has_location or not found.origin:
            return None
        hashes.append(file_sha256(Path(found.origin)))
    return " ".join(hashes)


def input_specs(config: ModelConfig) -> dict[str, ArraySpec]:
    """Return the specification of each field of `Inputs`."""
    shapes = Inputs(
        image=(3, config.input_height, config.input_width),
        returns=(config.returns, len(RETURN_CHANNELS)),
        returns_valid=(config.returns,),
        status=(config.steps, len(config.status)),
        present=(3,),
        age_s=(3,),
    )
    return {
        name: ArraySpec(np.dtype(np.uint8 if name == "image" else np.float32), shape)
        for name, shape in shapes._asdict().items()
    }


def zero_inputs(config: ModelConfig, rows: int) -> Inputs:
    """Return so many samples without any sensor."""
    return Inputs(*(spec.zeros(rows) for spec in input_specs(config).values()))


def random_inputs(config: ModelConfig, rows: int, seed: int) -> Inputs:
    """Return noise with all sensors present, for a check without a log."""
    draw, empty = np.random.default_rng(seed), zero_inputs(config, rows)
    returns = draw.normal(0.0, 3.0, empty.returns.shape).astype(np.float32)
    returns[..., 0] = draw.uniform(0, config.input_width, returns.shape[:-1])
    returns[..., 1] = draw.uniform(0, config.input_height, returns.shape[:-1])
    returns[..., -1] = 1
    return empty._replace(
        image=draw.integers(0, 256, empty.image.shape, np.uint8),
        returns=returns,
        returns_valid=np.ones_like(empty.returns_valid),
        status=draw.normal(0.0, 1.0, empty.status.shape).astype(np.float32),
        present=np.ones_like(empty.present),
    )
