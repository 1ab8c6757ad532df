"""The sensors of the configuration: named sections, one class for each kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from perception.config.values import Distance, Duration, Number, Rate, Section, Topic
from perception.types import SENSORS
from perception.types.stamp_rule import StampRule

MAX_SENSORS = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
RESERVED_NAMES = frozenset({"all", "control", "inputs", "timing", "metrics"})
"""Words that a fault (`all.loss`) or a topic of the outputs has."""


class StampConfig(Section):
    """How the stamps of a sensor are read, where its messages leave it open."""

    field: str | None = None
    """The dotted path of the time in the message; null: `header.stamp`, `timestamp` and the like."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """The unit of a time that is a bare number; null: what brings it near the arrival."""
    source: Literal["message", "arrival"] | None = None
    """`arrival`: the time of arrival stands in, whatever the messages say. `message`: their own stamps hold,
    also where many messages share one, or where they are of another clock than those of other sensors. null:
    arrival in these cases, else the messages' own."""

    @model_validator(mode="after")
    def _something(self) -> StampConfig:
        if self.field is None and self.unit is None and self.source is None:
            raise ValueError("expected field, unit or source")
        if self.source == "arrival" and (self.field, self.unit) != (None, None):
            raise ValueError(
                "expected either `source: arrival`, or the field and unit of the message's own time"
            )
        return self

    def rule(self) -> StampRule:
        """Return it as decoding takes it."""
        return StampRule(self.field, self.unit, self.source == "arrival")


class CameraConfig(Section):
    """A camera, and the topics of its intrinsics and of the transforms of the rig."""

    kind: Literal["camera"] = Field("camera", exclude=True)
    """The kind of the sensor; needed where its name is not `camera`."""
    topic: Topic
    """The topic of the images."""
    calibration: Topic | None = None
    """The topic of the camera info. Without it, returns and cuboids cannot be placed in the image."""
    transforms: tuple[Topic, ...] = ()
    """The topics of the transforms between the frames of the rig; those of all cameras are one tree."""
    rectified: bool | None = None
    """Whether the images are rectified: then P of the camera info projects, else K with its distortion.
    null: by the name of the topic (`image_rect`, `rectified`, `undistorted`)."""
    calibration_frame: str | None = None
    """The frame of a camera info that holds although the images name another one.
    null: a camera info of another frame than the images' places nothing."""
    policy: Literal["latest", "nearest"] = "latest"
    """How an image is selected when the camera is not the reference."""
    tolerance_ms: Duration = 60.0
    """With `nearest`: the largest difference between the stamps of image and tick."""
    max_age_ms: Duration = 200.0
    """An older image is absent."""
    stamp: StampConfig | None = None
    """How the stamps of its messages are read; null: they are found, and taken where their unit is clear."""


class RangeConfig(Section):
    """A range sensor: a planar scan, a point cloud, ranges, radar tracks or a depth image."""

    kind: Literal["range"] = Field("range", exclude=True)
    """The kind of the sensor; needed where its name is not `range`."""
    topic: Topic
    """The topic of the scans, point clouds or depth images."""
    policy: Literal["latest", "nearest"] = "nearest"
    """How a scan is selected when the range sensor is not the reference."""
    tolerance_ms: Duration = 60.0
    """With `nearest`: the largest difference between the stamps of scan and tick."""
    max_age_ms: Duration = 200.0
    """An older scan is absent."""
    calibration: Topic | None = None
    """The camera info of a depth image, with which its pixels become returns."""
    calibration_frame: str | None = None
    """The frame of a camera info that holds although the depth images name another one."""
    rectified: bool | None = None
    """Whether depth images are rectified, as of a camera. null: by the name of the topic."""
    max_range_m: Distance = 30.0
    """Returns beyond this range are not used."""
    stamp: StampConfig | None = None
    """How the stamps of its messages are read; null: they are found, and taken where their unit is clear."""


