"""The schema of the configuration file. All errors of a file are reported at once, with their paths.

`Config` mirrors the file::

    version: 1
    reference: front
    sensors:
      front:  {kind: camera, topic: /front/image, calibration: /front/camera_info, transforms: [/tf]}
      left:   {kind: camera, topic: /left/image, calibration: /left/camera_info}
      range:  {topic: /scan, policy: nearest, tolerance_ms: 60, max_age_ms: 200, max_range_m: 30}
      status: {topic: /vehicle/state, fields: {speed: speed}, steps: 16, rate_hz: 20, max_age_ms: 100}
    base_frame: base_link   # of positions
    truth:  {boxes: /annotations/cuboids, control: /vehicle/control, classes: {Car: vehicle}}
    # and of a further head (perception.types.register_head): truth.heads: {speed_limit: {topic: /map/limit}}
    plugin: {name: fusion, checkpoint: null, options: {}}
    engine: {backend: auto, precision: auto, batch: 1}
    faults: ["camera.blackout=0.3,seed=1"]   # injected into the log, see `perception.pipeline.faults`
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from perception.config.conflicts import conflicts, used_topics
from perception.config.sensors import SensorsConfig, StampConfig
from perception.config.values import Duration, Number, Rate, Section, Topic
from perception.text import did_you_mean
from perception.types import extra_specs, head_spec
from perception.types.backends import BackendName, PrecisionName
from perception.types.stamp_rule import StampRule

MOST_TRUTH_WAIT_MS = 60_000
"""The most of `truth.wait_ms`, in ms: samples, with their pictures, stay in memory so long."""

Role = Literal["camera", "range", "status", "calibration", "transforms", "truth_boxes", "truth_control"]


class HeadTruthConfig(Section):
    """The truth of a further head: a message with numbers, joined by stamp as that of control."""

    topic: Topic
    """The topic of the messages."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Value of the head's truth -> dotted path of the field; empty: each by its own name."""


class TruthConfig(Section):
    """The truth, for metrics and training. It never enters a sample."""

    boxes: Topic | None = None
    """The topic of the boxes or cuboids; with `labels`, of the names of the pictures' files."""
    labels: Path | None = None
    """A COCO file, or a folder of KITTI label files, with the boxes of pictures. They are joined by the name
    of the picture's file, where the log has it, or by the stamp that the label file or the name gives."""
    camera_boxes: dict[str, Topic] = Field(default_factory=dict)
    """With several cameras: the topic of the boxes in the image of each, by its name. 2D boxes on `boxes` are
    those of the camera whose frame they name, else of the reference camera; cuboids are projected into every
    camera."""
    control: Topic | None = None
    """The topic of the control that the driver commands."""
    control_fields: dict[str, str] = Field(
        default_factory=lambda: {"curvature": "curvature", "acceleration": "acceleration"}
    )
    """Control channel -> dotted path of the field in the message."""
    classes: dict[str, str] = Field(default_factory=dict)
    """The log's class word -> the model's class; of other words those are kept that are a class here. Empty:
    words are taken as they are."""
    incomplete_classes: tuple[str, ...] = ()
    """The classes (of the plugin) of which not every object is labelled: what is found of them beside the
    labels is no false alarm. For evaluations; a training has `data.complete_classes`."""
    control_ahead_ms: Duration = 500.0
    """How far ahead of a tick the command is that the control head learns and is scored on."""
    control_stamped_ahead_ms: Duration | None = None
    """How far ahead of its stamp a message's command is: 0 where it is the command of the stamp itself, as
    vehicles log it. null: `control_ahead_ms`, as in the sample logs; 0 where status has the same topic."""
    tolerance_ms: Annotated[float, Number, Field(ge=0, le=60_000)] = 60.0
    """The largest difference between the stamps of a tick and its truth."""
    wait_ms: Annotated[float, Number, Field(ge=0, le=MOST_TRUTH_WAIT_MS)] = 250.0
    """How long after a tick its truth may arrive; samples stay in memory so long."""
    stamps: dict[Topic, StampConfig] = Field(default_factory=dict)
    """Topic of truth -> how the stamps of its messages are read, where they leave it open."""
    heads: dict[str, HeadTruthConfig] = Field(default_factory=dict)
    """The truth of further heads, by the name of the head."""

    @model_validator(mode="after")
    def _known_heads(self) -> TruthConfig:
        specs = {spec.name: spec for spec in extra_specs()}
        for name, section in self.heads.items():
            if name not in specs:
                hint = did_you_mean(name, specs) or "; is the package that brings it installed?"
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
        topics = (self.boxes, *self.camera_boxes.values(), self.control, *heads)
        return tuple(topic for topic in topics if topic is not None)

    @property
    def configured(self) -> bool:
        """Whether there is any truth: a topic, or labels."""
        return bool(self.topics) or self.labels is not None


