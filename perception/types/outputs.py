"""Outputs: detections, control and further heads of one tick, with their inputs and standard deviations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perception.types.heads import HEADS, carrier_of, head_spec
from perception.types.samples import Tick

NOT_STATED = "not_stated"
"""The plugin states no positions, or the configuration has no `base_frame`."""

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Detection:
    """One object. Boxes are `xyxy` in source pixels; stds are standard deviations in the same units.

    None is unknown: a plain 2D detector states neither distances nor deviations, and is not scored on them.

    Attributes:
        distance_m: Range along the ray, from the camera centre to the centre of the object; not the depth
            along the optical axis.
        position_m: The centre of the object (x, y, z) in `Detections.position_frame`.
        position_cov_m2: Its 3x3 covariance, row by row, m^2.
        position_unknown: Why `position_m` is None: the code of a `RigIssue`, or `not_stated`; else empty.
    """

    label: str
    score: float
    xyxy: tuple[float, float, float, float]
    box_std: tuple[float, float, float, float] | None = None
    distance_m: float | None = None
    distance_std_m: float | None = None
    visible: float = 1.0
    track_id: str = ""
    position_m: Vector | None = None
    position_cov_m2: tuple[Vector, Vector, Vector] | None = None
    position_unknown: str = NOT_STATED


@dataclass(frozen=True, slots=True)
class Detections:
    """The class and box heads at one tick, highest score first. `based_on` names the inputs used.

    `position_frame` is the frame of the positions; empty where none are stated.
    """

    valid: bool
    based_on: tuple[str, ...] = ()
    error: str = ""
    items: tuple[Detection, ...] = ()
    position_frame: str = ""


@dataclass(frozen=True, slots=True)
class ControlChannel:
    """One value, its unit and its standard deviation; None is unknown."""

    name: str
    unit: str
    value: float
    std: float | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """The values of the control head, or of another head without boxes, at one tick.

    >>> control = Control(True, ("camera",), channels=(ControlChannel("curvature", "1/m", 0.01, 0.002),))
    >>> control["curvature"].value
    0.01
    """

    valid: bool
    based_on: tuple[str, ...] = ()
    error: str = ""
    channels: tuple[ControlChannel, ...] = ()

    def __getitem__(self, name: str) -> ControlChannel:
        """Return the channel of that name.

        Raises:
            KeyError: There is none; names those there are.
        """
        for channel in self.channels:
            if channel.name == name:
                return channel
        names = ", ".join(channel.name for channel in self.channels) or "none"
        raise KeyError(f"no channel is called {name!r}; there are {names}")


Head = Detections | Control


@dataclass(frozen=True, slots=True)
class Output:
    """The answers of a plugin to one sample.

    Attributes:
        tick: The sample's.
        detections: The heads class and box; None: the plugin does not have them.
        control: The head control; None: the plugin does not have it.
        warnings: Code -> text, for the summary (`{"input_range": "range_m up to 120, trained to 30"}`).
        extra: Further heads by name (`perception.types.heads.register_head`).
        cameras: With several cameras: the detections of each by its name, those of the reference camera
            (`detections`), too. Empty: there is one camera.

    Wall-clock time never enters an output.
    """

    tick: Tick
    detections: Detections | None
    control: Control | None
    warnings: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Control] = field(default_factory=dict)
    cameras: Mapping[str, Detections] = field(default_factory=dict)

    def heads(self) -> dict[str, Head]:
        """Return the carrier of each head that the plugin has, in the order of the heads."""
        found: dict[str, Head] = {}
        for name in HEADS:
            head = getattr(self, head_spec(name).carrier)
            if head is not None:
                found[name] = head
        return found | dict(self.extra)

    def __getitem__(self, head: str) -> Head:
        """Return the carrier of a head by its name (`output["control"]`).

        Raises:
            KeyError: The plugin does not have it; names the heads there are.
        """
        heads = self.heads()
        if head not in heads:
            raise KeyError(f"this output has no head {head!r}; it has {', '.join(heads) or 'none'}")
        return heads[head]

    def validity(self) -> dict[str, bool]:
        """Return for each head that the plugin has whether it is valid; with several cameras, of each.

        Those of a camera are called `CAMERA/HEAD` then.
        """
        valid = {name: head.valid for name, head in self.heads().items()}
        if not self.cameras:
            return valid
        of_cameras = [name for name in valid if name in HEADS and carrier_of(name) == "detections"]
        each = {
            f"{camera}/{head}": found.valid for camera, found in self.cameras.items() for head in of_cameras
        }
        return each | {name: flag for name, flag in valid.items() if name not in of_cameras}


_MAY_BE_UNKNOWN = ("box_std", "distance_m", "distance_std_m")


def unknown_values(item: Detection | ControlChannel) -> tuple[str, ...]:
    """Return the names of the values that a detection or a channel leaves unknown."""
    if not isinstance(item, Detection):
        return () if item.std is not None else ("std",)
    values = item.box_std, item.distance_m, item.distance_std_m
    return tuple(name for name, value in zip(_MAY_BE_UNKNOWN, values, strict=True) if value is None)


def invalid_output(tick: Tick, heads: Sequence[str], error: str) -> Output:
    """Return the output of a tick whose plugin failed: each of the heads, invalid."""
    carriers = {head_spec(name).carrier for name in heads}
    return Output(
        tick,
        Detections(False, error=error) if "detections" in carriers else None,
        Control(False, error=error) if "control" in carriers else None,
        extra={name: Control(False, error=error) for name in heads if head_spec(name).carrier == "extra"},
    )
