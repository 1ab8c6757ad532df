"""Changes to a sample that keep its sensors consistent: what happens to one happens to all that saw the same.

Everything is drawn from a generator that depends on seed, step and place in the batch alone, so that a
resumed run sees what an uninterrupted one would have seen. Distances are never touched: there is no zoom,
because a picture made larger would show objects nearer than the range sensor says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.models.config import ModelConfig
from perception.models.preprocess import InputSpec
from perception.models.tensors import RETURN_CHANNELS, Inputs
from perception.training.data.training_sample import SampleTruth, TrainingSample
from perception.training.train_config import AugmentConfig
from perception.types import KINDS

U, V, BEARING, RANGE, IN_IMAGE = (
    RETURN_CHANNELS.index(name) for name in ("u", "v", "bearing", "range_m", "in_image")
)
_ARRAYS = [kind.arrays for kind in KINDS.values()]
_NOISE_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Draws and applies the changes of a configuration.

    Attributes:
        config: What may happen, how often, how strongly.
        model: Names the channels that change sign in a mirror.
        spec: Size of the image.
    """

    config: AugmentConfig
    model: ModelConfig
    spec: InputSpec

    def __call__(
        self,
        example: TrainingSample,
        rng: np.random.Generator,
        before: Callable[[], tuple[TrainingSample, float] | None],
    ) -> TrainingSample:
        """The sample, changed.

        Args:
            example: Its arrays may be overwritten.
            rng: Where chance comes from.
            before: Gives the sample before and the seconds between, or None.
        """
        config = self.config
        if rng.random() < config.late:
            example = _late(example, before(), rng)
        if rng.random() < config.mirror:
            example = self.mirrored(example)
        inputs = example.inputs
        if inputs.present[0]:
            inputs = inputs._replace(image=photometric(inputs.image, config, rng))
        if inputs.present[1]:
            inputs = _disturbed(inputs, config, self.spec, rng)
        if inputs.present[2]:
            lost = rng.random(inputs.status.shape[1]) < config.lost_status
            inputs.status[:, lost] = np.nan
            if not np.isfinite(inputs.status).any():
                inputs = without(inputs, 2)
        return example._replace(inputs=_dropped(inputs, config, rng))

    def mirrored(self, example: TrainingSample) -> TrainingSample:
        """Left and right exchanged: image, returns, boxes, and every channel whose sign is a side."""
        inputs, truth = example.inputs, example.truth
        returns = inputs.returns.copy()
        inside = returns[:, IN_IMAGE] > 0
        returns[inside, U] = self.spec.width - returns[inside, U]
        returns[:, BEARING] *= -1
        boxes = truth.boxes.copy()
        boxes[:, [0, 2]] = self.spec.width - truth.boxes[:, [2, 0]]
        status_sign = self._signs([q.name for q in self.model.status])
        control_sign = self._signs([q.name for q in self.model.control])
        return example._replace(
            inputs=inputs._replace(
                image=np.ascontiguousarray(inputs.image[:, :, ::-1]),
                returns=returns * inputs.returns_valid[:, None],
                status=inputs.status * status_sign,
            ),
            truth=truth._replace(
                boxes=boxes, control=truth.control * control_sign, measured=truth.measured * control_sign
            ),
        )

    def _signs(self, names: list[str]) -> NDArray[np.float32]:
        return np.array([-1.0 if name in self.config.odd else 1.0 for name in names], np.float32)


def photometric(
    image: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Another light, another camera: gamma, contrast, brightness and colour as one table for each channel,
    then a blur or none, then noise. uint8 [3, H, W]."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma = 1 + config.gamma * rng.uniform(-1, 1)
    gain = (1 + config.contrast * rng.uniform(-1, 1)) * (1 + config.colour * rng.uniform(-1, 1, 3))
    offset = config.brightness * rng.uniform(-0.5, 0.5)
    curve = levels ** max(gamma, 0.05)
    changed = np.empty_like(image)
    blurred = rng.random() < config.blur
    for channel in range(3):
        table = np.clip(((curve - 0.5) * gain[channel] + 0.5 + offset) * 255 + 0.5, 0, 255).astype(np.uint8)
        plane = cv2.LUT(image[channel], table)
        changed[channel] = cv2.GaussianBlur(plane, (3, 3), 0) if blurred else plane
    sigma = config.noise * rng.random() ** 2  # mostly little
    if sigma >= 0.5:
        changed = _noisy(changed, sigma, rng)
    return changed


_POOL = np.clip(np.random.default_rng(0).standard_normal(_NOISE_SIZE) * 32, -127, 127).astype(np.int16)


def _noisy(image: NDArray[np.uint8], sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gaussian noise from a pool, read from another place each time: drawing it costs ten times more."""
    scaled = np.clip(_POOL * np.float32(sigma / 32), -127, 127).astype(np.int16)
    flat = image.reshape(-1)
    out = np.empty_like(flat)
    for start in range(0, flat.size, _NOISE_SIZE // 2):
        part = flat[start : start + _NOISE_SIZE // 2]
        at = int(rng.integers(0, _NOISE_SIZE - part.size + 1))
        out[start : start + part.size] = np.clip(part.astype(np.int16) + scaled[at : at + part.size], 0, 255)
    return out.reshape(image.shape)


def without(inputs: Inputs, sensor: int) -> Inputs:
    """The inputs with a sensor absent: zeros, and `present` 0."""
    gone = {name: np.zeros_like(getattr(inputs, name)) for name in _ARRAYS[sensor]}
    present, age = inputs.present.copy(), inputs.age_s.copy()
    present[sensor] = age[sensor] = 0
    return inputs._replace(present=present, age_s=age, **gone)


def _dropped(inputs: Inputs, config: AugmentConfig, rng: np.random.Generator) -> Inputs:
    """Modality dropout. When all that are present would go and may not, the draw is repeated."""
    chances = np.array([config.drop.camera, config.drop.range, config.drop.status])
    for _ in range(20):
        gone = (rng.random(3) < chances) & (inputs.present > 0)
        if config.drop.all or not (inputs.present > 0).any() or ((inputs.present > 0) & ~gone).any():
            break
    else:
        return inputs  # so likely to lose all that nothing else comes up
    for sensor in np.flatnonzero(gone):
        inputs = without(inputs, int(sensor))
    return inputs


def _disturbed(inputs: Inputs, config: AugmentConfig, spec: InputSpec, rng: np.random.Generator) -> Inputs:
    """Returns lost, ranges noisy, the rig's calibration a little wrong."""
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
    example: TrainingSample, before: tuple[TrainingSample, float] | None, rng: np.random.Generator
) -> TrainingSample:
    """Range or status of the sample before, and its age accordingly: a slow transport."""
    if before is None:
        return example
    earlier, seconds = before
    sensor = int(rng.integers(1, 3))
    if not (example.inputs.present[sensor] and earlier.inputs.present[sensor]):
        return example
    age = example.inputs.age_s.copy()
    age[sensor] = earlier.inputs.age_s[sensor] + seconds
    taken = {name: getattr(earlier.inputs, name) for name in _ARRAYS[sensor]}
    return example._replace(inputs=example.inputs._replace(age_s=age, **taken))


def easier(truth: SampleTruth, min_height_px: float, min_visible: float) -> NDArray[np.bool_]:
    """[..., N] which boxes a stage of a curriculum leaves out."""
    height = truth.boxes[..., 3] - truth.boxes[..., 1]
    hard: NDArray[np.bool_] = (truth.labels >= 0) & ((height < min_height_px) | (truth.visible < min_visible))
    return hard
