"""The model compiled by torch (TorchInductor) for a GPU, and recorded as a CUDA graph. The first time takes
10 to 60 s; the compiled code is kept in the user's cache, and found again by what it depends on.
"""

from __future__ import annotations

import os
from typing import ClassVar

import torch
from torch._dynamo import config as dynamo
from torch._inductor import config as inductor
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from perception.engines.cache import cache_root
from perception.engines.graph_backend import GraphBackend
from perception.models.fusion_model import FusionModel

MOST_COMPILED = 1 << 20
"""In one process. What was compiled stays in memory with its weights when the backend is closed."""


class CudaCompileBackend(GraphBackend):
    """See `GraphBackend`, which this is but for the kernels.

    `TORCHINDUCTOR_CACHE_DIR` is set for the process if the user has not: without it the code lies in a
    temporary folder and is compiled anew after the next start of the machine.
    """

    name: ClassVar[str] = "compile"

    def _prepared(self, model: FusionModel) -> FusionModel:
        # Torch itself sets the variable, to its temporary folder, when parts of it are imported.
        if os.environ.get("TORCHINDUCTOR_CACHE_DIR") in (None, "", default_cache_dir()):
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_root() / "inductor")
        # Freezing is read when code is compiled, which is at the first call. The environment's variable of
        # that name would be too late: torch reads it when it is imported. Kernels that are chosen by timing
        # would be other ones in the next process.
        settings = {"freezing": True}
        if hasattr(inductor, "deterministic"):
            settings["deterministic"] = True
        # Dynamo counts what it compiled for models that are closed, and gives up at eight.
        limits = {"recompile_limit": MOST_COMPILED, "accumulated_recompile_limit": MOST_COMPILED}
        with inductor.patch(settings), dynamo.patch(limits):
            compiled: FusionModel = torch.compile(model, fullgraph=True, dynamic=False)  # type: ignore[assignment]
            return super()._prepared(compiled)
