"""The model compiled to machine code by torch (AOTInductor), for the CPU. Only making the code takes torch.

Needs no package besides torch, but a C++ compiler, once. On a GPU see `cuda_compile_backend`.
"""

from __future__ import annotations

import os
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np

from perception.engines.exported_backend import ExportedBackend, in_order
from perception.engines.native import NativeModel, aligned
from perception.engines.processor import usable_cores
from perception.errors import ConfigError
from perception.models.tensors import Inputs, Predictions

CODE = "model.so"
CALLS_BACK = b"aoti_torch_proxy_executor_call_function("


class CompileBackend(ExportedBackend):
    """See `ExportedBackend`. Threads compute side by side, as many as there are cores over `threads`.

    Code for one thread is a twentieth faster than code for any number, so they are two files.
    """

    name, package, makers = "compile", "torch", ()
    precisions = ("fp32", "bf16")
    _native: NativeModel | None = None

    @classmethod
    def _made_for(cls, threads: int | None) -> dict[str, str]:
        return {"threads": "1" if threads == 1 else "any"}

    def _write(self, folder: Path) -> None:
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            raise ConfigError(
                [
                    f"engine.backend: compile needs a C++ compiler, found no {compiler}; "
                    "install g++ (or set CXX), or use the backend torch, or openvino"
                ]
            )
        import torch
        from torch import _inductor as inductor

        from perception.engines.exporting import flat_program, quiet

        model = self._model()
        program = flat_program(model, 1, torch.float32 if self.precision == "fp32" else torch.bfloat16)
        settings = {
            "freezing": True,
            "cpp.threads": self.threads or usable_cores(),
            "cpp.dynamic_threads": self.threads != 1,
            "aot_inductor.precompile_headers": False,  # takes as long as they save, for one model
        }
        package = folder / "model.pt2"
        with quiet(), torch.no_grad():
            inductor.aoti_compile_and_package(program, package_path=str(package), inductor_configs=settings)
        (folder / CODE).write_bytes(_code_of(package))
        package.unlink()

    def _load(self, folder: Path) -> None:
        try:
            self._native = NativeModel(folder / CODE, self._at_once, self.threads)
        except OSError as error:  # the loader names the file
            raise ConfigError(
                [f"engine.backend: compile cannot load its code: {error}; delete {folder} to compile anew"]
            ) from None
        self._own = threading.local()

    def _unload(self) -> None:
        if self._native is not None:
            self._native.close()
        self._native, self._own = None, threading.local()

    def _answer(self, sample: Inputs) -> Predictions:
        assert self._native is not None
        if not hasattr(self._own, "buffers"):
            self._own.buffers = [aligned(array) for array in sample]
        for array, buffer in zip(sample, self._own.buffers, strict=True):
            np.copyto(buffer, array)
        return in_order(self._native.run(self._own.buffers))


def _code_of(package: Path) -> bytes:
    """The library in a package of AOTInductor.

    Raises:
        ConfigError: It calls back into torch for an operation that has no C function, which only torch's own
            loader can answer; the process would crash.
    """
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        if any(CALLS_BACK in archive.read(name) for name in names if name.endswith(".cpp")):
            raise ConfigError(
                ["engine.backend: compile has no code for an operation of this model; use torch, or openvino"]
            )
        (code,) = (name for name in names if name.endswith(".so"))
        return archive.read(code)
