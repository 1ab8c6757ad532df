"""The status branch: a window of vehicle status to one feature."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception.models.camera_encoder import Pyramid
from perception.models.config import ModelConfig
from perception.models.layers import as_weight


class StatusEncoder(nn.Module):
    """A gated recurrent unit (Cho et al. 2014), unrolled by hand: `nn.GRU` breaks full-graph compilation.

    No weights are published for it: `pretrained` changes nothing.
    """

    reads = ("status", "known")
    maps = (False, False, False, False)

    def __init__(self, config: ModelConfig, pretrained: bool = False) -> None:
        super().__init__()
        self.width = config.status_width
        self.widths = (self.width,) * 4
        self.from_input = nn.Linear(2 * len(config.status), 3 * self.width)
        self.from_memory = nn.Linear(self.width, 3 * self.width)

    def forward(self, values: Tensor, known: Tensor) -> Pyramid:
        """Encode a window of status.

        Args:
            values: [B, T, S] normalised, oldest first.
            known: [B, T, S], 0 or 1.

        Returns:
            [B, D, 1, 1], the same at every level.
        """
        inputs = self.from_input(as_weight(torch.cat([values, known], -1), self.from_input))
        memory = torch.zeros_like(inputs[:, 0, : self.width])
        for step in inputs.unbind(1):
            memory = self._step(step, memory)
        return Pyramid(*[memory[..., None, None]] * 4)

    def _step(self, step: Tensor, memory: Tensor) -> Tensor:
        reset_in, update_in, candidate_in = step.chunk(3, -1)
        reset_by, update_by, candidate_by = self.from_memory(memory).chunk(3, -1)
        reset, update = (reset_in + reset_by).sigmoid(), (update_in + update_by).sigmoid()
        candidate = (candidate_in + reset * candidate_by).tanh()
        after: Tensor = candidate + update * (memory - candidate)
        return after