class StatusConfig(Section):
    """A vehicle status: which fields become channels, and the window that the model sees."""

    kind: Literal["status"] = Field("status", exclude=True)
    """The kind of the sensor; needed where its name is not `status`."""
    topic: Topic
    """The topic of the status messages."""
    fields: dict[str, str] = Field(min_length=1)
    """Channel name -> dotted path of the field in the message."""
    policy: Literal["window"] = "window"
    """The values are resampled to a window that ends at the tick."""
    steps: Annotated[int, Number, Field(ge=1, le=1024)] = 16
    """The number of steps of the window."""
    rate_hz: Rate = 20.0
    """The rate of the steps."""
    max_age_ms: Duration = 100.0
    """A step whose newest value is older has no value."""
    stamp: StampConfig | None = None
    """How the stamps of its messages are read; null: they are found, and taken where their unit is clear."""


SensorConfig = CameraConfig | RangeConfig | StatusConfig
NamedSensor = Annotated[SensorConfig, Field(discriminator="kind")]


class SensorsConfig(Section):
    """The sensors by name; at least one. Left out: they are found in the log.

    A key called camera, range or status has that kind. Any other name needs `kind`, and there may be several
    of a kind: `left: {kind: camera, topic: /left/image}`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, NamedSensor]

    camera: CameraConfig | None = None
    range: RangeConfig | None = None
    status: StatusConfig | None = None

    @model_validator(mode="after")
    def _usable(self) -> SensorsConfig:
        named = self.named
        if not named:
            raise ValueError("at least one of camera, range, status is needed")
        if len(named) > MAX_SENSORS:
            raise ValueError(f"expected at most {MAX_SENSORS} sensors, found {len(named)}")
        for name in named:
            if not _NAME.fullmatch(name) or name in RESERVED_NAMES:
                raise ValueError(
                    f"{name!r} is no name of a sensor: expected a letter, then letters, digits, _ or -, at "
                    f"most 64, and none of {', '.join(sorted(RESERVED_NAMES))}"
                )
        return self

    @property
    def named(self) -> dict[str, SensorConfig]:
        """Return the configured sensors by name: camera, range, status, then the others as written."""
        plain = {name: getattr(self, name) for name in SENSORS}
        given = {name: section for name, section in plain.items() if section is not None}
        return given | dict(self.__pydantic_extra__ or {})

    @property
    def cameras(self) -> dict[str, CameraConfig]:
        """Return the cameras by name."""
        return {name: section for name, section in self.named.items() if isinstance(section, CameraConfig)}

    @property
    def ranges(self) -> dict[str, RangeConfig]:
        """Return the range sensors by name."""
        return {name: section for name, section in self.named.items() if isinstance(section, RangeConfig)}

    @property
    def statuses(self) -> dict[str, StatusConfig]:
        """Return the status sensors by name."""
        return {name: section for name, section in self.named.items() if isinstance(section, StatusConfig)}

    def of_kind(self, kind: str) -> dict[str, SensorConfig]:
        """Return the sensors of a kind by name."""
        return {name: section for name, section in self.named.items() if section.kind == kind}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of which a sensor is configured, in the order of `SENSORS`."""
        present = {section.kind for section in self.named.values()}
        return tuple(kind for kind in SENSORS if kind in present)

    def replaced(self, sections: Mapping[str, SensorConfig]) -> SensorsConfig:
        """Return the sensors with other sections under these names; the order stays."""
        return self.model_copy(update=dict(sections))

    def stamps(self) -> dict[str, StampRule]:
        """Return how stamps are to be read, of the topics that say it."""
        return {
            section.topic: section.stamp.rule()
            for section in self.named.values()
            if section.stamp is not None
        }

    @model_serializer(mode="wrap")
    def _with_kinds(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        return {
            name: {"kind": section.kind, **data[name]} if section is not None and name in data else data[name]
            for name, section in {**dict.fromkeys(data), **(self.__pydantic_extra__ or {})}.items()
            if name in data
        }
