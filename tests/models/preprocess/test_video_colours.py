"""Decoded pictures become the colours that H.273 defines, at any input size."""

from __future__ import annotations

import numpy as np
import pytest

from perception.models.preprocess import InputSpec, image_pixels
from perception.models.preprocess.pixels import UnusableImage
from perception.types import CameraFrame

KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def frame(planes: list[np.ndarray], colours: str) -> CameraFrame:
    height, width = planes[0].shape
    data = b"".join(plane.tobytes() for plane in planes)
    return CameraFrame("", 0, 0, "", data, "i420", width, height, width, colours=colours)


def flat(rgb: tuple[float, float, float], colours: str, size: tuple[int, int]) -> list[np.ndarray]:
    """Planes of one colour, by equations 38 to 43 of H.273 (8 bits)."""
    name, _, extent = colours.partition(" ")
    kr, kb = KR_KB[name]
    r, g, b = (value / 255 for value in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    pb, pr = 0.5 * (b - y) / (1 - kb), 0.5 * (r - y) / (1 - kr)
    values = (
        (255 * y, 255 * pb + 128, 255 * pr + 128)
        if extent
        else (219 * y + 16, 224 * pb + 128, 224 * pr + 128)
    )
    width, height = size
    small = (height + 1) // 2, (width + 1) // 2
    shapes = ((height, width), small, small)
    return [
        np.full(shape, np.clip(round(value), 0, 255), np.uint8)
        for shape, value in zip(shapes, values, strict=True)
    ]


@pytest.mark.parametrize("colours", [f"{name}{extent}" for name in KR_KB for extent in ("", " full")])
@pytest.mark.parametrize(
    "rgb", [(200, 30, 60), (20, 180, 90), (20, 60, 250), (128, 128, 128), (255, 255, 255), (0, 0, 0)]
)
def test_a_colour_comes_back_as_it_was(colours: str, rgb: tuple[int, int, int]) -> None:
    picture = frame(flat(rgb, colours, (32, 16)), colours)
    pixels = image_pixels(picture, InputSpec(width=32, height=16))
    assert np.abs(pixels.astype(int) - np.array(rgb)[:, None, None]).max() <= 2


@pytest.mark.parametrize("size", [(31, 17), (33, 48), (64, 48)])
@pytest.mark.parametrize("target", [(16, 8), (32, 16), (128, 64)])
def test_odd_sizes_and_all_input_sizes_give_pixels(size: tuple[int, int], target: tuple[int, int]) -> None:
    picture = frame(flat((90, 120, 40), "bt709", size), "bt709")
    pixels = image_pixels(picture, InputSpec(width=target[0], height=target[1]))
    assert pixels.shape == (3, target[1], target[0])
    assert np.abs(pixels.astype(int) - np.array((90, 120, 40))[:, None, None]).max() <= 2


def test_resizing_before_colours_is_resizing_after_them() -> None:
    """Against the other order in floating point: colours at full size first, their mean over areas then."""
    rng = np.random.default_rng(3)
    y = np.kron(rng.integers(60, 200, (24, 32)), np.ones((4, 4))).astype(np.uint8)
    u, v = (np.kron(rng.integers(100, 156, (12, 16)), np.ones((4, 4))).astype(np.uint8) for _ in range(2))
    big = [np.kron(plane, np.ones((2, 2))) for plane in (u, v)]
    kr, kb = KR_KB["bt709"]
    luma, pb, pr = (y - 16.0) / 219, (big[0] - 128.0) / 224, (big[1] - 128.0) / 224
    red, blue = luma + 2 * (1 - kr) * pr, luma + 2 * (1 - kb) * pb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    full = np.clip(np.stack([red, green, blue]) * 255, 0, 255)
    expected = full.reshape(3, 24, 4, 32, 4).mean(axis=(2, 4))
    pixels = image_pixels(frame([y, u, v], "bt709"), InputSpec(width=32, height=24))
    assert np.abs(pixels - expected).mean() < 1
    assert np.abs(pixels - expected).max() < 4


def test_a_picture_with_missing_bytes_is_unusable() -> None:
    planes = flat((1, 2, 3), "bt601", (16, 16))
    with pytest.raises(UnusableImage, match="image data ends early: 320 bytes of 384"):
        image_pixels(frame(planes[:2], "bt601"), InputSpec(width=16, height=16))
