"""Samples to arrays: pixels, returns and status as a model sees them (numpy and OpenCV, no torch)."""

from perception.preprocess.pixels import MAX_PIXELS, image_pixels
from perception.preprocess.prepare import prepare_inputs
from perception.preprocess.returns import projects, returns_array
from perception.preprocess.spec import InputSpec
from perception.preprocess.status import status_array

__all__ = [
    "MAX_PIXELS",
    "InputSpec",
    "image_pixels",
    "prepare_inputs",
    "projects",
    "returns_array",
    "status_array",
]
