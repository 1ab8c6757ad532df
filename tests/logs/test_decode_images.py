"""Images are recognised and measured by their own bytes, and a file that is none is refused."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.logs.decoding.checks import DecodeError, checked_size
from perception.logs.decoding.image_header import read_header
from perception.logs.decoding.image_layouts import raw_step
from perception.logs.decoding.images import little_endian


def encoded(kind: str, width: int, height: int, *options: int) -> bytes:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    good, data = cv2.imencode(kind, pixels, list(options))
    assert good
    return bytes(data.tobytes())


KINDS = {
    "jpeg": (".jpg", ()),
    "jpeg progressive": (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "jpeg restart markers": (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
    "png": (".png", ()),
    "webp lossy": (".webp", (cv2.IMWRITE_WEBP_QUALITY, 50)),
    "webp lossless": (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
}


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=8)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_the_header_gives_format_and_size(name: str, width: int, height: int) -> None:
    extension, options = KINDS[name]
    found = read_header(memoryview(encoded(extension, width, height, *options)))
    assert found == (name.split()[0], width, height)


def test_a_webp_of_the_extended_kind() -> None:
    data = (
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0"
        + (641).to_bytes(3, "little")
        + (479).to_bytes(3, "little")
    )
    assert read_header(data) == ("webp", 642, 480)


def test_segments_before_the_frame_are_stepped_over() -> None:
    data = encoded(".jpg", 33, 44)
    exif = b"\xff\xe1" + struct.pack(">H", 60000) + b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01" + bytes(59989)
    fill = b"\xff\xff\xff\xfe\x00\x04ab"
    assert read_header(data[:2] + exif + fill + data[2:]) == ("jpeg", 33, 44)


def test_a_jpeg_without_its_end_is_left_to_the_pixel_stage() -> None:
    assert read_header(encoded(".jpg", 64, 32)[:700]) == ("jpeg", 64, 32)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
def test_an_image_cut_in_its_header_is_refused(extension: str) -> None:
    data = encoded(extension, 64, 32)
    for length in (1, 3, 9, 11, 15, 19, 23):
        with pytest.raises(DecodeError):
            read_header(data[:length])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "without bytes"),
        (
            b"GIF89a\x01\x00\x01\x00",
            "expected a JPEG, PNG or WebP image, found 10 bytes that start with 474946",
        ),
        (b"\x00\x00\x00\x01\x67\x42\x00\x1f", "video stream"),
        (b"\xff\xd8\xff\xd9", "cut or broken in its header"),
        (b"\xff\xd8" + b"\xff" * 50, "cut or broken"),
        (b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x10\x01", "0 pixels|16x0"),
        (b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01", "65535x65535"),
    ],
)
def test_what_is_no_image_is_refused_with_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        checked_size(*read_header(data)[1:])


def test_endless_segments_are_given_up() -> None:
    with pytest.raises(DecodeError, match="cut or broken"):
        read_header(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000)


@pytest.mark.parametrize(
    ("encoding", "layout", "row"),
    [
        ("rgb8", "rgb8", 30),
        ("8UC3", "bgr8", 30),
        ("mono16", "mono16", 20),
        ("16UC1", "16UC1", 20),
        ("32FC1", "32FC1", 40),
    ],
)
def test_raw_layouts(encoding: str, layout: str, row: int) -> None:
    assert raw_step(encoding, 10, 4, 0, 4 * row) == (layout, row)
    assert raw_step(encoding, 10, 4, row + 6, 4 * (row + 6) - 6) == (
        layout,
        row + 6,
    )  # the last row needs no padding
    with pytest.raises(DecodeError, match=f"needs {4 * row} bytes, found {4 * row - 1}"):
        raw_step(encoding, 10, 4, 0, 4 * row - 1)
    with pytest.raises(DecodeError, match="the step is"):
        raw_step(encoding, 10, 4, row - 1, 1000)


def test_rows_of_an_image_of_exactly_that_size_have_no_padding_whatever_the_step_says() -> None:
    assert raw_step("nv21", 10, 4, 20, 60) == ("nv21", 10)  # ROS counts two channels of NV21
    with pytest.raises(DecodeError, match="with step 20 needs 110 bytes, found 61"):
        raw_step("nv21", 10, 4, 20, 61)


def test_an_unknown_raw_layout_is_named() -> None:
    with pytest.raises(DecodeError, match="found 'nv99'"):
        raw_step("nv99", 10, 4, 0, 1000)


def test_big_endian_samples_are_swapped() -> None:
    pixels = np.arange(12, dtype=np.uint16) * 1000
    swapped = little_endian("mono16", 8, pixels.astype(">u2").tobytes() + b"\x00")
    assert np.array_equal(np.frombuffer(swapped, "<u2"), pixels)
    assert little_endian("rgb8", 30, b"abc") == b"abc"


@pytest.mark.parametrize("name", ["uyvy", "yuyv", "yvyu", "nv12", "nv21", "i420", "yv12"])
def test_colours_of_pairs_of_pixels_need_even_sizes(name: str) -> None:
    halves_rows = name in ("nv12", "nv21", "i420", "yv12")
    assert raw_step(name, 4, 2, 0, 1000)[0] == name
    for width, height, fits in ((5, 2, False), (4, 3, not halves_rows), (5, 3, False)):
        if fits:
            raw_step(name, width, height, 0, 1000)
            continue
        with pytest.raises(DecodeError, match=f"{width}x{height} pixels is no {name}"):
            raw_step(name, width, height, 0, 1000)
