"""The losses of the four heads, each chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from perception.config.named_options import Choice
from perception.models import DenseOutputs
from perception.training.losses.beta_nll import beta_nll
from perception.training.losses.cross_entropy import cross_entropy
from perception.training.losses.divergence import kl_of_truth
from perception.training.losses.focal import focal
from perception.training.losses.gaussian_focal import gaussian_focal
from perception.training.losses.giou import giou_loss
from perception.training.losses.likelihoods import absolute, gaussian_nll, laplace_nll, squared
from perception.training.losses.options import resolve_losses
from perception.training.losses.sides import smooth_l1_sides, squared_sides
from perception.training.losses.targets import Targets

Loss = Callable[..., Tensor]

CLASS: Mapping[str, Loss] = {
    "gaussian_focal": gaussian_focal,
    "focal": focal,
    "cross_entropy": cross_entropy,
}
BOX: Mapping[str, Loss] = {"giou": giou_loss, "smooth_l1": smooth_l1_sides, "mse": squared_sides}
LIKELIHOODS: Mapping[str, Loss] = {"laplace": laplace_nll, "gaussian": gaussian_nll}
VALUE: Mapping[str, Loss] = {**LIKELIHOODS, "beta_nll": beta_nll, "l1": absolute, "mse": squared}


class HeadLosses(nn.Module):
    """A mean over objects, or over known channels, for each head.

    Every regression learns a scale, so that outputs carry a standard deviation whatever the loss: beside a
    loss that has none (all of boxes, `l1`, `mse`) stands the likelihood of the model's family with detached
    means, which teaches nothing but the scales. Distances are compared by their logarithms (an error of 0.01
    is 1 %), control in standard deviations of its channels, sides of boxes in parts of the box: no loss of
    what is predicted depends on its unit.

    Args:
        config: Head -> loss, as `resolve_losses` takes it.
        family: Of the model: `laplace` or `gaussian`.

    Raises:
        ConfigError: Names, options or values are wrong; all of them.
    """

    def __init__(self, config: Mapping[str, Any] | None = None, family: str = "laplace") -> None:
        super().__init__()
        self.family = family
        self.chosen = resolve_losses(config, family)
        self._likelihood = LIKELIHOODS[family]

    @property
    def signed(self) -> frozenset[str]:
        """The heads whose loss may fall below 0, as the logarithm of a likelihood does."""
        return frozenset(head for head in ("distance", "control") if self.chosen[head].name != "kl")

    def forward(
        self, said: DenseOutputs, true: Targets, total: Callable[[Tensor], Tensor] = lambda count: count
    ) -> dict[str, Tensor]:
        """The loss of each head; 0 for a head without truth in the batch.

        Args:
            said: The heads' maps.
            true: What they should be.
            total: Sums a count over all processes that share a batch, so that their losses add up to those of
                the whole.
        """
        objects = total(true.objects).clamp(min=1)
        measured = total(true.distance_weight.sum()).clamp(min=1)
        scored = _method(CLASS, self.chosen["class"])(said.heatmap, true.heatmap)
        box = self._box(said, true)
        distance = self._value("distance", said.distance_log, said.distance_log_scale, true.distance_log)
        return {
            "class": (scored * true.counted).sum() / objects,
            "box": (box * true.box_weight).sum() / objects,
            "distance": (distance * true.distance_weight).sum() / measured,
            "control": self.control(
                said.control, said.control_log_scale, true.control, true.control_known, total
            ),
        }

    def control(
        self,
        value: Tensor,
        log_scale: Tensor,
        target: Tensor,
        known: Tensor,
        total: Callable[[Tensor], Tensor] = lambda count: count,
    ) -> Tensor:
        """The loss of the control head alone. All but `total`: [B, A], as in `DenseOutputs` and `Targets`."""
        found = self._value("control", value, log_scale, target)
        return (found * known).sum() / total(known.sum()).clamp(min=1)

    def _box(self, said: DenseOutputs, true: Targets) -> Tensor:
        """[B, 1, h, w]: where the sides are, and the likelihood of each that teaches its scale."""
        chosen = self.chosen["box"]
        where = _method(BOX, chosen, "weight", "scale_weight")(said.ltrb, true.ltrb)
        sides = self._likelihood(said.ltrb.detach(), said.ltrb_log_scale, true.ltrb).mean(1, keepdim=True)
        return chosen.options["weight"] * where + chosen.options["scale_weight"] * sides

    def _value(self, head: str, value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
        chosen = self.chosen[head]
        if chosen.name == "kl":
            return kl_of_truth(self.family, value, log_scale, target, chosen.options["std"])
        found = _method(VALUE, chosen, "scale_weight")(value, log_scale, target)
        if "scale_weight" not in chosen.options:
            return found
        return found + chosen.options["scale_weight"] * self._likelihood(value.detach(), log_scale, target)


def _method(methods: Mapping[str, Loss], chosen: Choice, *ours: str) -> Loss:
    """A method with its options, but for those that are ours."""
    options = {key: value for key, value in chosen.options.items() if key not in ours}
    return partial(methods[chosen.name], **options)
