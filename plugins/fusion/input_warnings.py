"""Warnings about inputs unlike those the weights were trained on, for which outputs may be overconfident."""

from __future__ import annotations

import numpy as np

from perception.models.config import ModelConfig
from perception.models.stats import ChannelStats, InputStats
from perception.models.tensors import RETURN_CHANNELS, Inputs
from perception.plugin import Context

MARGIN = 0.25
"""Values may lie outside the trained range by this fraction of it."""

DARK_OR_BRIGHT = 2.0
"""An image may differ in mean from the trained mean by this many standard deviations of a pixel."""

_RANGE = RETURN_CHANNELS.index("range_m")


def setup_warnings(
    context: Context, config: ModelConfig, rate_hz: float | None, trained: bool
) -> dict[str, str]:
    """Return the warnings about a whole run, code -> text; they come with every output."""
    warnings = {}
    if not trained:
        warnings["untrained"] = "the model is untrained: its outputs mean nothing; give plugin.checkpoint"
    wanted = [quantity.name for quantity in config.status]
    missing = [name for name in wanted if name not in context.status]
    if missing and context.status:
        warnings["status_missing"] = (
            f"the model's status channels {', '.join(missing)} are not configured in sensors.status.fields; "
            "they are unknown to it"
        )
    if context.status and context.status_steps != config.steps:
        warnings["status_steps"] = (
            f"{context.status_steps} status steps configured, the model was made for {config.steps}"
        )
    if context.status and rate_hz is not None and context.status_rate_hz != rate_hz:
        warnings["status_rate"] = (
            f"status at {context.status_rate_hz:g} Hz configured, the model was trained at {rate_hz:g} Hz"
        )
    return warnings


class Usual:
    """The usual inputs of one checkpoint, and warnings about samples that differ."""

    def __init__(self, stats: InputStats, config: ModelConfig) -> None:
        self._image = tuple(stats.image.items())
        self._trained_m = stats.returns["range_m"].maximum
        self._status = [(quantity, stats.status[quantity.name]) for quantity in config.status]
        limits = np.array([_limits(trained) for _, trained in self._status]).reshape(-1, 2)
        self._lowest, self._highest = limits.T

    def warnings(self, inputs: Inputs) -> dict[str, str]:
        """Return the warnings about one sample, code -> text."""
        camera, scan, status = (inputs.present > 0).tolist()
        found: dict[str, str] = {}
        if camera:
            found |= self._of_image(inputs)
        if scan:
            found |= self._of_range(inputs)
        if status:
            found |= self._of_status(inputs)
        return found

    def _of_image(self, inputs: Inputs) -> dict[str, str]:
        means = inputs.image[:, ::8, ::8].mean((1, 2)).tolist()
        for mean, (name, trained) in zip(means, self._image, strict=True):
            if abs(mean - trained.mean) > DARK_OR_BRIGHT * trained.std:
                text = f"mean {name} {mean:.0f}, trained on {trained.mean:.0f} +- {trained.std:.0f}"
                return {"input_image": text}
        return {}

    def _of_range(self, inputs: Inputs) -> dict[str, str]:
        limit = self._trained_m
        farthest = float((inputs.returns[:, _RANGE] * inputs.returns_valid).max())
        if limit is None or farthest <= limit * (1 + MARGIN):
            return {}
        return {"input_range": f"range_m up to {farthest:.0f}, trained to {limit:.0f}"}

    def _of_status(self, inputs: Inputs) -> dict[str, str]:
        values = inputs.status
        outside = ((values < self._lowest) | (values > self._highest)) & np.isfinite(values)
        if not outside.any():
            return {}
        texts = []
        for column in np.flatnonzero(outside.any(0)):
            (quantity, trained), known = self._status[column], values[:, column]
            known = known[np.isfinite(known)]
            texts.append(
                f"{quantity.name} {known.min():.4g} to {known.max():.4g} {quantity.unit}, "
                f"trained on {trained.minimum:.4g} to {trained.maximum:.4g}"
            )
        return {"input_status": "; ".join(texts)}


def _limits(trained: ChannelStats) -> tuple[float, float]:
    """Return the least and greatest usual value; infinite where it was not measured."""
    if trained.minimum is None or trained.maximum is None:
        return -np.inf, np.inf
    slack = MARGIN * (trained.maximum - trained.minimum)
    return trained.minimum - slack, trained.maximum + slack
