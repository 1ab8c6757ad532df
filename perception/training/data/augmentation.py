"""Augmentation of training samples, consistent over their sensors.

All random numbers come from a generator that depends on seed, step and position in the batch alone, so a
resumed run sees the same samples as an uninterrupted one. There is no zoom: objects in an enlarged image
would look nearer than the range sensor measures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.models.config import ModelConfig
from perception.models.preprocess import InputSpec
from perception.models.tensors import RETURN_CHANNELS, Inputs
from perception.training.data.training_sample import SampleTruth, TrainingSample
from perception.training.train_config import AugmentConfig
from perception.types import KINDS, head_spec

U, V, BEARING, RANGE, IN_IMAGE = (
    RETURN_CHANNELS.index(name) for name in ("u", "v", "bearing", "range_m", "in_image")
)
_ARRAYS = [kind.arrays for kind in KINDS.values()]
_NOISE_SIZE = 1 << 20

EVEN = frozenset(("speed", "acceleration", "throttle", "brake"))
"""Channels that are in a mirror image as they are. Of any other that is not named odd, nobody has said it."""

MOST_SMEAR_PX = 9
"""The longest motion of the camera during an exposure, input pixels."""


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Draws and applies the augmentations of a configuration.

    Attributes:
        config: Probabilities and strengths.
        model: Its channels; `config.odd` names those whose sign a mirror image changes.
        spec: Size of the image.
    """

    config: AugmentConfig
    model: ModelConfig
    spec: InputSpec

    def __call__(
        self,
        sample: TrainingSample,
        rng: np.random.Generator,
        before: Callable[[], tuple[TrainingSample, float] | None],
    ) -> TrainingSample:
        """Return the augmented sample.

        Args:
            sample: Its arrays may be overwritten.
            rng: The source of all random numbers.
            before: Returns the sample before and the seconds between, or None.
        """
        config = self.config
        if rng.random() < config.late:
            sample = _late(sample, before(), rng)
        if rng.random() < config.mirror:
            sample = self.mirrored(sample)
        inputs = sample.inputs
        if inputs.present[0]:
            inputs = inputs._replace(image=photometric(inputs.image, config, rng))
        if inputs.present[1]:
            inputs = _disturbed(inputs, config, self.spec, rng)
        if inputs.present[2]:
            lost = rng.random(inputs.status.shape[1]) < config.lost_status
            inputs.status[:, lost] = np.nan
            if not np.isfinite(inputs.status).any():
                inputs = without(inputs, 2)
        return sample._replace(inputs=_dropped(inputs, config, rng))

    def mirrored(self, sample: TrainingSample) -> TrainingSample:
        """Return the mirror image: image, returns, boxes, and the sign of all that is in `config.odd`."""
        inputs, truth = sample.inputs, sample.truth
        returns = inputs.returns.copy()
        inside = returns[:, IN_IMAGE] > 0
        returns[inside, U] = self.spec.width - returns[inside, U]
        returns[:, BEARING] *= -1
        boxes = truth.boxes.copy()
        boxes[:, [0, 2]] = self.spec.width - truth.boxes[:, [2, 0]]
        status_sign = self._signs([q.name for q in self.model.status])
        control_sign = self._signs([q.name for q in self.model.control])
        return sample._replace(
            inputs=inputs._replace(
                image=np.ascontiguousarray(inputs.image[:, :, ::-1]),
                returns=returns * inputs.returns_valid[:, None],
                status=inputs.status * status_sign,
            ),
            truth=truth._replace(
                boxes=boxes,
                control=truth.control * control_sign,
                measured=truth.measured * control_sign,
                extra=truth.extra * self._signs(_extra_names(self.model)),
            ),
        )

    def _signs(self, names: list[str]) -> NDArray[np.float32]:
        return np.array([-1.0 if name in self.config.odd else 1.0 for name in names], np.float32)


def sides_unsaid(model: ModelConfig, odd: Collection[str]) -> list[str]:
    """Return the channels of status, control and further heads that keep their sign in a mirror image,
    although nobody has said that they should: neither `EVEN` nor `odd` names them."""
    names = [*(q.name for q in (*model.status, *model.control)), *_extra_names(model)]
    return [name for name in dict.fromkeys(names) if name not in EVEN and name not in odd]


def _extra_names(model: ModelConfig) -> list[str]:
    """Return the names of the truth of the further heads, in the order of their columns."""
    return [name for head in model.extra_heads for name in head_spec(head).truth]


