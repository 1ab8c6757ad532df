"""Depth images as others encode them: RVL, TIFF and PNG, whole and damaged."""

from __future__ import annotations

import struct
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.logs.decoding.checks import DecodeError, Tail
from perception.logs.decoding.images import encoded_depth
from perception.logs.decoding.rvl import decode_rvl

HEAD = ("/depth", 1, 1, "camera")
TAIL = Tail(source=b"", stamped=True, stamp_problem="")
METRES = np.array([[0.0, 1.5, 65.535], [0.25, 3.0, 0.001]])


def encoded_rvl(values: np.ndarray) -> bytes:
    """Encode as Wilson's program does, nibble by nibble."""
    nibbles: list[int] = []

    def write(value: int) -> None:
        while True:
            nibble, value = value & 7, value >> 3
            nibbles.append(nibble | (8 if value else 0))
            if not value:
                return

    flat, at, previous = values.ravel().tolist(), 0, 0
    while at < len(flat):
        zeros = next((i for i, v in enumerate(flat[at:]) if v), len(flat) - at)
        at += zeros
        count = next((i for i, v in enumerate(flat[at:]) if not v), len(flat) - at)
        write(zeros)
        write(count)
        for value in flat[at : at + count]:
            delta = value - previous
            write(delta << 1 if delta >= 0 else (-delta << 1) - 1)
            previous = value
        at += count
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack(f"<{len(words)}I", *words)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), empty=st.sampled_from([0.0, 0.3, 0.95, 1.0]))
def test_rvl_gives_back_every_value(seed: int, empty: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 1 << rng.integers(2, 17), rng.integers(1, 300)).astype(np.uint16)
    values[rng.random(len(values)) < empty] = 0
    np.testing.assert_array_equal(decode_rvl(encoded_rvl(values), len(values)), values)


def test_rvl_that_is_cut_or_wrong_is_refused() -> None:
    values = np.arange(1, 400, dtype=np.uint16)
    data = encoded_rvl(values)
    long = struct.pack("<2I", 0x01888888, 0x88888100)  # one value whose difference has 12 nibbles
    for broken, count in (
        (data[: len(data) // 2], 399),
        (data, 200),
        (b"", 1),
        (b"\xff" * 64, 10),
        (long, 1),
    ):
        with pytest.raises(DecodeError, match="RVL data"):
            decode_rvl(broken, count)
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        with suppress(DecodeError):
            assert decode_rvl(bytes(damaged), 399).shape == (399,)


@pytest.mark.parametrize("text", ["16UC1; compressedDepth rvl", "16UC1; compressedDepth rvl16"])
def test_a_depth_image_compressed_as_rvl(text: str) -> None:
    values = (1000 * METRES).round().astype(np.uint16)
    data = b"\0" * 12 + struct.pack("<II", 3, 2) + encoded_rvl(values)
    found = encoded_depth(HEAD, TAIL, data, text)
    np.testing.assert_allclose(found.depth_m, np.where(METRES > 0, METRES, np.nan), rtol=1e-6)


def test_a_floating_depth_image_compressed_as_rvl_is_quantised_by_its_inverse() -> None:
    a, b = 1000.0, -20.0
    data = struct.pack("<iffII", 0, a, b, 3, 1) + encoded_rvl(np.array([0, 480, 980], np.uint16))
    found = encoded_depth(HEAD, TAIL, data, "32FC1; compressedDepth rvl")
    np.testing.assert_allclose(found.depth_m, [[np.nan, a / (480 - b), a / (980 - b)]], rtol=1e-6)


@pytest.mark.parametrize("text", ["32FC1; tiff compressed ", "tiff", "16UC1; tiff compressed"])
@pytest.mark.parametrize("kind", ["float32", "uint16"])
def test_a_tiff_is_metres_as_floats_and_millimetres_as_integers(kind: str, text: str) -> None:
    values = METRES.astype(np.float32) if kind == "float32" else (1000 * METRES).round().astype(np.uint16)
    data = cv2.imencode(".tiff", values)[1].tobytes()
    found = encoded_depth(HEAD, TAIL, data, text)
    np.testing.assert_allclose(found.depth_m, np.where(METRES > 0, METRES, np.nan), rtol=1e-5)


def test_what_is_no_depth_says_what_is_expected() -> None:
    for values, words in (
        (np.zeros((4, 4), np.uint8), "found a TIFF of uint8"),
        (np.zeros((4, 4, 3), np.uint16), "does not decode"),
    ):
        with pytest.raises(DecodeError, match=words):
            encoded_depth(HEAD, TAIL, cv2.imencode(".tiff", values)[1].tobytes(), "tiff")
    whole = cv2.imencode(".tiff", METRES.astype(np.float32))[1].tobytes()
    for cut in (whole[:8], whole[: len(whole) // 2], b"II*\0"):
        with pytest.raises(DecodeError):
            encoded_depth(HEAD, TAIL, cut, "tiff")
    jpeg = cv2.imencode(".jpg", np.zeros((4, 4), np.uint8))[1].tobytes()
    with pytest.raises(DecodeError, match="a PNG or TIFF of one channel"):
        encoded_depth(HEAD, TAIL, jpeg, "16UC1; jpeg")


def test_a_size_beyond_any_sensor_is_refused_before_it_is_allocated() -> None:
    huge = b"\0" * 12 + struct.pack("<II", 1 << 16, 1 << 16) + b"\0" * 64
    with pytest.raises(DecodeError, match="65536x65536 pixels"):
        encoded_depth(HEAD, TAIL, huge, "16UC1; compressedDepth rvl")
    small = cv2.imencode(".tiff", METRES.astype(np.float32))[1].tobytes()
    entry = small.index(struct.pack("<HH", 256, 3)) if struct.pack("<HH", 256, 3) in small else -1
    assert entry > 0
    wide = small[: entry + 2] + struct.pack("<HII", 4, 1, 1 << 30) + small[entry + 12 :]
    with pytest.raises(DecodeError, match="pixels"):
        encoded_depth(HEAD, TAIL, wide, "tiff")
