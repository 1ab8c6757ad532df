"""What a user sets: one YAML file, checked whole, every fault reported at once with its path.

`Config` mirrors the file::

    version: 1
    reference: camera
    sensors:
      camera: {topic: /camera/image, calibration: /camera/calibration, transforms: [/tf]}
      range:  {topic: /scan, policy: nearest, tolerance_ms: 60, max_age_ms: 200, max_range_m: 30}
      status: {topic: /vehicle/state, fields: {speed: speed}, steps: 16, rate_hz: 20, max_age_ms: 100}
    truth:  {boxes: /annotations/cuboids, control: /vehicle/control, classes: {Car: vehicle}}
    plugin: {name: fusion, checkpoint: null, options: {}}
    engine: {backend: auto, precision: auto, batch: 1}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from perception.errors import ConfigError

Role = Literal["camera", "range", "status", "calibration", "transforms", "truth_boxes", "truth_control"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Topic = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraConfig(_Section):
    """Where the images are, and the rig topics that say how the camera looks at the world."""

    topic: Topic
    calibration: Topic | None = None
    transforms: tuple[Topic, ...] = ()
    policy: Literal["latest", "nearest"] = "latest"  # when the camera is not the reference
    tolerance_ms: NonNegative = 60.0  # for policy nearest
    max_age_ms: NonNegative = 200.0


class RangeConfig(_Section):
    """Where the ranges are, and which of them count."""

    topic: Topic
    policy: Literal["latest", "nearest"] = "nearest"
    tolerance_ms: NonNegative = 60.0
    max_age_ms: NonNegative = 200.0
    max_range_m: Positive = 30.0


class StatusConfig(_Section):
    """Where the status is, which of its fields become channels, and the window the model sees."""

    topic: Topic
    fields: dict[str, str] = Field(min_length=1)  # channel name -> dotted path in the message
    policy: Literal["window"] = "window"
    steps: Annotated[int, Field(ge=1, le=1024)] = 16
    rate_hz: Positive = 20.0
    max_age_ms: NonNegative = 100.0


class SensorsConfig(_Section):
    """At least one of the three."""

    camera: CameraConfig | None = None
    range: RangeConfig | None = None
    status: StatusConfig | None = None

    @model_validator(mode="after")
    def _something(self) -> SensorsConfig:
        if self.camera is None and self.range is None and self.status is None:
            raise ValueError("at least one of camera, range, status is needed")
        return self


class TruthConfig(_Section):
    """Where the truth is. Never an input."""

    boxes: Topic | None = None
    control: Topic | None = None
    control_fields: dict[str, str] = Field(
        default_factory=lambda: {"curvature": "curvature", "acceleration": "acceleration"}
    )
    classes: dict[str, str] = Field(default_factory=dict)  # the log's word -> ours; empty: as they are


class PluginConfig(_Section):
    """Which plugin, with which weights."""

    name: str = "fusion"
    checkpoint: Path | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class EngineConfig(_Section):
    """How the computation is done."""

    backend: Literal["auto", "torch"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    batch: Annotated[int, Field(ge=1, le=256)] = 1
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    seed: int = 0


class Config(_Section):
    """The whole configuration of a run."""

    version: Literal[1] = 1
    reference: Literal["camera", "range", "status"] = "camera"
    reference_rate_hz: Positive | None = None  # nominal; replay measures it when it is not given
    wait_ms: NonNegative = 0.0  # how long a tick stays open for slower sensors, on the arrival clock
    sensors: SensorsConfig
    truth: TruthConfig = TruthConfig()
    plugin: PluginConfig = PluginConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if getattr(self.sensors, self.reference) is None:
            raise ValueError(f"reference is {self.reference}, but sensors.{self.reference} is not configured")
        seen: dict[str, str] = {}
        for path, topic in self._topics():
            if topic in seen and not (path.startswith("sensors.camera.transforms") and seen[topic] == path):
                raise ValueError(f"{path}: topic {topic} is already used by {seen[topic]}")
            seen[topic] = path
        return self

    def _topics(self) -> Iterator[tuple[str, str]]:
        sensors = self.sensors
        if sensors.camera is not None:
            yield "sensors.camera.topic", sensors.camera.topic
            if sensors.camera.calibration is not None:
                yield "sensors.camera.calibration", sensors.camera.calibration
            for topic in sensors.camera.transforms:
                yield "sensors.camera.transforms", topic
        if sensors.range is not None:
            yield "sensors.range.topic", sensors.range.topic
        if sensors.status is not None:
            yield "sensors.status.topic", sensors.status.topic
        if self.truth.boxes is not None:
            yield "truth.boxes", self.truth.boxes
        if self.truth.control is not None:
            yield "truth.control", self.truth.control

    def roles(self) -> dict[str, Role]:
        """What each configured topic is used as."""
        names: dict[str, Role] = {
            "sensors.camera.topic": "camera",
            "sensors.camera.calibration": "calibration",
            "sensors.camera.transforms": "transforms",
            "sensors.range.topic": "range",
            "sensors.status.topic": "status",
            "truth.boxes": "truth_boxes",
            "truth.control": "truth_control",
        }
        return {topic: names[path] for path, topic in self._topics()}


def load_config(path: Path) -> Config:
    """The configuration in a YAML file.

    Raises:
        ConfigError: It cannot be read, or has faults: all of them, each with its path.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([f"cannot be read: {reason}"], str(path)) from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"is not YAML: {' '.join(str(error).split())}"], str(path)) from None
    return parse_config(data, str(path))


def parse_config(data: object, source: str = "") -> Config:
    """The configuration in a mapping, as YAML gives it.

    Raises:
        ConfigError: It has faults: all of them, each with its path and the nearest valid name.
    """
    if not isinstance(data, Mapping):
        raise ConfigError([f"expected a mapping, found {type(data).__name__}"], source)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(sorted(_line(fault) for fault in error.errors()), source) from None


def to_yaml(config: Config) -> str:
    """The configuration as YAML, without what is at its default, ready to be pasted into a file."""
    data = config.model_dump(mode="json", exclude_defaults=True)
    data = {"version": config.version, "reference": config.reference, **data}
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100)


def _line(fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    kind, found = fault["type"], fault["input"]
    if kind == "extra_forbidden":
        near = get_close_matches(str(fault["loc"][-1]), _known_keys(fault["loc"][:-1]), n=1)
        return f"{path}: unknown key{f', did you mean {near[0]}?' if near else ''}"
    if kind == "missing":
        return f"{path}: missing"
    text = fault["msg"].removeprefix("Value error, ")
    if kind == "literal_error" and isinstance(found, str):
        near = get_close_matches(found, [w.strip("'") for w in fault["ctx"]["expected"].replace(" or ", ", ").split(", ")], n=1)
        hint = f", did you mean '{near[0]}'?" if near else ""
        return f"{path}: {text}, found {found!r}{hint}"
    if kind == "value_error":
        return f"{path}: {text}" if path else text
    return f"{path}: {text}, found {found!r}"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    """The keys allowed at a place in the configuration."""
    model: Any = Config
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)
