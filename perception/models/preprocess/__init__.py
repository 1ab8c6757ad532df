"""Samples to arrays: pixels, returns and status as a model sees them (numpy and OpenCV, no torch)."""

from perception.models.preprocess.pixels import BESIDE, MAX_PIXELS, image_pixels
from perception.models.preprocess.prepare import prepare_inputs
from perception.models.preprocess.returns import merged_returns, returns_array
from perception.models.preprocess.spec import InputSpec, PictureArea
from perception.models.preprocess.status import status_array

__all__ = [
    "BESIDE",
    "MAX_PIXELS",
    "InputSpec",
    "PictureArea",
    "image_pixels",
    "merged_returns",
    "prepare_inputs",
    "returns_array",
    "status_array",
]
