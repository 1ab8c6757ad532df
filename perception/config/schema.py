"""The schema of the configuration file. All errors of a file are reported at once, with their paths.

`Config` mirrors the file::

    version: 1
    reference: camera
    sensors:
      camera: {topic: /camera/image, calibration: /camera/calibration, transforms: [/tf]}
      range:  {topic: /scan, policy: nearest, tolerance_ms: 60, max_age_ms: 200, max_range_m: 30}
      status: {topic: /vehicle/state, fields: {speed: speed}, steps: 16, rate_hz: 20, max_age_ms: 100}
    truth:  {boxes: /annotations/cuboids, control: /vehicle/control, classes: {Car: vehicle}}
    # and of a further head (perception.types.register_head): truth.heads: {speed_limit: {topic: /map/limit}}
    plugin: {name: fusion, checkpoint: null, options: {}}
    engine: {backend: auto, precision: auto, batch: 1}
    faults: ["camera.blackout=0.3,seed=1"]   # injected into the log, see `perception.pipeline.faults`
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from perception.config.safe_yaml import read_yaml
from perception.errors import ConfigError
from perception.types import SENSORS, extra_specs, head_spec
from perception.types.backends import BackendName, PrecisionName
from perception.types.messages import StampRule


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):  # YAML reads `yes` and `on` as true, and true would pass as the number 1
        raise ValueError(f"expected a number, found {str(value).lower()}")
    return value


Role = Literal["camera", "range", "status", "calibration", "transforms", "truth_boxes", "truth_control"]
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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class StampConfig(_Section):
    """How the stamps of a sensor are read, where its messages leave it open."""

    field: str | None = None
    """The dotted path of the time in the message; null: `header.stamp`, `timestamp` and the like."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """The unit of a time that is a bare number; null: what brings it near the arrival."""

    @model_validator(mode="after")
    def _something(self) -> StampConfig:
        if self.field is None and self.unit is None:
            raise ValueError("expected field, unit or both")
        return self


class CameraConfig(_Section):
    """The camera, and the topics of its intrinsics and of the transforms of the rig."""

    topic: Topic
    """The topic of the images."""
    calibration: Topic | None = None
    """The topic of the camera info. Without it, returns and cuboids cannot be placed in the image."""
    transforms: tuple[Topic, ...] = ()
    """The topics of the transforms between the frames of the rig."""
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


class RangeConfig(_Section):
    """The range sensor: a planar scan, a point cloud, ranges, radar tracks or a depth image."""

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
    max_range_m: Distance = 30.0
    """Returns beyond this range are not used."""
    stamp: StampConfig | None = None
    """How the stamps of its messages are read; null: they are found, and taken where their unit is clear."""


class StatusConfig(_Section):
    """The vehicle status: which fields become channels, and the window that the model sees."""

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


class SensorsConfig(_Section):
    """The sensors; at least one of the three. Left out: they are found in the log."""

    camera: CameraConfig | None = None
    range: RangeConfig | None = None
    status: StatusConfig | None = None

    @model_validator(mode="after")
    def _something(self) -> SensorsConfig:
        if self.camera is None and self.range is None and self.status is None:
            raise ValueError("at least one of camera, range, status is needed")
        return self


class HeadTruthConfig(_Section):
    """The truth of a further head: a message with numbers, joined by stamp as that of control."""

    topic: Topic
    """The topic of the messages."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Value of the head's truth -> dotted path of the field; empty: each by its own name."""


