"""What goes out: detections and control of one tick, each with what it rests on and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from perception.types.messages import Tick

HEADS = ("class", "box", "control")
"""Names of the heads. Class and box are carried together by `Detections`."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One object. Boxes are `xyxy` in source pixels; stds are standard deviations in the same units."""

    label: str
    score: float
    xyxy: tuple[float, float, float, float]
    box_std: tuple[float, float, float, float]
    distance_m: float
    distance_std_m: float
    visible: float = 1.0
    track_id: str = ""


@dataclass(frozen=True, slots=True)
class Detections:
    """The class and box heads at one tick, highest score first. `based_on` names the inputs used."""

    valid: bool
    based_on: tuple[str, ...] = ()
    error: str = ""
    items: tuple[Detection, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlChannel:
    """One control value, its unit and its standard deviation."""

    name: str
    unit: str
    value: float
    std: float


@dataclass(frozen=True, slots=True)
class Control:
    """The control head at one tick."""

    valid: bool
    based_on: tuple[str, ...] = ()
    error: str = ""
    channels: tuple[ControlChannel, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """What a plugin says of one sample.

    A head the plugin does not have is None. `warnings` are codes with a text, for the summary
    (`{"input_range": "range_m up to 120, trained to 30"}`). Wall-clock time never enters an output.
    """

    tick: Tick
    detections: Detections | None
    control: Control | None
    warnings: Mapping[str, str] = field(default_factory=dict)

    def validity(self) -> dict[str, bool]:
        """Whether each head that the plugin has is valid."""
        found: dict[str, bool] = {}
        if self.detections is not None:
            found["class"] = found["box"] = self.detections.valid
        if self.control is not None:
            found["control"] = self.control.valid
        return found


def invalid_output(tick: Tick, heads: tuple[str, ...], error: str) -> Output:
    """The output of a tick whose plugin failed."""
    return Output(
        tick,
        Detections(False, error=error) if {"class", "box"} & set(heads) else None,
        Control(False, error=error) if "control" in heads else None,
    )
