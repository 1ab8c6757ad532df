"""The options of an evaluation that is asked for by arguments, as a notebook does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from perception.evaluation.evaluate_options import EvaluateOptions
from perception.evaluation.metrics import installed_metrics
from perception.evaluation.resampling import Resampling
from perception.pipeline.span import Time


def with_arguments(
    options: EvaluateOptions | None,
    plugin: str | None,
    checkpoint: str | Path | None,
    start: Time | None,
    end: Time | None,
    draws: int | None,
    ablate: bool | Literal["sensors", "each", "faults"],
    device: str | None,
) -> EvaluateOptions:
    """Return options with the arguments of `perception.evaluate`, which says what they are, in their place.

    Raises:
        ValueError: So few draws give no intervals.
    """
    base = options or EvaluateOptions(resampling=Resampling(1000))
    resampling = base.resampling
    if draws is not None:
        resampling = replace(resampling or Resampling(), draws=draws) if draws else None
    overrides = replace(
        base.overrides,
        plugin=plugin or base.overrides.plugin,
        checkpoint=base.overrides.checkpoint if checkpoint is None else Path(checkpoint),
    )
    return replace(
        base,
        overrides=overrides,
        resampling=resampling,
        guests=base.guests or installed_metrics,
        ablate="sensors" if ablate is True else ablate or base.ablate,
        replay=base.replay if device is None else replace(base.replay, device=device),
        start=base.start if start is None else start,
        end=base.end if end is None else end,
    )