class TruthConfig(_Section):
    """The truth, for metrics and training. It never enters a sample."""

    boxes: Topic | None = None
    """The topic of the boxes or cuboids."""
    control: Topic | None = None
    """The topic of the control that the driver commands."""
    control_fields: dict[str, str] = Field(
        default_factory=lambda: {"curvature": "curvature", "acceleration": "acceleration"}
    )
    """Control channel -> dotted path of the field in the message."""
    classes: dict[str, str] = Field(default_factory=dict)
    """The log's class word -> the model's class; empty: words are taken as they are."""
    control_ahead_ms: Duration = 500.0
    """How far ahead of a tick the command is that the control head learns and is scored on."""
    control_stamped_ahead_ms: Duration | None = None
    """How far ahead of its stamp a message's command is: 0 where it is the command of the stamp itself, as
    vehicles log it. null: `control_ahead_ms`, as in the sample logs; 0 where status has the same topic."""
    tolerance_ms: Annotated[float, Number, Field(ge=0, le=60_000)] = 60.0
    """The largest difference between the stamps of a tick and its truth."""
    heads: dict[str, HeadTruthConfig] = Field(default_factory=dict)
    """The truth of further heads, by the name of the head."""

    @model_validator(mode="after")
    def _known_heads(self) -> TruthConfig:
        specs = {spec.name: spec for spec in extra_specs()}
        for name, section in self.heads.items():
            if name not in specs:
                near = get_close_matches(name, specs, n=1)
                hint = f", did you mean {near[0]}?" if near else "; is the package that brings it installed?"
                raise ValueError(f"heads.{name}: no such head is registered{hint}")
            if unknown := set(section.fields) - set(specs[name].truth):
                expected = ", ".join(specs[name].truth)
                raise ValueError(f"heads.{name}.fields: expected {expected}; found {', '.join(unknown)}")
        return self

    def head_fields(self, head: str) -> dict[str, str]:
        """Return the dotted path of each value that the truth of a further head has."""
        return self.heads[head].fields or {name: name for name in head_spec(head).truth}

    @property
    def stamped_ahead_ns(self) -> int:
        """Return how far ahead of its stamp a control message's command is, in nanoseconds."""
        given = self.control_stamped_ahead_ms
        return round((self.control_ahead_ms if given is None else given) * 1e6)

    @property
    def control_shift_ns(self) -> int:
        """Return how much later than a tick the message with its command is stamped, in nanoseconds."""
        return round(self.control_ahead_ms * 1e6) - self.stamped_ahead_ns

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics of truth."""
        heads = (section.topic for section in self.heads.values())
        return tuple(topic for topic in (self.boxes, self.control, *heads) if topic is not None)


class PluginConfig(_Section):
    """The plugin and its weights."""

    name: str = "fusion"
    """The name of an installed plugin; `perception plugin list` prints them."""
    checkpoint: Path | None = None
    """The weights; null: the plugin's own."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the plugin itself."""


class EngineConfig(_Section):
    """The computation: outputs stay the same within stated tolerances."""

    backend: BackendName = "auto"
    """The backend that computes the outputs; `auto`: OpenVINO on a CPU, a CUDA graph on a GPU."""
    precision: PrecisionName = "auto"
    """The numbers it computes in; `auto`: bf16 where the processor has units for it, else fp32."""
    batch: Annotated[int, Number, Field(ge=1, le=256)] = 1
    """Samples that are computed together."""
    # One thread gives the same bits on every machine, and does not fight with other work for the cores
    # (two OpenMP threads on two busy cores ran 10 times slower than one).
    threads: Annotated[int, Number, Field(ge=1, le=256)] | None = 1
    """Threads for one sample; null: the library's default."""
    workers: Annotated[int, Number, Field(ge=1, le=256)] | None = None
    """Threads that carry frames side by side; outputs do not depend on it. null: as the cores allow."""
    seed: Annotated[int, Number, Field(ge=0, lt=1 << 63)] = 0
    """The seed of whatever a plugin draws."""


class Config(_Section):
    """The configuration of a run."""

    version: Literal[1] = 1
    """The version of this format."""
    reference: Literal["camera", "range", "status"] = "camera"
    """The sensor whose messages make the ticks."""
    reference_rate_hz: Rate | None = None
    """The nominal rate of the reference; null: it is measured in the log."""
    wait_ms: Duration = 0.0
    """How long a tick stays open for slower sensors, on the arrival clock."""
    sensors: SensorsConfig = SensorsConfig.model_construct()
    truth: TruthConfig = TruthConfig()
    plugin: PluginConfig = PluginConfig()
    engine: EngineConfig = EngineConfig()
    faults: tuple[str, ...] = ()
    """Faults to inject into the log, as `camera.blackout=0.3,seed=1`."""

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if errors := self.conflicts():
            raise ValueError("; ".join(errors))
        status, truth = self.sensors.status, self.truth
        if status is not None and status.topic == truth.control and truth.control_stamped_ahead_ms is None:
            now = truth.model_copy(update={"control_stamped_ahead_ms": 0.0})
            object.__setattr__(self, "truth", now)  # a status message holds the values of its own stamp
        return self

    def conflicts(self) -> list[str]:
        """Return the errors of values that contradict each other, one line each; empty for a parsed file."""
        return sorted(_conflicts(self.model_dump()))

    def uses(self) -> list[tuple[str, str, Role]]:
        """Return each configured topic: its path in the configuration, its name, and its role."""
        roles: dict[str, Role] = {
            "sensors.camera.topic": "camera",
            "sensors.camera.calibration": "calibration",
            "sensors.camera.transforms": "transforms",
            "sensors.range.topic": "range",
            "sensors.range.calibration": "calibration",
            "sensors.status.topic": "status",
            "truth.boxes": "truth_boxes",
            "truth.control": "truth_control",
        }
        return [(path, topic, roles.get(path, "truth_control")) for path, topic in _topics(self.model_dump())]

    def stamps(self) -> dict[str, StampRule]:
        """Return how stamps are to be read, of the topics that say it."""
        sections = (getattr(self.sensors, name) for name in SENSORS)
        return {
            section.topic: StampRule(section.stamp.field, section.stamp.unit)
            for section in sections
            if section is not None and section.stamp is not None
        }

    def roles(self) -> dict[str, Role]:
        """Return the role of each configured topic; that of the sensor where it is a sensor's and truth."""
        return {topic: role for _, topic, role in reversed(self.uses())}


