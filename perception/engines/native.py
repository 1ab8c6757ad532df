"""Calls machine code made by AOTInductor through its C interface, without importing torch.

torch's own loader keeps Python's lock while the code computes, so that threads wait for each other (two
answered 0.95 times as fast as one); a call through `ctypes` lets it go. The interface is the one that torch
keeps stable between versions: `torch/csrc/inductor/aoti_runtime/interface.h` for the code,
`torch/csrc/inductor/aoti_torch/c/shim.h` for tensors.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint8, c_void_p
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64
"""Bytes. Compiled code may load whole vectors of its inputs, and copies those that do not begin at one."""

DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")


class Layout(NamedTuple):
    """How a tensor lies in memory."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # bytes
    size: int  # bytes that it spans


class TorchLibrary:
    """torch's library of CPU kernels, and its tensors, which are numbers (handles) here.

    Raises:
        OSError: torch is not installed, or not as expected.
    """

    def __init__(self) -> None:
        spec = find_spec("torch")
        folders = [Path(folder) / "lib" for folder in (spec and spec.submodule_search_locations) or ()]
        found = [
            f / n for f in folders for n in ("libtorch_cpu.so", "libtorch_cpu.dylib") if (f / n).exists()
        ]
        if not found:
            raise OSError("expected libtorch_cpu in torch's package, found none; use another backend")
        self._c = ctypes.CDLL(str(found[0]))
        # Compiled code names this one too, and finds it once it is loaded.
        ctypes.CDLL(str(found[0].with_name(found[0].name.replace("_cpu", ""))))
        dimensions = (c_int64, POINTER(c_int64), POINTER(c_int64), c_int64)
        kind = (c_int32, c_int32, c_int32)
        self._c.aoti_torch_create_tensor_from_blob.argtypes = [
            c_void_p,
            *dimensions,
            *kind,
            POINTER(c_void_p),
        ]
        self._c.aoti_torch_delete_tensor_object.argtypes = [c_void_p]
        for name in ("data_ptr", "dim", "dtype", "sizes", "strides"):
            getattr(self._c, f"aoti_torch_get_{name}").argtypes = [c_void_p, c_void_p]
        self._kinds = {getattr(self._c, f"aoti_torch_dtype_{n}")(): np.dtype(n) for n in DTYPES}
        self._numbers = {dtype: number for number, dtype in self._kinds.items()}
        self._cpu = self._c.aoti_torch_device_type_cpu()

    def over(self, array: NDArray[Any]) -> int:
        """A tensor over the array's memory, which must outlive it. Whoever gets it deletes it."""
        dimensions = c_int64 * array.ndim
        strides = (step // array.itemsize for step in array.strides)
        start, sizes, steps = array.ctypes.data, dimensions(*array.shape), dimensions(*strides)
        kind, made = self._numbers[array.dtype], c_void_p()
        failed = self._c.aoti_torch_create_tensor_from_blob(
            start, array.ndim, sizes, steps, 0, kind, self._cpu, 0, byref(made)
        )
        if failed or not made.value:
            raise RuntimeError(f"torch made no tensor over an array {array.dtype} {array.shape}")
        return made.value

    def delete(self, tensor: int) -> None:
        self._c.aoti_torch_delete_tensor_object(tensor)

    def layout(self, tensor: int) -> Layout:
        rank, number = c_int64(), c_int32()
        sizes, steps = POINTER(c_int64)(), POINTER(c_int64)()
        self._c.aoti_torch_get_dim(tensor, byref(rank))
        self._c.aoti_torch_get_dtype(tensor, byref(number))
        self._c.aoti_torch_get_sizes(tensor, byref(sizes))
        self._c.aoti_torch_get_strides(tensor, byref(steps))
        shape, strides = (tuple(values[: rank.value]) for values in (sizes, steps))
        dtype = self._kinds[number.value]
        last = sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
        spanned = (last + 1) * dtype.itemsize if math.prod(shape) else 0
        return Layout(dtype, shape, tuple(step * dtype.itemsize for step in strides), spanned)

    def copied(self, tensor: int, layout: Layout) -> NDArray[Any]:
        """What the tensor holds, as an array that the caller owns."""
        if not layout.size:
            return np.empty(layout.shape, layout.dtype)
        start = c_void_p()
        self._c.aoti_torch_get_data_ptr(tensor, byref(start))
        memory = memoryview((c_uint8 * layout.size).from_address(start.value or 0))
        return np.ndarray(layout.shape, layout.dtype, memory, strides=layout.strides).copy()

    @property
    def threads(self) -> int:
        """For one computation, in threads that begin to compute: what `torch.get_num_threads` says."""
        return int(self._c._ZN2at15get_num_threadsEv())  # the C interface has no word for it

    def set_threads(self, count: int) -> None:
        """For what the calling thread computes, and threads that have not computed yet."""
        self._c._ZN2at15set_num_threadsEi(count)


class NativeModel:
    """One compiled model, for any number of threads at once. `close` after use.

    Args:
        path: A shared library as AOTInductor makes it.
        at_once: How many calls compute side by side; further ones wait, without Python's lock.
        threads: For one call, set for the process as `torch.set_num_threads` does until `close`; None: left
            as it is.

    Raises:
        OSError: It cannot be loaded: no library, or made for another version of torch.
        RuntimeError: It does not start.
    """

    def __init__(self, path: Path, at_once: int, threads: int | None) -> None:
        self._torch = TorchLibrary()
        self._code = _declared(ctypes.CDLL(str(path)))
        self._threads, self._before = threads, self._torch.threads
        self._limited = threading.local()
        self._handle = c_void_p()
        self._check(
            self._code.AOTInductorModelContainerCreateWithDevice(byref(self._handle), at_once, b"cpu", None)
        )
        count = c_size_t()
        self._check(self._code.AOTInductorModelContainerGetNumOutputs(self._handle, byref(count)))
        self._count = count.value
        self._layouts: list[Layout] = []  # the same at every call

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs, as arrays that the caller owns.

        Args:
            inputs: Contiguous, of the shapes and types that the code was made for, each beginning at a
                multiple of `ALIGNMENT` (see `aligned`).

        Raises:
            RuntimeError: The code failed; what it says is in the message.
        """
        if self._threads is not None and not hasattr(self._limited, "done"):
            self._torch.set_threads(self._threads)
            self._limited.done = True
        given = (c_void_p * len(inputs))(*map(self._torch.over, inputs))  # which the call takes over
        made = (c_void_p * self._count)()
        self._check(
            self._code.AOTInductorModelContainerRun(
                self._handle, given, len(inputs), made, self._count, None, None
            )
        )
        tensors = [handle or 0 for handle in made]
        try:
            self._layouts = self._layouts or [self._torch.layout(tensor) for tensor in tensors]
            return list(map(self._torch.copied, tensors, self._layouts))
        finally:
            for tensor in tensors:
                self._torch.delete(tensor)

    def close(self) -> None:
        """Give the memory back. Nothing may be running."""
        if not self._handle:
            return
        self._code.AOTInductorModelContainerDelete(self._handle)
        self._handle = c_void_p()
        if self._threads is not None:
            self._torch.set_threads(self._before)

    def _check(self, failed: int) -> None:
        if not failed:
            return
        said = c_char_p()
        if hasattr(self._code, "AOTInductorGetLastError"):  # newer versions of torch; the others print it
            self._code.AOTInductorGetLastError(byref(said))
        raise RuntimeError((said.value or b"the compiled model failed").decode(errors="replace"))


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that begins at a multiple of `ALIGNMENT`."""
    memory = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    copied = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


def _declared(code: Any) -> Any:
    several = [POINTER(c_void_p), c_size_t]
    create, run = "AOTInductorModelContainerCreateWithDevice", "AOTInductorModelContainerRun"
    getattr(code, create).argtypes = [c_void_p, c_size_t, c_char_p, c_char_p]
    getattr(code, run).argtypes = [c_void_p, *several, *several, c_void_p, c_void_p]
    code.AOTInductorModelContainerGetNumOutputs.argtypes = [c_void_p, c_void_p]
    code.AOTInductorModelContainerDelete.argtypes = [c_void_p]
    return code
