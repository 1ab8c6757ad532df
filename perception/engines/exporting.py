"""The model as one graph that needs none of our code: decode, statistics and calibration inside."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from perception.engines.arrays import zero_inputs
from perception.engines.lowering import fold_batch_norms, lower_precision
from perception.errors import MissingExtraError
from perception.models.fusion_model import FusionModel
from perception.models.tensors import Inputs, Predictions


class Flat(nn.Module):
    """The model as a function of the fields of `Inputs`, in their order, to a tuple of `Predictions`."""

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


def flat_program(
    model: FusionModel, rows: int, dtype: torch.dtype = torch.float32
) -> torch.export.ExportedProgram:
    """The graph of a copy of the model, for batches of exactly so many samples.

    Args:
        dtype: Of what `lower_precision` lowers; inputs and outputs are the same whatever it is.
    """
    flat = Flat(fold_batch_norms(copy.deepcopy(model).eval().requires_grad_(False)))
    if dtype != torch.float32:
        lower_precision(flat.model, dtype)
    with quiet():
        return torch.export.export(flat, example(model, rows), strict=False)


def example(model: FusionModel, rows: int) -> tuple[Tensor, ...]:
    """Inputs of the model's shapes: absent samples."""
    return tuple(torch.from_numpy(array) for array in zero_inputs(model.config, rows))


def write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    """The graph as one ONNX file; inputs and outputs are named as the fields of `Inputs` and `Predictions`.

    Raises:
        MissingExtraError: The extra `export` is not installed.
    """
    if any(find_spec(name) is None for name in ("onnx", "onnxscript")):
        raise MissingExtraError("writing ONNX", "export")
    with quiet():
        written = torch.onnx.export(
            program, dynamo=True, input_names=list(Inputs._fields), output_names=list(Predictions._fields)
        )
        assert written is not None
        written.save(path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters tell much of themselves, on stdout too, where a command's JSON may be going."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
