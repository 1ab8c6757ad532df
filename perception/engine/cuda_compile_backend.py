"""The model compiled by torch (TorchInductor) for a GPU. The first time takes 10 to 60 s; the compiled code
is kept in the user's cache, and found again by what it depends on. Not measured yet: no GPU was at hand.
"""

from __future__ import annotations

import os
from typing import ClassVar

import torch
from torch._inductor import config as inductor
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from perception.engine.cache import cache_root
from perception.engine.torch_backend import TorchBackend
from perception.models.fusion_model import FusionModel


class CudaCompileBackend(TorchBackend):
    """See `TorchBackend`, which this is but for how the model is run.

    `TORCHINDUCTOR_CACHE_DIR` is set for the process if the user has not: without it the code lies in a
    temporary folder and is compiled anew after the next start of the machine.
    """

    name: ClassVar[str] = "compile"
    recording: ClassVar[bool] = False

    def _prepared(self, model: FusionModel) -> FusionModel:
        # Torch itself sets the variable, to its temporary folder, when parts of it are imported.
        if os.environ.get("TORCHINDUCTOR_CACHE_DIR") in (None, "", default_cache_dir()):
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_root() / "inductor")
        compiled: FusionModel = torch.compile(model, fullgraph=True, dynamic=False)  # type: ignore[assignment]
        return compiled

    def _warm(self) -> None:
        # Freezing is read when code is compiled, which is at the first call. The environment's variable of
        # that name would be too late: torch reads it when it is imported.
        with inductor.patch(freezing=True):
            super()._warm()
