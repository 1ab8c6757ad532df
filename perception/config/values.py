"""The types of values in the configuration file, and the base of its sections."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):  # YAML reads `yes` and `on` as true, and true would pass as the number 1
        raise ValueError(f"expected a number, found {str(value).lower()}")
    return value


Number = BeforeValidator(_not_a_bool)
Positive = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Number, Field(ge=0, allow_inf_nan=False)]
LOWEST_HZ, HIGHEST_HZ = 1e-4, 1e6
"""Bounds of a rate: periods from a microsecond to hours, which count in nanoseconds without rounding to 0."""
Rate = Annotated[float, Number, Field(ge=LOWEST_HZ, le=HIGHEST_HZ, allow_inf_nan=False)]
Duration = Annotated[float, Number, Field(ge=0, le=3.6e6, allow_inf_nan=False)]
"""Milliseconds, up to an hour: messages are kept that long."""
Distance = Annotated[float, Number, Field(gt=0, le=1e6, allow_inf_nan=False)]
Topic = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A section of the configuration: unknown keys are errors, values do not change."""

    # Validators are built on first use, that of `Config` with those of its sections in one go.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