def load_config(path: str | Path) -> Config:
    """Read a configuration from a YAML file.

    Raises:
        ConfigError: The file cannot be read, or has errors: all of them, each with its path.
    """
    try:
        data = read_yaml(Path(path))
    except OSError as error:
        raise ConfigError([f"cannot be read: {error.strerror or error}"], str(path)) from None
    except ValueError as error:
        raise ConfigError([str(error)], str(path)) from None
    return parse_config(data, str(path))


def parse_config(data: object, source: str = "") -> Config:
    """Check a configuration in a mapping, as YAML gives it.

    Raises:
        ConfigError: It has errors: all of them, each with its path and the nearest valid name.
    """
    if not isinstance(data, Mapping):
        found = "an empty file" if data is None else type(data).__name__
        raise ConfigError([f"expected a mapping that starts with 'version: 1', found {found}"], source)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        # Contradictions are looked for in the raw mapping: pydantic checks them only once all else is
        # right, and all errors are reported at once.
        lines = {error_line(detail) for detail in error.errors() if detail["loc"]} | set(_conflicts(data))
        raise ConfigError(sorted(lines), source) from None


def to_yaml(config: Config) -> str:
    """Return the configuration as YAML, without the values that are at their default."""
    data = config.model_dump(mode="json", exclude_defaults=True)
    data = {"version": config.version, "reference": config.reference, **data}
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)


def _conflicts(data: Mapping[Any, Any]) -> list[str]:
    """Return the contradictions in a configuration that may have other errors."""
    errors = []
    reference, sensors = data.get("reference", "camera"), _section(data, "sensors")
    given = [name for name in ("camera", "range", "status") if sensors.get(name) is not None]
    if given and reference in ("camera", "range", "status") and reference not in given:
        errors.append(
            f"reference: is {reference}, but sensors.{reference} is not configured; "
            f"expected one of those that are: {', '.join(given)}"
        )
    seen: dict[str, str] = {}
    for path, topic in _topics(data):
        first = seen.setdefault(topic, path)
        shared = first == "sensors.status.topic" and path.startswith(("truth.control", "truth.heads."))
        shared |= first.endswith(".calibration") and path.endswith(".calibration")
        if first != path and not shared:
            errors.append(f"{path}: topic {topic} is already used by {first}")
    return errors


def _topics(data: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of every configured topic."""
    sensors, truth = _section(data, "sensors"), _section(data, "truth")
    heads = _section(truth, "heads")
    camera, scan, status = (_section(sensors, name) for name in ("camera", "range", "status"))
    transforms = camera.get("transforms")
    found = [
        ("sensors.camera.topic", camera.get("topic")),
        ("sensors.camera.calibration", camera.get("calibration")),
        *(
            ("sensors.camera.transforms", t)
            for t in (transforms if isinstance(transforms, list | tuple) else ())
        ),
        ("sensors.range.topic", scan.get("topic")),
        ("sensors.range.calibration", scan.get("calibration")),
        ("sensors.status.topic", status.get("topic")),
        ("truth.boxes", truth.get("boxes")),
        ("truth.control", truth.get("control")),
        *((f"truth.heads.{name}", _section(heads, name).get("topic")) for name in heads),
    ]
    return ((path, topic) for path, topic in found if isinstance(topic, str))


def _section(data: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    section = data.get(name)
    return section if isinstance(section, Mapping) else {}


def error_line(detail: Any, root: Any = Config) -> str:
    """Return one line for an error of pydantic: its path, what was expected, the nearest valid name."""
    path = ".".join(str(part) for part in detail["loc"])
    kind, found = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        near = get_close_matches(str(detail["loc"][-1]), _known_keys(root, detail["loc"][:-1]), n=1)
        return f"{path}: unknown key{f', did you mean {near[0]}?' if near else ''}"
    if kind == "missing":
        return f"{path}: missing"
    text = detail["msg"].removeprefix("Value error, ")
    if kind == "string_type" and isinstance(found, bool | int | float | date):
        return f"{path}: expected text, found {reprlib.repr(found)}; put it in quotes"
    if kind == "value_error":
        return f"{path}: {text}"
    if kind == "literal_error" and isinstance(found, str):
        words = [word.strip("'") for word in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        near = get_close_matches(found, words, n=1)
        return f"{path}: {text}, found {found!r}{f', did you mean {near[0]!r}?' if near else ''}"
    return f"{path}: {text}, found {reprlib.repr(found)}"


def _known_keys(model: Any, location: tuple[Any, ...]) -> list[str]:
    """Return the keys allowed at a place in the configuration."""
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)