class PluginConfig(Section):
    """The plugin and its weights."""

    name: str = "fusion"
    """The name of an installed plugin; `perception plugin list` prints them."""
    checkpoint: Path | None = None
    """The weights; null: the plugin's own."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the plugin itself."""


class EngineConfig(Section):
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


class Config(Section):
    """The configuration of a run."""

    version: Literal[1] = 1
    """The version of this format."""
    reference: str = "camera"
    """The name of the sensor whose messages make the ticks."""
    reference_rate_hz: Rate | None = None
    """The nominal rate of the reference; null: it is measured in the log."""
    control_camera: str | None = None
    """With several cameras: the one whose row gives control and further heads. null: the reference camera,
    that is the reference or, where it is no camera, the first one."""
    base_frame: Topic | None = None
    """The frame of the vehicle, in which detections state positions (`base_link`). null: it is found in the
    transforms of the log; a program that opens a plugin itself gets none."""
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
        truth = self.truth
        topics = {section.topic for section in self.sensors.statuses.values()}
        if truth.control in topics and truth.control_stamped_ahead_ms is None:
            now = truth.model_copy(update={"control_stamped_ahead_ms": 0.0})
            object.__setattr__(self, "truth", now)  # a status message holds the values of its own stamp
        return self

    def conflicts(self) -> list[str]:
        """Return the errors of values that contradict each other, one line each; empty for a parsed file."""
        return sorted(conflicts(self.model_dump()))

    @property
    def reference_camera(self) -> str | None:
        """Return the name of the camera that `Sample.camera` is; None without a camera."""
        cameras = self.sensors.cameras
        return self.reference if self.reference in cameras else next(iter(cameras), None)

    def uses(self) -> list[tuple[str, str, Role]]:
        """Return each configured topic: its path in the configuration, its name, and its role."""
        return [(path, topic, self._role(path)) for path, topic in used_topics(self.model_dump())]

    def _role(self, path: str) -> Role:
        section, name, *keys = path.split(".")
        if section == "sensors":
            sensor = self.sensors.named[name]
            roles: dict[str, Role] = {"calibration": "calibration", "transforms": "transforms"}
            return roles.get(keys[0], sensor.kind)
        return "truth_boxes" if name in ("boxes", "camera_boxes") else "truth_control"

    def stamps(self) -> dict[str, StampRule]:
        """Return how stamps are to be read, of the topics that say it; a sensor's word goes first."""
        return {t: stamp.rule() for t, stamp in self.truth.stamps.items()} | self.sensors.stamps()

    def roles(self) -> dict[str, Role]:
        """Return the role of each configured topic; that of the sensor where it is a sensor's and truth."""
        return {topic: role for _, topic, role in reversed(self.uses())}

    def sensor_kinds(self) -> dict[str, str]:
        """Return the kind of each sensor by its name."""
        return {name: section.kind for name, section in self.sensors.named.items()}

    def sensor_names(self) -> dict[str, str]:
        """Return the name of the sensor of each topic whose messages are a sensor's."""
        return {section.topic: name for name, section in self.sensors.named.items()}