def photometric(
    image: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return an image [3, H, W] under another light and camera.

    Gamma, contrast, brightness and colour are one lookup table for each channel; a blur, that of a
    motion, and noise follow.
    """
    levels = np.arange(256, dtype=np.float32) / 255
    gamma = 1 + config.gamma * rng.uniform(-1, 1)
    gain = (1 + config.contrast * rng.uniform(-1, 1)) * (1 + config.colour * rng.uniform(-1, 1, 3))
    offset = config.brightness * rng.uniform(-0.5, 0.5)
    curve = levels ** max(gamma, 0.05)
    changed = np.empty_like(image)
    blurred = rng.random() < config.blur
    moved = motion_kernel(rng) if config.smear and rng.random() < config.smear else None
    for channel in range(3):
        table = np.clip(((curve - 0.5) * gain[channel] + 0.5 + offset) * 255 + 0.5, 0, 255).astype(np.uint8)
        plane = cv2.LUT(image[channel], table)
        plane = cv2.GaussianBlur(plane, (3, 3), 0) if blurred else plane
        changed[channel] = plane if moved is None else cv2.filter2D(plane, -1, moved)
    sigma = config.noise * rng.random() ** 2  # small values are the most frequent
    if sigma >= 0.5:
        changed = _noisy(changed, sigma, rng)
    return changed


def motion_kernel(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the kernel [n, n] of a straight motion of up to `MOST_SMEAR_PX` pixels; it sums to 1."""
    length, angle = rng.uniform(2, MOST_SMEAR_PX), rng.uniform(0, np.pi)
    steps = np.linspace(-0.5, 0.5, 4 * MOST_SMEAR_PX) * length
    x, y = (steps * f(angle) + MOST_SMEAR_PX // 2 for f in (np.cos, np.sin))
    kernel = np.zeros((MOST_SMEAR_PX, MOST_SMEAR_PX), np.float32)
    np.add.at(kernel, (y.round().astype(int), x.round().astype(int)), np.float32(1 / len(steps)))
    return kernel


_POOL = np.clip(np.random.default_rng(0).standard_normal(_NOISE_SIZE) * 32, -127, 127).astype(np.int16)


def _noisy(image: NDArray[np.uint8], sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add Gaussian noise from a fixed pool, read at a random offset: drawing it anew costs ten times more."""
    scaled = np.clip(_POOL * np.float32(sigma / 32), -127, 127).astype(np.int16)
    flat = image.reshape(-1)
    out = np.empty_like(flat)
    for start in range(0, flat.size, _NOISE_SIZE // 2):
        part = flat[start : start + _NOISE_SIZE // 2]
        at = int(rng.integers(0, _NOISE_SIZE - part.size + 1))
        out[start : start + part.size] = np.clip(part.astype(np.int16) + scaled[at : at + part.size], 0, 255)
    return out.reshape(image.shape)


def without(inputs: Inputs, sensor: int) -> Inputs:
    """Return the inputs with a sensor absent: zeros, and `present` 0."""
    gone = {name: np.zeros_like(getattr(inputs, name)) for name in _ARRAYS[sensor]}
    present, age = inputs.present.copy(), inputs.age_s.copy()
    present[sensor] = age[sensor] = 0
    return inputs._replace(present=present, age_s=age, **gone)


def _dropped(inputs: Inputs, config: AugmentConfig, rng: np.random.Generator) -> Inputs:
    """Drop sensors at random; the draw is repeated where all would go and `config.drop.all` is off."""
    chances = np.array([config.drop.camera, config.drop.range, config.drop.status])
    for _ in range(20):
        gone = (rng.random(3) < chances) & (inputs.present > 0)
        if config.drop.all or not (inputs.present > 0).any() or ((inputs.present > 0) & ~gone).any():
            break
    else:
        return inputs  # the probabilities are so high that every draw loses all sensors
    for sensor in np.flatnonzero(gone):
        inputs = without(inputs, int(sensor))
    return inputs


def _disturbed(inputs: Inputs, config: AugmentConfig, spec: InputSpec, rng: np.random.Generator) -> Inputs:
    """Lose returns, add noise to ranges, and shift returns as a wrong extrinsic would."""
    returns, valid = inputs.returns.copy(), inputs.returns_valid.copy()
    count = len(valid)
    if rng.random() < config.lost_returns:
        lost = rng.random(count) < rng.random() ** 2
        if (valid[~lost] > 0).any():
            valid[lost] = 0
    returns[:, RANGE] = np.maximum(returns[:, RANGE] + rng.normal(0, config.range_noise_m, count), 0.01)
    shift = rng.uniform(-1, 1, 2) * config.rig_shift_px
    inside = returns[:, IN_IMAGE] > 0
    returns[inside, U] += shift[0]
    returns[inside, V] += shift[1]
    seen = (
        (returns[:, U] >= 0)
        & (returns[:, U] < spec.width)
        & (returns[:, V] >= 0)
        & (returns[:, V] < spec.height)
    )
    returns[inside & ~seen, IN_IMAGE] = 0
    returns[returns[:, IN_IMAGE] == 0, :2] = 0
    returns = (returns * valid[:, None]).astype(np.float32)
    return inputs._replace(returns=returns, returns_valid=valid)


def _late(
    sample: TrainingSample, before: tuple[TrainingSample, float] | None, rng: np.random.Generator
) -> TrainingSample:
    """Replace range or status by that of the sample before, and raise its age: a slow transport."""
    if before is None:
        return sample
    earlier, seconds = before
    sensor = int(rng.integers(1, 3))
    if not (sample.inputs.present[sensor] and earlier.inputs.present[sensor]):
        return sample
    age = sample.inputs.age_s.copy()
    age[sensor] = earlier.inputs.age_s[sensor] + seconds
    taken = {name: getattr(earlier.inputs, name) for name in _ARRAYS[sensor]}
    return sample._replace(inputs=sample.inputs._replace(age_s=age, **taken))


def too_hard(truth: SampleTruth, min_height_px: float, min_visible: float) -> NDArray[np.bool_]:
    """Return which boxes [..., N] a stage of a curriculum leaves out."""
    height = truth.boxes[..., 3] - truth.boxes[..., 1]
    hard: NDArray[np.bool_] = (truth.labels >= 0) & ((height < min_height_px) | (truth.visible < min_visible))
    return hard
