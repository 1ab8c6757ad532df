"""The scenario file (YAML) of a simulated log; everything that it leaves out is drawn from the seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from perception.config.config_file import error_line
from perception.config.safe_yaml import read_config_yaml
from perception.config.values import NonNegative, Positive, Section
from perception.errors import ConfigError

KINDS: dict[str, tuple[str, ...]] = {
    "camera": ("silent", "frozen", "dirty", "biased", "reordered"),
    "range": ("silent", "frozen", "dirty", "biased", "reordered"),
    "status": ("silent", "frozen", "biased", "reordered"),
}
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Timing(Section):
    """The times of a sensor's measurements and of the arrival of its messages."""

    rate_hz: Annotated[float, Field(gt=0, le=200)]
    latency_ms: NonNegative  # smallest delay from measurement to arrival
    jitter_ms: NonNegative  # mean of an exponentially distributed further delay
    clock_offset_ms: Finite = 0.0  # the sensor's clock minus the recorder's: shifts stamps only


USUAL: dict[str, Timing] = {
    "camera": Timing(rate_hz=10, latency_ms=45, jitter_ms=4),
    "range": Timing(rate_hz=20, latency_ms=18, jitter_ms=2),
    "status": Timing(rate_hz=100, latency_ms=3, jitter_ms=0.7),
}
"""The timing of each sensor, as far as a scenario says nothing else."""


class Timings(Section):
    """The timing of the three sensors; what is left out of one is as usual for that sensor."""

    camera: Timing = USUAL["camera"]
    range: Timing = USUAL["range"]
    status: Timing = USUAL["status"]

    @model_validator(mode="before")
    @classmethod
    def _over_usual(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        return {
            name: {**USUAL[name].model_dump(), **given}
            if name in USUAL and isinstance(given, Mapping)
            else given
            for name, given in data.items()
        }


class Failure(Section):
    """An injected fault of a sensor from `start_s` to `end_s` of the log.

    silent: no messages. frozen: the last good measurement is repeated with new stamps. dirty: mud on the
    lens, or a covered sector of the scan. biased: wrong exposure, ranges or readings; `amount` 1 is a large
    bias, and a negative one is the other way. reordered: messages overtake each other.
    """

    sensor: Literal["camera", "range", "status"]
    kind: Literal["silent", "frozen", "dirty", "biased", "reordered"]
    start_s: NonNegative
    end_s: Positive
    amount: Finite = 1.0

    @model_validator(mode="after")
    def _possible(self) -> Failure:
        if self.end_s <= self.start_s:
            raise ValueError(f"end_s {self.end_s:g} is not after start_s {self.start_s:g}")
        if self.kind not in KINDS[self.sensor]:
            raise ValueError(
                f"{self.sensor} cannot be {self.kind}; it can be {', '.join(KINDS[self.sensor])}"
            )
        if self.amount <= 0 and self.kind != "biased":
            raise ValueError(f"amount: expected more than 0 of {self.kind}, found {self.amount:g}")
        return self


class Scenario(Section):
    """The scenario of one simulated log. None: drawn from the seed."""

    version: Literal[1] = 1
    place: Literal["yard", "street"] | None = None
    time: Literal["day", "overcast", "low_sun", "dusk"] | None = None
    haze: Annotated[float, Field(ge=0, le=1)] | None = None  # 1: half of the light from 20 m away is lost
    lens_dirt: Annotated[float, Field(ge=0, le=1)] | None = None
    top_speed_m_s: Annotated[float, Field(gt=0.5, le=8)] | None = None
    density: Annotated[float, Field(ge=0, le=2)] = 1.0  # number of objects, relative to the default
    mirror: bool = False  # left and right exchanged in the whole log
    timing: Timings = Timings()
    failures: tuple[Failure, ...] = ()


def load_scenario(path: Path) -> Scenario:
    """Return the scenario in a YAML file.

    Raises:
        ConfigError: It cannot be read, or has errors: all of them, each with its path.
    """
    return parse_scenario(read_config_yaml(path), str(path))


def parse_scenario(data: object, source: str = "") -> Scenario:
    """Return the scenario in parsed YAML; None, as of an empty file, is the default scenario.

    Raises:
        ConfigError: It has errors: all of them, each with its path.
    """
    try:
        return Scenario.model_validate({} if data is None else data)
    except ValidationError as error:
        lines = [error_line(detail, Scenario).removeprefix(": ") for detail in error.errors()]
        raise ConfigError(lines, source) from None
