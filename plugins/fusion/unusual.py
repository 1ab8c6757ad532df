"""Warnings about inputs unlike those the weights were trained on: answers may be worth less than they say."""

from __future__ import annotations

import numpy as np

from perception.models.config import ModelConfig
from perception.models.stats import InputStats
from perception.plugin import Context
from perception.tensors import RETURN_CHANNELS, Inputs

MARGIN = 0.25
"""Values may lie outside the trained range by this fraction of it."""

DARK_OR_BRIGHT = 2.0
"""An image may differ in mean from the trained mean by so many standard deviations of a pixel."""

_RANGE = RETURN_CHANNELS.index("range_m")


def setup_warnings(
    context: Context, config: ModelConfig, rate_hz: float | None, trained: bool
) -> dict[str, str]:
    """What is unusual about a whole run, code -> text; it is said with every output."""
    found = {}
    if not trained:
        found["untrained"] = "the model is untrained: its outputs mean nothing; give plugin.checkpoint"
    wanted = [quantity.name for quantity in config.status]
    missing = [name for name in wanted if name not in context.status]
    if missing and context.status:
        found["status_missing"] = (
            f"the model's status channels {', '.join(missing)} are not configured in sensors.status.fields; "
            "they are unknown to it"
        )
    if context.status and context.status_steps != config.steps:
        found["status_steps"] = (
            f"{context.status_steps} status steps configured, the model was made for {config.steps}"
        )
    if context.status and rate_hz is not None and context.status_rate_hz != rate_hz:
        found["status_rate"] = (
            f"status at {context.status_rate_hz:g} Hz configured, the model was trained at {rate_hz:g} Hz"
        )
    return found


def input_warnings(inputs: Inputs, stats: InputStats, config: ModelConfig) -> dict[str, str]:
    """What is unusual about one sample, code -> text."""
    camera, scan, status = (flag > 0 for flag in inputs.present)
    found: dict[str, str] = {}
    if camera:
        found |= _image(inputs, stats)
    if scan:
        found |= _range(inputs, stats)
    if status:
        found |= _status(inputs, stats, config)
    return found


def _image(inputs: Inputs, stats: InputStats) -> dict[str, str]:
    for plane, (name, trained) in zip(inputs.image, stats.image.items(), strict=True):
        mean = float(plane[::4, ::4].mean())
        if abs(mean - trained.mean) > DARK_OR_BRIGHT * trained.std:
            return {
                "input_image": f"mean {name} {mean:.0f}, trained on {trained.mean:.0f} +- {trained.std:.0f}"
            }
    return {}


def _range(inputs: Inputs, stats: InputStats) -> dict[str, str]:
    limit = stats.returns["range_m"].maximum
    farthest = float(np.max(inputs.returns[:, _RANGE] * inputs.returns_valid))
    if limit is None or farthest <= limit * (1 + MARGIN):
        return {}
    return {"input_range": f"range_m up to {farthest:.0f}, trained to {limit:.0f}"}


def _status(inputs: Inputs, stats: InputStats, config: ModelConfig) -> dict[str, str]:
    texts = []
    for column, quantity in enumerate(config.status):
        trained, values = stats.status[quantity.name], inputs.status[:, column]
        values = values[np.isfinite(values)]
        if trained.minimum is None or trained.maximum is None or not values.size:
            continue
        slack = MARGIN * (trained.maximum - trained.minimum)
        low, high = float(values.min()), float(values.max())
        if low < trained.minimum - slack or high > trained.maximum + slack:
            texts.append(
                f"{quantity.name} {low:.4g} to {high:.4g} {quantity.unit}, "
                f"trained on {trained.minimum:.4g} to {trained.maximum:.4g}"
            )
    return {"input_status": "; ".join(texts)} if texts else {}
