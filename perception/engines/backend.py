"""The interface of all backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from perception.engines.arrays import Arrays


class Backend(Protocol):
    """Runs one model, for any number of threads at once.

    `run` may be called from several threads: each thread gets buffers (or a request) of its own on its first
    call, and none waits for a lock while computing. The outputs are the same bits whichever thread computes
    them and whatever the others do. `open` and `close` are for one thread, while no other calls.

    The outputs are bit-equal for the same weights, precision, device, batch size and thread count. On the CPU
    they depend neither on the batch size nor on a row's place and neighbours in its batch; elsewhere those
    may change the last bits (float32: 1e-4 relative, and the order of equal scores).
    """

    def open(self) -> None:
        """Load, move to the device, and compute once, so that the first call is not slower than the others.

        Raises:
            CheckpointError: The weights cannot be loaded.
        """

    def run(self, inputs: Arrays | tuple[Any, ...]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name, as arrays that the caller owns.

        Args:
            inputs: The arrays by name, as a mapping or a NamedTuple: at most `batch` rows each.

        Raises:
            ValueError: The arrays do not have the model's names, shapes and types.
        """

    def close(self) -> None:
        """Release everything. The backend may be opened again."""

    def describe(self) -> Mapping[str, str]:
        """Return what computes: backend, precision, device (`cpu` or `cuda`), batch, threads, versions."""

    def device_s(self) -> float:
        """Return the seconds that a GPU has computed since `open`, all calls together; 0 where that is not
        known: on the CPU, and in eager torch, where it waits for the host between kernels."""
