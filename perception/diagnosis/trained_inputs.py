"""How far the pictures and ranges of a log lie from those that the weights were trained on.

A checkpoint holds a profile of its training inputs (`perception.models.input_profile`); a few samples of the
log are compared with it. Torch is not needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from perception.config import Config
from perception.errors import CheckpointError, PluginError
from perception.models.checkpoint import read_metadata
from perception.models.input_profile import KEY, InputProfile, from_plain
from perception.models.preprocess import InputSpec, prepare_inputs
from perception.models.preprocess.descriptors import describe_picture, describe_returns
from perception.models.tensors import RETURN_CHANNELS, Inputs
from perception.plugin import own_weights
from perception.types import Float64, Sample

NOUNS = {"camera": "pictures", "range": "ranges"}
"""The nouns that texts use for the inputs that have a profile."""

_IN_IMAGE = RETURN_CHANNELS.index("in_image")

SAMPLES = 30
"""Samples of a log that are compared, evenly spaced."""


@dataclass(frozen=True, slots=True)
class TrainedInputs:
    """The training inputs of the weights that a configuration names.

    Attributes:
        spec: How the weights' inputs are prepared.
        profiles: Input -> its profile.
        weights: The name of the weights.
        problem: Why there are no profiles; empty: there are some.
    """

    spec: InputSpec = field(default_factory=InputSpec)
    profiles: Mapping[str, InputProfile] = field(default_factory=dict)
    weights: str = ""
    problem: str = ""

    @classmethod
    def of(cls, config: Config) -> TrainedInputs:
        """Return those of the configured checkpoint, or of the plugin's own weights. Nothing is raised."""
        path = config.plugin.checkpoint
        try:
            path = path or own_weights(config.plugin.name)
            if path is None:
                return cls(problem=f"the plugin '{config.plugin.name}' has no weights of its own")
            meta = read_metadata(path)
            limits = [section.max_range_m for section in config.sensors.ranges.values()]
            spec = meta.input_spec(max(limits, default=None), path)
            profiles = from_plain(meta.calibration[KEY]) if KEY in meta.calibration else {}
        except (CheckpointError, PluginError, ValueError, TypeError) as error:
            return cls(problem=f"the weights cannot be read: {error}")
        problem = "" if profiles else f"{path.name} does not say what its training inputs looked like"
        return cls(spec, profiles, path.name, problem)


@dataclass(frozen=True, slots=True)
class TrainingDistance:
    """How far one input of a log lies from the training data.

    Attributes:
        times: As a multiple of the distance of a training log from the others.
        limit: The multiple from which on it is unlike training.
        samples: How many samples were compared.
        differences: The features that differ most, in standard deviations of training.
    """

    times: float
    limit: float
    samples: int
    differences: Mapping[str, float]

    @property
    def unlike(self) -> bool:
        """Whether the input is unlike what the weights were trained on."""
        return self.times > self.limit


class Described(NamedTuple):
    """A sample without the inputs that are unusable, its arrays, and descriptors of inputs with a profile."""

    sample: Sample
    inputs: Inputs
    numbers: dict[str, Float64]


def describe(sample: Sample, trained: TrainedInputs) -> Described:
    """Prepare a sample as the weights need it, and describe its inputs."""
    prepared, inputs = prepare_inputs(sample, trained.spec)
    described: dict[str, Float64] = {}
    if (frame := prepared.camera.value) is not None and "camera" in trained.profiles:
        area = trained.spec.area(frame.width, frame.height)
        described["camera"] = describe_picture(area.cut(inputs.image))
    if prepared.range.present and "range" in trained.profiles:
        numbers = describe_returns(inputs.returns, inputs.returns_valid)
        if numbers is not None:
            described["range"] = numbers
    return Described(prepared, inputs, described)


class InputSamples:
    """Describes some of the samples of a log, in order.

    Args:
        trained: The weights to compare with.
        ticks: How many samples are expected.
    """

    def __init__(self, trained: TrainedInputs, ticks: int) -> None:
        self._trained = trained
        self._every = max(ticks // SAMPLES, 1)
        self._seen = 0
        self.pictures = 0
        self.unusable: Counter[str] = Counter()
        """Why pictures among the samples give no pixels."""
        self.placed = self.in_picture = 0
        """Scans among the samples whose returns can be placed, and of these those with one in the picture."""
        self.scan_frame = ""
        self._described: dict[str, list[Float64]] = {name: [] for name in trained.profiles}

    def add(self, sample: Sample) -> None:
        """Add the next sample; one of several is described."""
        if sample.tick.kind != "reference":
            return
        self._seen += 1
        if self._seen % self._every:
            return
        prepared, inputs, described = describe(sample, self._trained)
        if sample.camera.present:
            self.pictures += 1
            if not prepared.camera.present:
                self.unusable[prepared.camera.reason] += 1
        if prepared.range.value is not None and sample.rig.obstacle(prepared.range.value.frame_id) is None:
            self.placed += 1
            self.in_picture += bool((inputs.returns[:, _IN_IMAGE] * inputs.returns_valid).any())
            self.scan_frame = prepared.range.value.frame_id
        for name, numbers in described.items():
            self._described[name].append(numbers)

    def distances(self) -> dict[str, TrainingDistance]:
        """Return the distance of each input that was present and has a profile."""
        distances = {}
        for name, rows in self._described.items():
            if rows:
                profile, table = self._trained.profiles[name], np.array(rows)
                times = float(np.median(profile.distances(table))) / profile.usual
                differences = dict(profile.differences(table))
                limit = profile.limit / profile.usual
                distances[name] = TrainingDistance(times, limit, len(rows), differences)
        return distances
