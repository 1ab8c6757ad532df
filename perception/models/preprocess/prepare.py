"""The arrays of one sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception.models.preprocess.pixels import UnusableImage, image_pixels
from perception.models.preprocess.returns import UnusableScan, merged_returns
from perception.models.preprocess.spec import InputSpec
from perception.models.preprocess.status import status_array
from perception.models.tensors import RETURN_CHANNELS, Inputs
from perception.types import Absent, Sample

BLANK = 1.5
"""Standard deviation, of 255 levels, below which a picture shows nothing: of a covered or a broken camera."""


def prepare_inputs(sample: Sample, spec: InputSpec) -> tuple[Sample, Inputs]:
    """Return the arrays of a sample, and the sample with unusable inputs made absent.

    Stateless and thread-safe. No content of a message raises: an image that does not decode or has one colour
    alone, a scan without a valid return and a window without a known value become absent inputs.

    Returns:
        The sample and `Inputs`: image uint8 [3, H, W], returns float32 [M, 8], returns_valid [M],
        status [T, S], present [3], age_s [3]. An absent input is zeros and `present = 0`.
    """
    absent: dict[str, Absent | str] = {}
    image = None
    returns = np.zeros((spec.returns, len(RETURN_CHANNELS)), dtype=np.float32)
    valid = np.zeros(spec.returns, dtype=np.float32)
    status = np.zeros((spec.status_steps, len(spec.status)), dtype=np.float32)
    if (frame := sample.camera.value) is not None:
        area = spec.area(frame.width, frame.height)
        try:
            image = image_pixels(frame, spec)
        except UnusableImage as error:
            absent["camera"] = Absent.with_detail("undecodable", str(error))
        else:
            if _is_blank(area.cut(image)):  # networks see objects in it that are not there
                absent["camera"], image = "the picture is of one colour: a covered or a broken camera", None
    try:
        merged = merged_returns(sample, spec)
        if merged is not None:
            returns, valid = merged
    except UnusableScan as error:
        absent["range"] = str(error)
    if sample.status.value is not None:
        window = status_array(sample.status.value, spec)
        if np.isfinite(window).any():
            status = window
        elif set(spec.status) & set(sample.status.value.names):
            absent["status"] = "no value in the window is known"
        else:
            absent["status"] = (
                f"none of the model's channels is configured ({', '.join(spec.status) or 'it has none'})"
            )
    sample = sample.with_absent(absent)
    present = np.array([float(given.present) for given in sample.inputs], dtype=np.float32)
    ages = [(given.age_ms or 0.0) / 1e3 if given.present else 0.0 for given in sample.inputs]
    if image is None:
        image = np.zeros((3, spec.height, spec.width), dtype=np.uint8)
    return sample, Inputs(image, returns, valid, status, present, np.array(ages, dtype=np.float32))


def _is_blank(image: NDArray[np.uint8]) -> bool:
    return bool(image[:, ::8, ::8].std((1, 2)).max() < BLANK)
