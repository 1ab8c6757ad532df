"""The configuration of a training run, section by section. No torch.

::

    model:     {input_height: 256, input_width: 512, classes: [person, vehicle]}
    data:      {train: [logs/train], validate: [logs/validate], calibrate: [logs/calibrate]}
    losses:    {class: gaussian_focal, box: {name: giou, scale_weight: 0.1}, distance: laplace, control: l1}
    balancing: {method: static}
    optimiser: {lr: 0.002, lr_factors: {camera: 0.5}}
    schedule:  {steps: 5000, batch: 8, warmup_steps: 100}
    augment:   {mirror: 0.5, drop: {camera: 0.15, range: 0.15, status: 0.15}}
    transfer:  {checkpoint: weights.safetensors, freeze: [camera]}
    run:       {out: runs/first, seed: 0, threads: 1}

Paths are relative to the working directory.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from perception.config import NonNegative, Number, Positive
from perception.config.values import Section
from perception.models.config import ModelConfig
from perception.text import did_you_mean
from perception.types import loss_parts


def _known_head(name: str) -> str:
    parts = loss_parts()
    if name not in parts:
        raise ValueError(f"expected one of {', '.join(parts)}; found {name!r:.60}{did_you_mean(name, parts)}")
    return name


Head = Annotated[str, AfterValidator(_known_head)]
"""The name of a loss, of any head that is registered."""

Fraction = Annotated[float, Number, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Number, Field(ge=0)]
AtLeastOne = Annotated[int, Number, Field(ge=1)]


FEWEST_STEPS = 150
"""The number of steps that `schedule.passes` leaves at least."""


class DataConfig(Section):
    """The logs. Each entry is a file, a folder (all logs in it) or a pattern (`logs/0*.mcap`)."""

    # Files, folders and patterns; what one finds comes by path, folder by folder (`matched_logs`).
    train: tuple[str, ...] = ()
    validate_: tuple[str, ...] = Field(default=(), alias="validate")
    calibrate: tuple[str, ...] = ()
    config: Path | None = None  # how the logs are read; None: chosen by schema for each log
    classes: dict[str, str] = Field(default_factory=dict)  # a log's class name -> the model's; others stay
    # Log name or pattern (`street_*.mcap`) -> classes of which every object has a box. Of its other classes
    # the boxes are learned, and nothing of where there are none. The first that fits counts; by default all.
    complete_classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    # Log name or pattern -> how often each of its samples is seen in one pass; by default once.
    repeat: dict[str, AtLeastOne] = Field(default_factory=dict)
    stride: AtLeastOne = 1  # use every n-th sample
    start_s: NonNegative | None = None  # use only samples from here
    end_s: Positive | None = None  # and before here, in seconds from the first sensor message
    # The last part of the time of each log in `train` is held out to validate on; not with `validate`.
    validate_last: Annotated[float, Number, Field(gt=0, lt=1)] | None = None
    validate_samples: AtLeastOne = 400  # at most, evenly spaced
    cache: Path | None = None  # the folder of decoded logs; None: in the user's cache
    stats_samples: AtLeastOne = 500  # used to measure the statistics of inputs, evenly spaced
    fit_input: bool = False  # lower model.input_height and input_width to the size of the pictures


class OptimiserConfig(Section):
    """AdamW (Loshchilov and Hutter 2019)."""

    lr: Positive = 2e-3
    weight_decay: NonNegative = 0.01
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    clip_norm: Positive | None = 10.0
    lr_factors: dict[str, NonNegative] = Field(default_factory=dict)  # name of a part -> factor on lr


class StageConfig(Section):
    """A part of a curriculum, up to a fraction of all steps."""

    until: Annotated[float, Number, Field(gt=0, le=1)]
    heads: tuple[Head, ...] = Field(default_factory=lambda: tuple(loss_parts()))
    min_height_px: NonNegative = 0.0  # input pixels; lower objects are ignored
    min_visible: Fraction = 0.0


class FocusConfig(Section):
    """At intervals, the head that is furthest behind its reference gets more weight."""

    every: AtLeastOne = 500  # steps from one focus to the next
    steps: AtLeastOne = 100
    weight: Positive = 3.0
    reference: dict[Head, float] = Field(default_factory=dict)  # loss; default: the first loss


class EarlyStopConfig(Section):
    """Stop when the joint score has not risen by `least` for `patience` validations."""

    patience: AtLeastOne = 10
    least: NonNegative = 0.0


class ScheduleConfig(Section):
    """Length and order of training."""

    steps: AtLeastOne = 5000
    # Fewer steps, but at least 150, where so many passes over the samples take fewer; null: `steps`.
    passes: Positive | None = None
    batch: AtLeastOne = 8  # samples of a step, over all devices and accumulated parts
    accumulate: AtLeastOne = 1  # parts of a batch; methods over gradients combine within each
    warmup_steps: Count = 100
    final_lr: Fraction = 0.01  # fraction of `lr` at the end of the cosine
    ema: Fraction = 0.998  # 0: none
    validate_every: AtLeastOne = 500
    save_every: AtLeastOne = 200
    max_cpu_s: Positive | None = None  # stop after this CPU time of the process, calibrate and evaluate
    early_stop: EarlyStopConfig | None = None
    curriculum: tuple[StageConfig, ...] = ()
    alternate: Literal["none", "heads"] = "none"  # heads: each step trains one head, in turn
    focus: FocusConfig | None = None


class DropConfig(Section):
    """Modality dropout: the probability that a sensor is absent from a sample."""

    camera: Fraction = 0.15
    range: Fraction = 0.15
    status: Fraction = 0.15
    all: bool = False  # whether all three may be absent at once


class PictureConfig(Section):
    """Changes of labelled pictures: samples with an image and neither another sensor nor true control."""

    drives: Fraction = 0.0  # probability that a sample of a drive is taken for a picture, and changed as one
    mosaic: Fraction = 0.0  # probability that 4 or 9 pictures are put together
    zoomed: Fraction = 0.0  # probability that a part of the picture is shown alone
    zoom: Annotated[float, Number, Field(ge=1, le=8)] = 1.5  # enlarged by up to this, also in a mosaic
    paste: Fraction = 0.0  # probability that objects of other samples are pasted into it
    rendered: Fraction = 0.0  # share of the pasted objects that are rendered for it (extra `sim`)
    silhouettes: Fraction = 0.0  # share of them that are cut out of the pictures along their outlines

    @model_validator(mode="after")
    def _together(self) -> PictureConfig:
        if self.mosaic + self.zoomed > 1:
            raise ValueError(f"mosaic + zoomed: expected at most 1, found {self.mosaic + self.zoomed:g}")
        if self.rendered + self.silhouettes > 1:
            both = self.rendered + self.silhouettes
            raise ValueError(f"rendered + silhouettes: expected at most 1, found {both:g}")
        return self


class AugmentConfig(Section):
    """Probabilities (0 to 1) and strengths. A change of one sensor changes the others to match."""

    drop: DropConfig = DropConfig()
    mirror: Fraction = 0.5
    odd: tuple[str, ...] = ("yaw_rate", "curvature", "steering", "lateral_acceleration")  # change sign in it
    brightness: NonNegative = 0.25  # factor up to 1 +- this
    contrast: NonNegative = 0.25
    colour: NonNegative = 0.1  # factor of each channel, 1 +- this
    gamma: NonNegative = 0.2  # exponent, 1 +- this
    noise: NonNegative = 6.0  # standard deviation up to this, grey levels
    blur: Fraction = 0.1  # probability of a 3x3 blur
    smear: Fraction = 0.0  # probability of the blur of a motion of up to 9 pixels
    lost_returns: Fraction = 0.3  # probability that a random share of the returns is lost
    range_noise_m: NonNegative = 0.03
    lost_status: Fraction = 0.05  # probability that a status channel is unknown throughout
    late: Fraction = 0.1  # probability that range or status is that of the sample before
    rig_shift_px: NonNegative = 2.0  # returns are shifted against the image by up to this
    pictures: PictureConfig = PictureConfig()


class DistillConfig(Section):
    """Learn from the predictions of a larger checkpoint, too (Hinton et al. 2015)."""

    checkpoint: str  # a file, a folder or the name of a plugin, for its own weights
    weight: Positive = 1.0
    regression: Literal["kl", "l1"] = "kl"  # match the teacher's distributions, or only its values
    pictures: bool = True  # also from labelled pictures, whose like the teacher may not have seen


class TransferConfig(Section):
    """The weights that training starts from."""

    # A file, a folder or the name of a plugin, for its own weights; tensors that match by name and shape are
    # taken over. None: random weights.
    checkpoint: str | None = None
    keep_stats: bool = False  # keep the checkpoint's statistics of inputs
    pretrained: bool = False  # published weights for a backbone from torchvision
    freeze: tuple[str, ...] = ()  # names, or beginnings of names, of parameters that are not trained
    distill: DistillConfig | None = None
    # Weight of a loss that takes over the features of a network trained on ImageNet (extra `pretrained`).
    features: NonNegative = 0.0
    store: Count = 0  # train the control head alone, from this many stored versions of each sample; 0: off


class RunConfig(Section):
    """Where a run computes, and the files it writes."""

    out: Path = Path("runs/train")
    seed: Annotated[int, Number, Field(ge=0, lt=1 << 63)] = 0
    threads: Annotated[int, Number, Field(ge=1, le=256)] | None = (
        None  # None: as many as there are idle cores
    )
    loaders: Annotated[int, Number, Field(ge=1, le=64)] = 1  # threads that prepare batches
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where the hardware has it
    on_nan: Literal["skip", "stop"] = "skip"  # skip: up to `max_skips` batches in a row
    max_skips: AtLeastOne = 10
    tensorboard: bool = True  # where the extra `train` is installed
    plots: bool = True  # draw the metrics into `plots.svg` at the end, where the extra `eval` is installed
    evaluate: bool = True  # a final report over the logs of data.validate
    ablate: bool = False  # score every subset of the sensors in it, too


class TrainConfig(Section):
    """A whole training run. `model`, `losses` and `balancing` are checked by the packages they configure."""

    version: Literal[1] = 1
    model: dict[str, Any] = Field(default_factory=dict)
    data: DataConfig = DataConfig()
    losses: dict[str, Any] = Field(default_factory=dict)
    balancing: dict[str, Any] = Field(default_factory=lambda: {"method": "static"})
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    augment: AugmentConfig = AugmentConfig()
    transfer: TransferConfig = TransferConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        errors = _conflicts(self.schedule)
        if self.data.validate_ and self.data.validate_last is not None:
            errors.append("data.validate_last: holds out a part of data.train; leave it or data.validate out")
        if errors:
            raise ValueError("; ".join(errors))
        return self

    def model_shape(self) -> ModelConfig:
        """Return the configuration of the model.

        Raises:
            ConfigError: The section `model` has errors.
        """
        return ModelConfig.from_dict(self.model)


def _conflicts(schedule: ScheduleConfig) -> list[str]:
    errors = []
    if schedule.batch % schedule.accumulate:
        errors.append(
            f"schedule.accumulate: expected a divisor of schedule.batch = {schedule.batch}, "
            f"found {schedule.accumulate}"
        )
    if schedule.warmup_steps >= schedule.steps:
        errors.append(
            f"schedule.warmup_steps: expected fewer than schedule.steps = {schedule.steps}, "
            f"found {schedule.warmup_steps}"
        )
    ends = [stage.until for stage in schedule.curriculum]
    if any(late <= early for early, late in pairwise(ends)):
        errors.append(f"schedule.curriculum: expected `until` to rise from stage to stage, found {ends}")
    return errors
