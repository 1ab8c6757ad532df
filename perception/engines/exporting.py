"""The export of a model as one graph, with decode, statistics and calibration inside."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from perception.engines.model_source import ModelSource
from perception.errors import MissingExtraError


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
    """Silence exporters, which write much to logs and to stdout, where a command's JSON may be going.

    OpenVINO's converter sets up the root logger for itself, and leaves it so where it fails.
    """
    root, before = logging.root, logging.root.manager.disable
    level, handlers, filters = root.level, list(root.handlers), list(root.filters)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        root.setLevel(level)
        root.handlers[:], root.filters[:] = handlers, filters
