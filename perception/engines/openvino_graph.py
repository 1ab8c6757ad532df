"""Conversion of models to OpenVINO graphs, and the import of the package."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from perception.engines.model_source import ModelSource
from perception.errors import ConfigError
from perception.installation import pip_install


def convert(source: ModelSource, precision: str, path: Path) -> None:
    """Write a model as an OpenVINO graph (`.xml`, and `.bin` beside it) for one row, inputs and outputs named
    as those of the source.

    Raises:
        RuntimeError: OpenVINO has no counterpart of an operation.
    """
    from perception.engines.exporting import program_of, quiet

    openvino = openvino_package()
    program = program_of(source, precision, 1)
    shapes = [spec.zeros(1).shape for spec in source.inputs.values()]
    try:
        with quiet():
            converted = openvino.convert_model(program, input=shapes)
    except Exception as error:  # of several classes without a common base
        raise RuntimeError(
            f"OpenVINO cannot convert this model: {last_line(error)}; use the backend torch"
        ) from error
    for ports, names in ((converted.inputs, source.inputs), (converted.outputs, source.outputs)):
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    # Weights that are halved would be other weights.
    openvino.save_model(converted, path, compress_to_fp16=False)


def last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def openvino_package() -> Any:
    """The package without what reports usage to its makers, and without its converter, which takes half as
    long again to import, and which only `convert` needs; `openvino.convert_model` is there all the same, for
    whoever else is in this process."""
    # The converter and NNCF report what they do, without asking, where this package can be imported.
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # fails its import
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules or converter in sys.modules:
        return _imported()
    sys.modules[converter] = None  # type: ignore[assignment]  # fails its import, which the package allows
    try:
        openvino = _imported()
    finally:
        del sys.modules[converter]
    openvino.convert_model = lambda *args, **named: import_module(converter).convert_model(*args, **named)
    return openvino


def _imported() -> Any:
    try:
        return import_module("openvino")
    except ModuleNotFoundError:
        raise ConfigError(
            [f"engine.backend: openvino is not installed; `{pip_install('openvino')}`, or use torch"]
        ) from None
