"""The base of the backends that run a file without torch: one made of a model and kept, or any other.

A file made here holds one row, and those of a batch are computed one after the other, as `torch_backend`
does and for the same reasons: a larger graph gains next to nothing on a CPU, and one by one the outputs are
the same bits whatever the batch, the place in it and the neighbours.
"""

from __future__ import annotations

import logging
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.caches import UntrustedFolderError
from perception.engines.arrays import Arrays, ArraySpec, by_name, count_rows, joined, parts_of
from perception.engines.export_cache import ensure, export_folder
from perception.engines.model_source import FusionSource, ModelSource
from perception.engines.processor import processor, usable_cores
from perception.errors import ConfigError
from perception.files import file_sha256

MOST_AT_ONCE = 8
"""Rows computed side by side: as many as there are workers by default. Each has memory of its own."""


class Port(NamedTuple):
    """One input as a file declares it; None in the shape: any size."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


class GraphFileBackend(ABC):
    """See `perception.engines.Backend` for the contract and `open_backend` for the arguments.

    A subclass writes the file of a model, loads a file, and computes one call of the graph.
    """

    name: ClassVar[str]
    package: ClassVar[str]  # that runs the file
    makers: ClassVar[tuple[str, ...]]  # packages besides torch whose versions the file depends on
    graph: ClassVar[str]  # the name of the file in its folder

    def __init__(
        self,
        source: Path | ModelSource,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        batch: int = 1,
        threads: int | None = None,
    ) -> None:
        self.source, self.precision = source, precision
        self.batch, self.threads = batch, threads
        self.sha256 = ""
        self._specs: Mapping[str, ArraySpec] | None = None
        self.inputs: list[Port] = []
        self._outputs: tuple[str, ...] = ()
        self._rows = 1

    def open(self) -> None:
        self.load()
        self._specs, self._outputs, self._rows = self._signature()
        if all(spec.fixed for spec in self._specs.values()):
            self.run({name: spec.zeros(1) for name, spec in self._specs.items()})

    def load(self) -> None:
        """Load the file for `call` alone, which asks for no batch dimension."""
        self.close()
        if isinstance(self.source, Path):
            self.sha256 = _file_sha256(self.source)
            self._load(self.source)
        else:
            self.sha256 = self.source.weights_sha256
            with self._made(self.source) as folder:
                self._load(folder / self.graph)
        self.inputs, self._outputs = self._ports()

    def run(self, inputs: Arrays | tuple[Any, ...]) -> dict[str, NDArray[Any]]:
        if self._specs is None:
            raise ValueError("the backend is not open")
        named = by_name(inputs)
        count = count_rows(named, self._specs, self.batch)
        parts = [self._part(part) for part in parts_of(named, tuple(self._specs), self._rows)]
        if count > 1 or self._rows > 1:
            self._check_rows(parts, count)
        return joined(self._outputs, parts)

    def call(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs of one call of the graph by name. The arrays are as the file declares them,
        with whatever dimensions; an output without a name is `output0` and so on. Thread-safe, as `run`."""
        arrays = self._compute([inputs[port.name] for port in self.inputs])
        names = [name or f"output{place}" for place, name in enumerate(self._outputs)]
        return dict(zip(names, arrays, strict=True))

    def metadata(self) -> Mapping[str, str]:
        """Return the texts that the loaded file carries beside its graph, by key."""
        return {}

    def close(self) -> None:
        self._specs = None
        self._unload()

    def describe(self) -> Mapping[str, str]:
        return {
            "backend": self.name,
            "precision": self.precision,
            "device": "cpu",
            "processor": processor().name,
            "batch": str(self.batch),
            "threads": str(self.threads or "default"),
            self.package: version(self.package),
            "weights_sha256": self.sha256,
        }

    def device_s(self) -> float:
        return 0.0

    @property
    def _at_once(self) -> int:
        """How many rows are computed side by side: the cores over the threads for one."""
        cores = usable_cores()
        return max(1, min(cores // (self.threads or cores), MOST_AT_ONCE))

    @contextmanager
    def _made(self, source: ModelSource) -> Iterator[Path]:
        """Yield a folder with the file of a model: that of the cache, made where it lacks it; a temporary one
        where the model has no digest or the cache cannot be written."""
        with ExitStack() as stack:
            if source.digest:
                folder, key = export_folder(self.name, source.digest, self._variant(source), self.makers)
                try:
                    ensure(folder, key, lambda path: self._fill(source, path))
                except OSError as error:  # also one that others could have written to
                    at = error.filename if isinstance(error, UntrustedFolderError) else folder.parent
                    text = (
                        f"the cache {at} is not used, the model is converted anew each time: {error.strerror}"
                    )
                    if not isinstance(error, UntrustedFolderError):
                        text += "; set XDG_CACHE_HOME to a folder that this user can write to"
                    logging.getLogger(__name__).warning(text)
                else:
                    yield folder
                    return
            temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            self._fill(source, temporary)
            yield temporary

    def _variant(self, source: ModelSource) -> str:
        """Return the variant of a model by which its files in the cache differ: the precision."""
        return self.precision

    def _fill(self, source: ModelSource, folder: Path) -> None:
        """Write the file, and all that makes loading it faster, into an empty folder."""
        if isinstance(source, FusionSource) and source.path is not None:
            text = (
                f"{source.path}: converting it for {self.name}, which is done once and takes up to a minute"
            )
            logging.getLogger(__name__).warning(text)
        self._write(source, folder)

    def _part(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs for at most as many rows as the graph computes, padded with zeros."""
        missing = self._rows - len(arrays[0])
        if not missing:
            return self._compute(arrays)
        padded = [np.concatenate([a, np.zeros((missing, *a.shape[1:]), a.dtype)]) for a in arrays]
        outputs = self._compute(padded)
        if any(np.shape(output)[:1] != (self._rows,) for output in outputs):
            self._check_rows([outputs], self._rows)
        return [output[:-missing] for output in outputs]

    def _check_rows(self, parts: Sequence[Sequence[NDArray[Any]]], count: int) -> None:
        """Raise ValueError if an output does not have one row for each row of the inputs."""
        for number, name in enumerate(self._outputs):
            rows = sum(len(part[number]) if np.ndim(part[number]) else 0 for part in parts)
            if rows != count:
                raise ValueError(
                    f"output {name}: expected {count} rows for {count} rows of inputs, found {rows}; "
                    "run this model at batch 1"
                )

    def _signature(self) -> tuple[dict[str, ArraySpec], tuple[str, ...], int]:
        """Return the inputs of the loaded graph, its outputs, and how many rows it computes at once.

        Raises:
            ConfigError: The inputs have no names, or not the batch as first dimension.
        """
        inputs, outputs = self.inputs, self._outputs
        sizes = {port.shape[0] if port.shape else 0 for port in inputs} - {None}
        if not inputs or not all((*outputs, *(port.name for port in inputs))):
            raise ConfigError(
                [f"{self.source}: expected a name for each input and output, found some without"]
            )
        if len(sizes) > 1 or 0 in sizes:
            found = ", ".join(f"{port.name} {port.shape}" for port in inputs)
            raise ConfigError([f"{self.source}: expected the batch as first dimension, found {found}"])
        specs = {port.name: ArraySpec(port.dtype, port.shape[1:]) for port in inputs}
        return specs, outputs, next((size for size in sizes if size), 1)

    @abstractmethod
    def _write(self, source: ModelSource, folder: Path) -> None:
        """Make the file of a model, for one row."""

    @abstractmethod
    def _load(self, path: Path) -> None:
        """Load a file."""

    @abstractmethod
    def _unload(self) -> None:
        """Release it."""

    @abstractmethod
    def _ports(self) -> tuple[list[Port], tuple[str, ...]]:
        """Return the inputs and the names of the outputs of the loaded file, in its order."""

    @abstractmethod
    def _compute(self, arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs of one call of the graph, as arrays that nothing else writes to."""


def cannot_load(path: Path, package: str, text: str) -> ConfigError:
    """Return the error for a file that a runtime does not load, with what to do.

    Args:
        path: The file.
        package: The name of the runtime, for people.
        text: What it said.
    """
    cure = "export it again, with standard operators of ONNX alone (not those of TensorRT or another runtime)"
    if path.suffix == ".xml":
        cure = "the .bin of the same export has to lie beside it"
    elif "external" in text.lower():
        cure = "copy the file with its weights (*.data) beside it, or export it as one file"
    return ConfigError([f"{path}: {package} cannot load it: {text.strip(' -')}; {cure}"])


def _file_sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}; give a model file"]) from None
