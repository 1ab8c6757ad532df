from __future__ import annotations

import contextlib
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.logs.decoding.image_header import read_extent, read_header
from perception.models.preprocess import BESIDE, InputSpec, PictureArea, image_pixels
from perception.models.preprocess.pixels import UnusableImage
from perception.models.preprocess.spec import Interpolation
from tests.models.preprocess.build import encoded, frame_of, picture

SPEC = InputSpec(width=64, height=32)
IMAGE = picture(64, 32)
FILES = {
    "jpeg": encoded(IMAGE, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "progressive jpeg": encoded(IMAGE, ".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "png": encoded(IMAGE, ".png"),
    "webp": encoded(IMAGE, ".webp", [cv2.IMWRITE_WEBP_QUALITY, 90]),
    "lossless webp": encoded(IMAGE, ".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}
EXACT = ("png", "lossless webp")


def with_exif(jpeg: bytes, orientation: int, thumbnail: bytes = b"") -> bytes:
    """The JPEG with an EXIF segment: an orientation, and what looks like a thumbnail."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0) + thumbnail
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def png_of_size(width: int, height: int) -> bytes:
    """A whole PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", FILES)
def test_encoded_images_become_rgb_planes(name: str) -> None:
    pixels = image_pixels(frame_of(memoryview(FILES[name])), SPEC)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, 32, 64)
    error = np.abs(pixels.astype(int) - IMAGE.transpose(2, 0, 1)).mean()
    assert error == 0 if name in EXACT else error < 6


@pytest.mark.parametrize("layout", ["rgb8", "bgr8", "rgba8", "bgra8"])
@pytest.mark.parametrize("padding", [0, 7])
def test_raw_colours_become_rgb_planes(layout: str, padding: int) -> None:
    raw = IMAGE if layout.startswith("rgb") else IMAGE[:, :, ::-1]
    if layout.endswith("a8"):
        raw = np.concatenate([raw, np.full((32, 64, 1), 9, np.uint8)], axis=2)
    rows = np.pad(raw.reshape(32, -1), ((0, 0), (0, padding)))
    step = rows.shape[1] if padding else 0
    frame = frame_of(rows.tobytes()[: rows.size - padding], layout, (64, 32), step)
    np.testing.assert_array_equal(image_pixels(frame, SPEC), IMAGE.transpose(2, 0, 1))


def test_grey_images_fill_all_planes() -> None:
    grey = IMAGE[:, :, 1]
    expected = np.stack([grey] * 3)
    np.testing.assert_array_equal(image_pixels(frame_of(grey.tobytes(), "mono8", (64, 32)), SPEC), expected)
    deep = (grey.astype("<u2") << 8) + 77
    np.testing.assert_array_equal(image_pixels(frame_of(deep.tobytes(), "mono16", (64, 32)), SPEC), expected)


@pytest.mark.parametrize("layout", ["bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"])
def test_bayer_mosaics_get_their_colours_back(layout: str) -> None:
    colour = {"r": 200, "g": 120, "b": 40}
    mosaic = np.tile([[colour[c] for c in layout[6:8]], [colour[c] for c in layout[8:10]]], (16, 32)).astype(
        np.uint8
    )
    pixels = image_pixels(frame_of(mosaic.tobytes(), layout, (64, 32)), SPEC)
    np.testing.assert_array_equal(pixels[:, 4:-4, 4:-4].reshape(3, -1).mean(axis=1), [200, 120, 40])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
def test_an_encoded_mosaic_gets_its_colours_back(order: str, suffix: str) -> None:
    colour = {"r": 255, "g": 128, "b": 0}
    cells = [[colour[c] for c in order[:2]], [colour[c] for c in order[2:]]]
    mosaic = np.tile(cells, (16, 32)).astype(np.uint8)
    data = cv2.imencode(suffix, mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    frame = replace(frame_of(data, suffix[1:].replace("jpg", "jpeg"), (64, 32)), mosaic=f"bayer_{order}8")
    pixels = image_pixels(frame, SPEC)[:, 4:-4, 4:-4].reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(pixels, [255, 128, 0], atol=3)


@pytest.mark.parametrize("layout", ["rgb16", "bgr16", "rgba16", "bgra16", "bayer_rggb16", "bayer_grbg16"])
def test_of_sixteen_bits_the_high_byte_counts(layout: str) -> None:
    colour = {"r": 200, "g": 120, "b": 40, "a": 9}
    if layout.startswith("bayer"):
        one = np.tile([[colour[c] for c in layout[6:8]], [colour[c] for c in layout[8:10]]], (16, 32))
    else:
        one = np.tile([colour[c] for c in layout[:-2]], (32, 64, 1))
    deep = (one.astype("<u2") << 8) + 77
    pixels = image_pixels(frame_of(deep.tobytes(), layout, (64, 32)), SPEC)
    np.testing.assert_array_equal(pixels[:, 4:-4, 4:-4].reshape(3, -1).mean(axis=1), [200, 120, 40])


def yuv_bytes(rgb: np.ndarray, layout: str, padding: int) -> tuple[bytes, int]:
    """An image in YUV (ITU-R BT.601, studio range), written out by the definition of each layout."""
    r, g, b = np.moveaxis(rgb.astype(float), 2, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b

    def rows(plane: np.ndarray, pad: int) -> bytes:
        return np.pad(np.rint(plane), ((0, 0), (0, pad))).astype(np.uint8).tobytes()

    height, width = y.shape
    if layout in ("uyvy", "yuyv", "yvyu"):
        cells = {"y": y, "u": np.repeat(u[:, ::2], 2, axis=1), "v": np.repeat(v[:, ::2], 2, axis=1)}
        planes, used = [], {"y": 0, "u": 0, "v": 0}
        for letter in layout:
            planes.append(cells[letter][:, used[letter] :: 2])
            used[letter] += letter == "y"
        return rows(np.stack(planes, axis=2).reshape(height, -1), padding), 2 * width + padding
    step = width + padding
    if layout == "nv24":
        return rows(y, padding) + rows(np.stack([u, v], axis=2).reshape(height, -1), 2 * padding), step
    small_u, small_v = u[::2, ::2], v[::2, ::2]
    if layout in ("nv12", "nv21"):
        pair = [small_u, small_v] if layout == "nv12" else [small_v, small_u]
        return rows(y, padding) + rows(np.stack(pair, axis=2).reshape(height // 2, -1), padding), step
    pair = [small_u, small_v] if layout == "i420" else [small_v, small_u]
    return rows(y, padding) + b"".join(rows(plane, padding // 2) for plane in pair), step


@pytest.mark.parametrize("layout", ["nv12", "nv21", "i420", "yv12", "uyvy", "yuyv", "yvyu", "nv24"])
@pytest.mark.parametrize("padding", [0, 8])
def test_every_yuv_layout_becomes_rgb(layout: str, padding: int) -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16, :32], image[:16, 32:] = (230, 120, 30), (30, 60, 200)
    image[16:, :32], image[16:, 32:] = (20, 180, 90), (128, 128, 128)
    data, step = yuv_bytes(image, layout, padding)
    pixels = image_pixels(frame_of(data, layout, (64, 32), step), SPEC)
    assert np.abs(pixels.astype(int) - image.transpose(2, 0, 1)).max() <= 4


@pytest.mark.parametrize("layout", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2"])
def test_interleaved_yuv_becomes_rgb(layout: str) -> None:
    y, u, v = cv2.cvtColor(np.uint8([[[200, 60, 30]]]), cv2.COLOR_RGB2YUV)[0, 0]
    cell = [u, y, v, y] if layout in ("uyvy", "yuv422") else [y, u, y, v]
    data = np.tile(np.array(cell, np.uint8), 32 * 32).tobytes()
    pixels = image_pixels(frame_of(data, layout, (64, 32)), SPEC)
    assert np.ptp(pixels.reshape(3, -1), axis=1).max() == 0
    assert pixels[0, 0, 0] > pixels[1, 0, 0] + 80, "red stays the strongest"
    assert pixels[1, 0, 0] > pixels[2, 0, 0], "and blue the weakest"


@pytest.mark.parametrize(
    ("interpolation", "down"), [("area", 3), ("area", 4), ("auto", 2), ("auto", 4), ("box", 4)]
)
def test_shrinking_averages_the_pixels_of_each_cell(interpolation: Interpolation, down: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (32 * down, 256, 3), dtype=np.uint8)
    pixels = image_pixels(frame_of(encoded(image, ".png")), replace(SPEC, interpolation=interpolation))
    cells = image.reshape(32, down, 64, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(pixels - cells).max() <= 1


def test_each_axis_is_stretched_to_the_input() -> None:
    tall = np.zeros((200, 50, 3), np.uint8)
    tall[100:] = 255
    pixels = image_pixels(frame_of(encoded(tall, ".png")), SPEC)
    assert pixels[:, :15].max() == 0
    assert pixels[:, 17:].min() == 255
    assert SPEC.area(50, 200) == PictureArea(0, 0, 64, 32, (50 / 64, 200 / 32))


@pytest.mark.parametrize(("width", "height"), [(320, 40), (40, 320), (96, 48), (100, 61)])
def test_a_picture_is_stretched_no_more_than_the_limits(width: int, height: int) -> None:
    image = picture(width, height)
    spec = replace(SPEC, stretch=(0.9, 1.2))
    pixels = image_pixels(frame_of(encoded(image, ".png"), "png", (width, height)), spec)
    area = spec.area(width, height)
    alone = replace(SPEC, width=area.width, height=area.height)
    np.testing.assert_array_equal(
        area.cut(pixels), image_pixels(frame_of(encoded(image, ".png"), "png"), alone)
    )
    beside = np.ones((3, 32, 64), bool)
    area.cut(beside)[:] = False
    assert (pixels[beside] == BESIDE).all()
    assert pixels[beside].size == 3 * (32 * 64 - area.width * area.height)


def test_a_picture_of_unknown_size_fills_the_input() -> None:
    data = encoded(picture(96, 48), ".png")
    limited = replace(SPEC, stretch=(1.0, 1.0))
    assert limited.area(0, 0) == PictureArea(0, 0, 64, 32, (1.0, 1.0))
    np.testing.assert_array_equal(
        image_pixels(frame_of(data, "png"), limited), image_pixels(frame_of(data, "png"), SPEC)
    )


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    least=st.floats(0.1, 1.0),
    most=st.floats(1.0, 5.0),
)
def test_the_area_of_a_picture(width: int, height: int, least: float, most: float) -> None:
    spec = replace(SPEC, stretch=(least, most))
    area = spec.area(width, height)
    assert (area.left, area.top) == ((64 - area.width) / 2, (32 - area.height) / 2)
    assert min(area.left, area.top) == 0
    across, down = area.scale
    assert (across * area.width, down * area.height) == pytest.approx((width, height))
    stretch = 64 * height / (32 * width)
    if least <= stretch <= most:
        assert (area.width, area.height) == (64, 32)
    elif min(area.width, area.height) > 8:  # smaller ones are a pixel off in many
        assert down / across == pytest.approx(min(max(stretch, least), most), rel=0.15)
    corners = np.array([[[0.0, 0.0], [width, height]]])
    np.testing.assert_allclose(
        area.to_source(area.to_input(corners)), corners, atol=1e-9 * max(width, height)
    )
    np.testing.assert_allclose(
        area.to_input(corners)[0], [[area.left, area.top], [64 - area.left, 32 - area.top]], atol=1e-9
    )
    np.testing.assert_allclose(area.input_size, (64 * across, 32 * down))


@pytest.mark.parametrize("limits", [(1.1, 1.5), (0.5, 0.9), (-1.0, 2.0), (float("nan"), 2.0)])
def test_limits_of_stretching_include_none(limits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="stretch must be"):
        replace(SPEC, stretch=limits)


def test_enlarging_keeps_the_picture() -> None:
    image = picture(16, 8)
    pixels = image_pixels(frame_of(encoded(image, ".png")), SPEC)
    back = cv2.resize(pixels.transpose(1, 2, 0), (16, 8), interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - image).mean() < 4


@pytest.mark.parametrize(("factor", "like"), [(1.4, "linear"), (1.6, "area"), (0.5, "area")])
def test_auto_is_linear_where_little_is_left_to_shrink(factor: float, like: str) -> None:
    frame = frame_of(encoded(picture(int(64 * factor), int(32 * factor)), ".png"))
    auto, other = (image_pixels(frame, replace(SPEC, interpolation=name)) for name in ("auto", like))
    np.testing.assert_array_equal(auto, other)


@pytest.mark.parametrize("size", [(70, 96), (100, 200), (129, 97)])
def test_auto_asks_for_both_axes(size: tuple[int, int]) -> None:
    frame = frame_of(encoded(picture(*size), ".png"))
    auto, area = (image_pixels(frame, replace(SPEC, interpolation=name)) for name in ("auto", "area"))
    np.testing.assert_array_equal(auto, area)


@given(width=st.integers(64, 127), height=st.integers(32, 63), times=st.integers(1, 3))
def test_auto_sees_a_larger_image_as_its_means(width: int, height: int, times: int) -> None:
    small = picture(width, height)
    large = small.repeat(2**times, axis=0).repeat(2**times, axis=1)
    of_small, of_large = (image_pixels(frame_of(encoded(image, ".png")), SPEC) for image in (small, large))
    np.testing.assert_array_equal(of_large, of_small)


@pytest.mark.parametrize("size", [(175, 49), (200, 100), (330, 35), (97, 300)])
def test_box_is_nearly_area_where_linear_aliases(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), np.uint8)
    frame = frame_of(encoded(cv2.GaussianBlur(noise, (3, 3), 0), ".png"))
    area, box, linear = (
        image_pixels(frame, replace(SPEC, interpolation=name)).astype(int)
        for name in ("area", "box", "linear")
    )
    errors = [np.abs(pixels - area).mean() for pixels in (box, linear)]
    assert errors[0] < 0.65 * errors[1]


@pytest.mark.parametrize("interpolation", ["area", "linear", "box"])
def test_decoding_at_a_scale_changes_little(interpolation: str) -> None:
    frame = frame_of(
        encoded(cv2.GaussianBlur(picture(640, 480), (7, 7), 2), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95])
    )
    full, half = (
        image_pixels(frame, InputSpec(width=160, height=96, interpolation=interpolation, decode_scale=scale))
        for scale in (1, 2)
    )
    assert 0 < np.abs(full.astype(int) - half).mean() < 2


@pytest.mark.parametrize("size", [(100, 50), (100, 400), (800, 50)])
def test_an_image_is_not_decoded_smaller_than_the_input(size: tuple[int, int]) -> None:
    frame = frame_of(encoded(picture(*size)))
    full, reduced = (
        image_pixels(frame, InputSpec(width=64, height=32, decode_scale=scale)) for scale in (1, 8)
    )
    np.testing.assert_array_equal(full, reduced)


def test_orientation_is_ignored() -> None:
    plain = FILES["jpeg"]
    turned = with_exif(plain, orientation=6)
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (64, 32), (
        "OpenCV would turn it"
    )
    np.testing.assert_array_equal(image_pixels(frame_of(turned), SPEC), image_pixels(frame_of(plain), SPEC))


@given(data=st.data())
def test_an_image_cut_short_is_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*FILES, "jpeg with a thumbnail"]))
    whole = FILES.get(name) or with_exif(FILES["jpeg"], 1, FILES["jpeg"])
    image_pixels(frame_of(whole), SPEC)
    cut = data.draw(st.integers(0, len(whole) - 5))
    with pytest.raises(UnusableImage):
        image_pixels(frame_of(whole[:cut]), SPEC)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image() -> None:
    whole = with_exif(FILES["jpeg"], 1, FILES["jpeg"])
    for cut in range(len(FILES["jpeg"]) + 100, len(whole) - 1):
        assert not read_extent(whole[:cut]).complete


def test_a_cut_image_says_so() -> None:
    with pytest.raises(UnusableImage, match="ends early"):
        image_pixels(frame_of(FILES["jpeg"][:-2]), SPEC)
    with pytest.raises(UnusableImage, match="ends early: 6000 bytes of 6144"):
        image_pixels(frame_of(bytes(6000), "rgb8", (64, 32)), SPEC)


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    image = cv2.imdecode(np.frombuffer(FILES["jpeg"], np.uint8), cv2.IMREAD_COLOR)
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    progressive = encoded.tobytes()
    extent = read_extent(progressive)
    assert done
    assert 5 <= extent.scans <= 15
    many = progressive[:-2] + progressive[progressive.rindex(b"\xff\xda") : -2] * 100 + b"\xff\xd9"
    with pytest.raises(UnusableImage, match=f"{extent.scans + 100} scans, at most 64"):
        image_pixels(frame_of(many), SPEC)


def test_scans_after_one_that_holds_all_there_is_are_not_gone_through() -> None:
    jpeg = FILES["jpeg"]
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    alone, many = (read_extent(jpeg[:-2] + scan * more + jpeg[-2:]) for more in (0, 100))
    assert alone.scans == 1
    assert many == alone
    whole = image_pixels(frame_of(jpeg), SPEC)
    np.testing.assert_array_equal(image_pixels(frame_of(jpeg[:-2] + scan * 100 + jpeg[-2:]), SPEC), whole)


def test_bytes_after_the_end_do_not_hurt() -> None:
    whole = image_pixels(frame_of(FILES["jpeg"]), SPEC)
    np.testing.assert_array_equal(image_pixels(frame_of(FILES["jpeg"] + bytes(100)), SPEC), whole)


@pytest.mark.parametrize(
    "frame", [frame_of(png_of_size(60_000, 60_000)), frame_of(b"", "rgb8", (60_000, 60_000))]
)
def test_a_decompression_bomb_is_refused_before_it_is_decoded(frame: object) -> None:
    began = time.perf_counter()
    with pytest.raises(UnusableImage, match="too large: 60000 x 60000"):
        image_pixels(frame, SPEC)  # type: ignore[arg-type]
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (frame_of(b""), "without data"),
        (frame_of(b"GIF89a" + bytes(50)), "not a JPEG, PNG or WebP"),
        (frame_of(png_of_size(64, 32)), "does not decode"),
        (frame_of(bytes(4096), "16UC1", (64, 32)), "depth image"),
        (frame_of(bytes(100), "rgb8", (0, 0)), "0 x 0"),
        (frame_of(bytes(10_000), "rgb8", (64, 32), 60), "too short"),
        (frame_of(bytes(10_000), "rgb8", (64, 32), -192), "too short"),
    ],
)
def test_what_is_no_image_says_why(frame: object, reason: str) -> None:
    with pytest.raises(UnusableImage, match=reason):
        image_pixels(frame, SPEC)  # type: ignore[arg-type]


@given(
    start=st.sampled_from(
        [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x02", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 "]
    ),
    rest=st.binary(max_size=300),
)
def test_any_bytes_are_pixels_or_refused(start: bytes, rest: bytes) -> None:
    with contextlib.suppress(UnusableImage):
        assert image_pixels(frame_of(start + rest), SPEC).shape == (3, 32, 64)


@pytest.mark.parametrize("name", FILES)
def test_headers_know_size_and_completeness(name: str) -> None:
    header = read_header(FILES[name])
    assert (header.width, header.height, read_extent(FILES[name]).complete) == (64, 32, True)


@pytest.mark.shared
@pytest.mark.slow
def test_the_default_pixels_are_faithful_on_a_real_street(shared: Path) -> None:
    """Against an exact box filter over the full image; `InputSpec` states the measured error."""
    from perception.logs import Query, decode, open_log
    from perception.types import CameraFrame

    with open_log(shared / "pandaset_002_front.mcap") as log:
        frame = decode(next(iter(log.messages(Query(topics=frozenset({"/camera/image"}))))), "camera")
    assert isinstance(frame, CameraFrame)
    full = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(np.float64)
    expected = np.einsum("ij,jkc->ikc", box_filter(1080, 256), full)
    expected = np.einsum("lk,ikc->cil", box_filter(1920, 512), expected)
    error = np.abs(image_pixels(frame, InputSpec()) - expected).mean() / 255
    assert error < 0.005


def box_filter(source: int, target: int) -> np.ndarray:
    """[target, source] weights: how much of each source pixel lies in each target pixel."""
    edges = np.arange(target + 1) * source / target
    low, high = (
        np.maximum(edges[:-1, None], np.arange(source)),
        np.minimum(edges[1:, None], np.arange(source) + 1),
    )
    weights = np.clip(high - low, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
