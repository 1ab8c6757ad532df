"""Private adapters: a few layers of a head's own between the shared maps and the head.

The shared maps suit no single head best. A residual adapter (Rebuffi et al. 2017, "Learning multiple
visual domains with residual adapters") adapts the shared map to one head at little cost; the rest
stays shared. It is a bottleneck (Houlsby et al. 2019) whose last layer starts at 0: at first the
outputs equal those without adapters, also with the weights of a checkpoint that has none.
"""

from __future__ import annotations

from torch import Tensor, nn

from perception.models.layers import as_weight


class Adapter(nn.Module):
    """[B, D, h, w] to the same: the input plus a learned change of each cell.

    Args:
        width: D; half of it is the width of the bottleneck.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(width, width // 2, 1)
        self.up = nn.Conv2d(width // 2, width, 1)
        nn.init.kaiming_normal_(self.down.weight, nonlinearity="relu")
        nn.init.zeros_(self.up.weight)
        for layer in (self.down, self.up):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.up(self.down(as_weight(x, self.down)).relu_())
        return x + change
