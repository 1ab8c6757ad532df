"""Programs of `torch.export` (`.pt2`) as models for every backend. torch is imported when a file is opened.

Torch's own loader unpickles, which runs code of the file. Here it loads plain tensors alone, and a program
that carries pickled objects is refused.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perception.engines.arrays import ArraySpec
from perception.errors import ConfigError
from perception.files import file_sha256

if TYPE_CHECKING:
    import torch
    from torch import nn

PROGRAM = ".pt2"
_PLAIN_TENSORS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""Torch's switch that makes every `torch.load` read plain tensors alone."""


class ProgramSource:
    """A program of `torch.export` with the batch as first dimension, as a `ModelSource`.

    Inputs have the names of the exported `forward`; outputs those of its mapping, else those of the graph.

    Raises:
        ConfigError: The file is no such program, holds pickled objects, or takes other things than tensors.
    """

    precisions = ("fp32",)

    def __init__(self, path: Path) -> None:
        self.path = path
        self._program = _load(path)
        self.weights_sha256 = self.digest = file_sha256(path)
        self.inputs = dict(self._input_specs())
        self.outputs = self._output_names()

    def module(self, precision: str) -> nn.Module:
        return _by_position(self._program, tuple(self.inputs), self.outputs)

    def noise(self, rows: int, seed: int) -> dict[str, NDArray[Any]]:
        draw = np.random.default_rng(seed)
        return {
            name: draw.uniform(0, 1, (rows, *(size or 1 for size in spec.shape))).astype(spec.dtype)
            for name, spec in self.inputs.items()
        }

    def _input_specs(self) -> Iterator[tuple[str, ArraySpec]]:
        wanted = self._program.graph_signature.user_inputs
        nodes = {node.name: node for node in self._program.graph.nodes if node.op == "placeholder"}
        for name in wanted:
            value = nodes[str(name)].meta.get("val") if str(name) in nodes else None
            if value is None or not hasattr(value, "shape") or not value.shape:
                raise ConfigError(
                    [f"{self.path}: expected tensors with a batch dimension as inputs, found {name}"]
                )
            if isinstance(value.shape[0], int) and value.shape[0] != 1:
                expected = "a batch of 1, or of any size, as the first dimension"
                raise ConfigError([f"{self.path}: expected {expected} of {name}, found {list(value.shape)}; "
                                   "export the module with one row as example"])  # fmt: skip
            import torch

            dtype = torch.empty(0, dtype=value.dtype).numpy().dtype
            sizes = tuple(size if isinstance(size, int) else None for size in value.shape[1:])
            yield str(name), ArraySpec(dtype, sizes)

    def _output_names(self) -> tuple[str, ...]:
        spec = self._program.call_spec.out_spec
        if spec is not None and spec.type is dict and all(child.is_leaf() for child in spec.children()):
            return tuple(map(str, spec.context))
        return tuple(map(str, self._program.graph_signature.user_outputs))


def _load(path: Path) -> torch.export.ExportedProgram:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError([f"{path}: expected a program of torch.export, found {error}"]) from None
    if any("custom_obj" in name for name in names):
        raise ConfigError(
            [f"{path}: holds pickled objects, which are not loaded; export the module without them"]
        )
    import torch

    try:
        with _plain_tensors():
            return torch.export.load(path)
    except Exception as error:  # of many classes: what a damaged archive raises is not documented
        text = " ".join(str(error).split())[:200]
        raise ConfigError(
            [f"{path}: torch.export cannot load it: {text}; export it again with this torch"]
        ) from None


@contextmanager
def _plain_tensors() -> Iterator[None]:
    before = os.environ.get(_PLAIN_TENSORS)
    os.environ[_PLAIN_TENSORS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PLAIN_TENSORS]
        else:
            os.environ[_PLAIN_TENSORS] = before


def _by_position(
    program: torch.export.ExportedProgram, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> nn.Module:
    """Return a program as a module of tensors by position to a tuple of tensors."""
    from torch import Tensor, nn, utils

    in_spec = program.call_spec.in_spec
    keywords: list[str] = []
    if in_spec is not None:
        keywords = list(in_spec.children()[1].context)

    class Program(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.program = program.module()

        def train(self, mode: bool = True) -> Program:
            return self  # an exported module has one mode, and refuses to be asked for another

        def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
            first = len(tensors) - len(keywords)
            named = dict(zip(keywords, tensors[first:], strict=True))
            found = self.program(*tensors[:first], **named)
            if isinstance(found, Mapping) and set(outputs) <= set(found):  # else mappings of others
                return tuple(found[name] for name in outputs)
            return tuple(utils._pytree.tree_leaves(found))

    return Program()
