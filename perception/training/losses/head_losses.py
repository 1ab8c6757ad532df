"""The losses of all heads, each chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from perception.models import DenseOutputs
from perception.training.losses.divergence import kl_of_truth
from perception.training.losses.likelihoods import gaussian_nll, laplace_nll
from perception.training.losses.methods import WEIGHTS, loss_table, resolve_losses
from perception.training.losses.targets import Targets
from perception.types import head_spec, load_named, truth_columns

Loss = Callable[..., Tensor]

LIKELIHOODS: Mapping[str, Loss] = {"laplace": laplace_nll, "gaussian": gaussian_nll}


class HeadLosses(nn.Module):
    """A mean over objects, or over known channels, for each head.

    Every regression learns a scale, so that outputs carry a standard deviation whatever the loss: beside a
    loss that has none (all of boxes, `l1`, `mse`) stands the likelihood of the model's family with detached
    means, which trains the scales alone. Distances are compared by their logarithms (an error of 0.01
    is 1 %), control in standard deviations of its channels, sides of boxes in parts of the box: no loss of
    what is predicted depends on its unit.

    Args:
        config: Head -> loss, as `resolve_losses` takes it.
        family: Of the model: `laplace` or `gaussian`.
        extra_heads: The heads that the model has beside the project's own. Each of their losses takes the
            output of the head's network [B, N], the truth [B, F], 0 where it is unknown, and which of it is
            known [B, F], 0 or 1; it returns [B].

    Raises:
        ConfigError: Names, options or values are wrong; all of them.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        family: str = "laplace",
        extra_heads: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.family, self.extra_heads = family, extra_heads
        self.chosen = resolve_losses(config, family, extra_heads)
        self._likelihood = LIKELIHOODS[family]
        tables = {part: loss_table(part) for part in self.chosen}
        methods = {part: tables[part][choice.name] for part, choice in self.chosen.items()}
        self.signed = frozenset(part for part, method in methods.items() if method.signed)
        """The losses that may fall below 0, as the logarithm of a likelihood does."""
        self._functions: dict[str, Loss] = {
            part: partial(
                load_named(method.function),
                **{key: v for key, v in self.chosen[part].options.items() if key not in WEIGHTS},
            )
            for part, method in methods.items()
        }

    def forward(
        self, predicted: DenseOutputs, true: Targets, total: Callable[[Tensor], Tensor] = lambda count: count
    ) -> dict[str, Tensor]:
        """Return the loss of each head; 0 for a head without truth in the batch.

        Args:
            predicted: The outputs of the heads.
            true: Their targets.
            total: Sums a count over all processes that share a batch, so that their losses add up to those of
                the whole.
        """
        objects = total(true.objects).clamp(min=1)
        measured = total(true.distance_weight.sum()).clamp(min=1)
        scored = self._functions["class"](predicted.heatmap, true.heatmap)
        box = self._box(predicted, true)
        distance = self._value(
            "distance", predicted.distance_log, predicted.distance_log_scale, true.distance_log
        )
        losses = {
            "class": (scored * true.counted).sum() / objects,
            "box": (box * true.box_weight).sum() / objects,
            "distance": (distance * true.distance_weight).sum() / measured,
            "control": self.control(
                predicted.control, predicted.control_log_scale, true.control, true.control_known, total
            ),
        }
        for raw, (head, columns) in zip(
            predicted.extra, truth_columns(self.extra_heads).items(), strict=True
        ):
            losses |= self._extra(head, raw, true.extra[:, columns], total)
        return losses

    def control(
        self,
        value: Tensor,
        log_scale: Tensor,
        target: Tensor,
        known: Tensor,
        total: Callable[[Tensor], Tensor] = lambda count: count,
    ) -> Tensor:
        """Return the loss of the control head alone. All but `total`: [B, A], as in `DenseOutputs`."""
        loss = self._value("control", value, log_scale, target)
        return (loss * known).sum() / total(known.sum()).clamp(min=1)

    def _extra(
        self, head: str, raw: Tensor, truth: Tensor, total: Callable[[Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """Return the losses of an extra head: means over the samples with any known truth."""
        known = truth.isfinite()
        counted = known.any(1).to(raw.dtype)
        samples = total(counted.sum()).clamp(min=1)
        values = truth.where(known, 0.0), known.to(raw.dtype)
        return {
            part.name: (self._functions[part.name](raw, *values) * counted).sum() / samples
            for part in head_spec(head).losses
        }

    def _box(self, predicted: DenseOutputs, true: Targets) -> Tensor:
        """Return [B, 1, h, w]: the loss of the sides, plus the likelihoods that train their scales."""
        options = self.chosen["box"].options
        where = self._functions["box"](predicted.ltrb, true.ltrb)
        sides = self._likelihood(predicted.ltrb.detach(), predicted.ltrb_log_scale, true.ltrb).mean(
            1, keepdim=True
        )
        return options["weight"] * where + options["scale_weight"] * sides

    def _value(self, part: str, value: Tensor, log_scale: Tensor, target: Tensor) -> Tensor:
        options = self.chosen[part].options
        if self.chosen[part].name == "kl":
            return kl_of_truth(self.family, value, log_scale, target, options["std"])
        loss = self._functions[part](value, log_scale, target)
        if "scale_weight" not in options:
            return loss
        return loss + options["scale_weight"] * self._likelihood(value.detach(), log_scale, target)
