"""Opens a backend by name, and resolves `auto`: see `perception.types.backends` for the table. No torch.

On a CPU `auto` is OpenVINO for a file: it is the fastest, and what it makes of a checkpoint is kept in the
user's cache. A model in memory may change at any time, so that converting it (some 20 s) is not worth it:
there `auto` is torch. On a GPU `auto` is the CUDA graph. Precision `auto` is bfloat16 where the hardware has
units for it; without them it would only be slower.
"""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from perception.engines.fusion_backend import FusionBackend
from perception.engines.gpu import compute_capability
from perception.engines.model_source import FusionSource, ModelSource
from perception.engines.processor import processor
from perception.engines.program_file import PROGRAM, ProgramSource
from perception.errors import ConfigError
from perception.types.backends import BACKENDS, PRECISIONS

if TYPE_CHECKING:
    from perception.engines.backend import Backend
    from perception.models.fusion_model import FusionModel

FILES = tuple(sorted({PROGRAM, *(suffix for spec in BACKENDS.values() for suffix in spec.files)}))
"""Suffixes of model files that are run as they are. Any other file is a checkpoint."""


def open_backend(
    name: str,
    source: Path | FusionModel | ModelSource,
    *,
    device: str = "cpu",
    precision: str = "auto",
    batch: int = 1,
    threads: int | None = None,
) -> Backend:
    """Return an open backend.

    Args:
        name: `auto`, or one of `perception.types.backends.BACKENDS`.
        source: A checkpoint, an ONNX file (`.onnx`) or an OpenVINO graph (`.xml`) with named inputs, a
            program of `torch.export` (`.pt2`), a fusion model, or any other model as a `ModelSource`.
        device: `cpu` or `cuda`.
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`.
        batch: The most rows of one call. On a GPU every call computes so many, padded with zeros.
        threads: For computing one row; process-wide for torch. None: the library's default.

    Raises:
        ValueError: A name is not known.
        ConfigError: The backend does not have this precision or device, or cannot run this source.
        MissingExtraError: The backend needs a package that is not installed.
        CheckpointError: The weights cannot be loaded.
    """
    if name != "auto" and name not in BACKENDS:
        raise ValueError(f"expected a backend of auto, {', '.join(BACKENDS)}; found {name!r}")
    if precision != "auto" and precision not in PRECISIONS:
        raise ValueError(f"expected a precision of auto, {', '.join(PRECISIONS)}; found {precision!r}")
    model = _model_of(source)
    chosen, precision = resolve(name, precision, device, model)
    _check(chosen, precision, device, model)

    def opened(backend_name: str) -> Backend:
        make = backend_class(backend_name, device)
        backend: Backend = make(model, device=device, precision=precision, batch=batch, threads=threads)
        backend.open()
        return backend

    try:
        return opened(chosen)
    except RuntimeError as error:  # a driver or a model that cannot be recorded or converted
        if name != "auto" or isinstance(model, Path):
            raise
        text = str(error).removesuffix("; use the backend torch")
        logging.getLogger(__name__).warning(f"{chosen} is not used, torch computes in its place: {text}")
    return opened("torch")  # after the exception and the memory it holds are released


def open_fusion_backend(
    name: str,
    source: Path | FusionModel,
    *,
    device: str = "cpu",
    precision: str = "auto",
    batch: int = 1,
    threads: int | None = None,
) -> FusionBackend:
    """Return an open backend that takes `Inputs` and returns `Predictions`. Arguments and errors are those of
    `open_backend`."""
    return FusionBackend(
        open_backend(
            name, FusionSource(source), device=device, precision=precision, batch=batch, threads=threads
        )
    )


def backend_class(name: str, device: str) -> Any:
    """Import the class of a backend for a device."""
    module, kind = BACKENDS[name].implementations[device].path.split(":")
    return getattr(import_module(f"perception.engines.{module}"), kind)


def resolve_file(name: str, precision: str, path: Path) -> tuple[str, str, Path | ModelSource]:
    """Return the backend and the precision for a model file on the CPU, neither of them `auto`, and the file
    as that backend takes it.

    Raises:
        ConfigError: The backend does not run it, or not in this precision.
    """
    source = _model_of(path)
    chosen, precision = resolve(name, precision, "cpu", source)
    _check(chosen, precision, "cpu", source)
    return chosen, precision, source


def resolve(name: str, precision: str, device: str, source: Path | ModelSource) -> tuple[str, str]:
    """Return a backend and a precision, neither of them `auto`."""
    if name == "auto":
        in_memory = not isinstance(source, Path) and not source.weights_sha256
        name = "graph" if device == "cuda" else "torch" if in_memory else "openvino"
    if precision != "auto":
        return name, precision
    known: tuple[str, ...] = ("fp32",) if isinstance(source, Path) else source.precisions
    if device in BACKENDS[name].implementations:
        known = tuple(p for p in BACKENDS[name].implementations[device].precisions if p in known)
    if "bf16" not in known:
        return name, "fp32"
    has_units = compute_capability() >= 8 if device == "cuda" else processor().bf16
    return name, "bf16" if has_units else "fp32"


def _model_of(source: Path | FusionModel | ModelSource) -> Path | ModelSource:
    """Return the file that is run as it is, or the source of the model."""
    if isinstance(source, Path):
        if source.suffix == PROGRAM:
            return ProgramSource(source)
        return source if source.suffix in FILES else FusionSource(source)
    if hasattr(source, "weights_sha256"):  # not `isinstance`, which would compute the properties
        return cast("ModelSource", source)
    return FusionSource(cast("FusionModel", source))


def _check(name: str, precision: str, device: str, source: Path | ModelSource) -> None:
    """Raise ConfigError if the backend computes neither there nor so, or cannot run the source."""
    spec = BACKENDS[name]
    here = [other for other, its in BACKENDS.items() if device in its.implementations]
    if device not in spec.implementations:
        where = "needs a CUDA device" if "cuda" in spec.implementations else "computes on the cpu"
        use = f"; use {' or '.join(here)}" if here else ""
        raise ConfigError([f"engine.backend: {name} {where}, found the device {device}{use}"])
    known = spec.implementations[device].precisions
    if precision == "fp16" and device == "cpu":
        raise ConfigError(
            [f"engine.precision: fp16 needs a CUDA device; on the cpu use {' or '.join(reversed(known))}"]
        )
    if not isinstance(source, Path):
        known = tuple(each for each in known if each in source.precisions)
    else:
        known = tuple(each for each in known if each != "int8")  # a file has its numbers in it
    if isinstance(source, Path) and source.suffix not in spec.files:
        able = [other for other, its in BACKENDS.items() if source.suffix in its.files]
        raise ConfigError([f"engine.backend: {name} does not run {source}; use {' or '.join(able)}"])
    if precision not in known:
        raise ConfigError(
            [f"engine.precision: backend {name} computes in {' or '.join(known)}, found {precision}"]
        )
