"""Models as one graph that needs none of our code: decode, statistics and calibration inside."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from perception.engines.lowering import fold_batch_norms, lower_precision
from perception.engines.model_source import ModelSource
from perception.errors import MissingExtraError
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
        found = self.module(**dict(zip(self.inputs, tensors, strict=True)))
        if isinstance(found, Mapping):
            return tuple(found[name] for name in self.outputs)
        return (found,) if isinstance(found, Tensor) else tuple(found)


def lowered_copy(model: FusionModel, precision: str) -> FusionModel:
    """Return a copy for inference: batch norms folded, weights cast to the precision."""
    model = fold_batch_norms(copy.deepcopy(model).eval().requires_grad_(False))
    return model if precision == "fp32" else lower_precision(model, DTYPES[precision])


def program_of(source: ModelSource, precision: str, rows: int) -> torch.export.ExportedProgram:
    """Return the graph of a model for batches of exactly so many rows. Inputs and outputs have the same types
    whatever the precision."""
    example = tuple(torch.from_numpy(spec.zeros(rows)) for spec in source.inputs.values())
    with quiet():
        return torch.export.export(source.module(precision).eval(), example, strict=False)


def write_onnx(program: torch.export.ExportedProgram, source: ModelSource, path: Path) -> None:
    """Write the graph as one ONNX file, inputs and outputs named as those of the source.

    Raises:
        MissingExtraError: The extra `export` is not installed.
    """
    if any(find_spec(name) is None for name in ("onnx", "onnxscript")):
        raise MissingExtraError("writing ONNX", "export")
    with quiet():
        written = torch.onnx.export(
            program, dynamo=True, input_names=list(source.inputs), output_names=list(source.outputs)
        )
        assert written is not None
        written.save(path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence exporters, which write much to logs and to stdout, where a command's JSON may be going."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
