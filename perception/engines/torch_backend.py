"""Models in eager torch on the CPU, in float32 or bfloat16: the reference. On a GPU see `cuda_backend`.

The rows of a batch are computed one after the other. A larger batch gains next to nothing (10 % measured)
and torch rounds a value differently by where it stands in a batch; one by one, the outputs are the same bits
whatever the batch, the place in it and the neighbours.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.engines.arrays import Arrays, by_name, count_rows, joined, parts_of
from perception.engines.model_source import ModelSource

T = TypeVar("T")


class ModuleBackend(ABC):
    """The base of backends that compute with a torch module. See `perception.engines.Backend` for the
    contract and `open_backend` for the arguments."""

    name: ClassVar[str]

    def __init__(
        self,
        source: ModelSource,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        batch: int = 1,
        threads: int | None = None,
    ) -> None:
        self.source, self.device, self.precision = source, torch.device(device), precision
        self.batch, self.threads = batch, threads
        self._module: nn.Module | None = None
        self._threads_before: int | None = None

    def open(self) -> None:
        self.close()
        module = self.source.module(self.precision)
        if self.threads is not None:
            self._threads_before = torch.get_num_threads()
            torch.set_num_threads(self.threads)
        self._module = self._placed(module)
        self._prepare(self._module)
        self.run({name: spec.zeros(1) for name, spec in self.source.inputs.items()})  # the first call is slow

    def close(self) -> None:
        self._module = None
        if self._threads_before is not None:
            torch.set_num_threads(self._threads_before)
            self._threads_before = None

    def describe(self) -> Mapping[str, str]:
        return {
            "backend": self.name,
            "precision": self.precision,
            "device": self.device.type,
            "batch": str(self.batch),
            "threads": str(self.threads or torch.get_num_threads()),
            "torch": torch.__version__,
            "weights_sha256": self.source.weights_sha256,
        }

    def device_s(self) -> float:
        return 0.0

    @abstractmethod
    def run(self, inputs: Arrays | tuple[Any, ...]) -> dict[str, NDArray[Any]]: ...

    @abstractmethod
    def _prepare(self, module: nn.Module) -> None:
        """Set up what calls need around the module."""

    def _placed(self, module: nn.Module) -> nn.Module:
        """Return the module on its device, in the memory format that is fastest there."""
        return module.to(memory_format=torch.channels_last)

    def _count(self, inputs: Arrays) -> int:
        """Return the number of rows; ValueError if the arrays do not fit or the backend is not open."""
        if self._module is None:
            raise ValueError("the backend is not open")
        return count_rows(inputs, self.source.inputs, self.batch)


class TorchBackend(ModuleBackend):
    """Eager torch on the CPU."""

    name = "torch"

    def run(self, inputs: Arrays | tuple[Any, ...]) -> dict[str, NDArray[Any]]:
        def compute(module: nn.Module, tensors: tuple[Tensor, ...]) -> list[NDArray[Any]]:
            return [tensor.numpy() for tensor in module(*tensors)]

        return joined(self.source.outputs, list(self.rows(by_name(inputs), compute)))

    def rows(self, inputs: Arrays, compute: Callable[[nn.Module, tuple[Tensor, ...]], T]) -> Iterator[T]:
        """Yield what `compute(module, tensors)` returns for each row, in inference mode. The tensors are the
        calling thread's and are overwritten for the next row.

        Raises:
            ValueError: As from `run`.
        """
        self._count(inputs)
        assert self._module is not None
        for part in parts_of(inputs, tuple(self.source.inputs), 1):
            with torch.inference_mode():
                found = compute(self._module, self._loaded(part))
            yield found

    def _prepare(self, module: nn.Module) -> None:
        self._own = threading.local()

    def _loaded(self, arrays: list[NDArray[Any]]) -> tuple[Tensor, ...]:
        """Return the arrays in the calling thread's own memory."""
        if not hasattr(self._own, "buffers"):
            self._own.buffers = tuple(torch.from_numpy(np.zeros(a.shape, a.dtype)) for a in arrays)
        buffers: tuple[Tensor, ...] = self._own.buffers
        for array, buffer in zip(arrays, buffers, strict=True):
            buffer.numpy()[:] = array
        return buffers
