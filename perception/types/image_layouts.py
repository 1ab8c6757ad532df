"""The layouts of raw images, by the names that ROS (`sensor_msgs/image_encodings`) and Foxglove give them."""

from __future__ import annotations

from typing import Literal, NamedTuple

LayoutKind = Literal["packed", "bayer", "yuv", "depth"]


class Layout(NamedTuple):
    """How the pixels of a raw image lie in memory.

    Attributes:
        kind: `packed`: the channels of a pixel one after the other; `bayer`: one colour a pixel; `yuv`: as
            its name says; `depth`: distances, no colours.
        channels: Samples of a pixel in the first plane.
        sample: Bytes of a sample, little-endian.
        planes: Rows that follow the first plane, in halves of its height: 1 for 4:2:0, 4 for 4:4:4.
        even: Whether width and height must be even.
    """

    kind: LayoutKind
    channels: int
    sample: int = 1
    planes: int = 0
    even: bool = False


_BAYER = ("rggb", "bggr", "gbrg", "grbg")
LAYOUTS: dict[str, Layout] = {
    **{f"{order}{8 * size}": Layout("packed", 3, size) for order in ("rgb", "bgr") for size in (1, 2)},
    **{f"{order}{8 * size}": Layout("packed", 4, size) for order in ("rgba", "bgra") for size in (1, 2)},
    "mono8": Layout("packed", 1),
    "mono16": Layout("packed", 1, 2),
    **{f"bayer_{order}{8 * size}": Layout("bayer", 1, size) for size in (1, 2) for order in _BAYER},
    **{name: Layout("yuv", 2, even=True) for name in ("uyvy", "yuyv", "yvyu")},
    **{name: Layout("yuv", 1, planes=1, even=True) for name in ("nv12", "nv21", "i420", "yv12")},
    "nv24": Layout("yuv", 1, planes=4),
    "16UC1": Layout("depth", 1, 2),
    "32FC1": Layout("depth", 1, 4),
}
"""Layout name -> its form. Of 16 bit colours the high byte is taken. Depth: `16UC1` (mm), `32FC1` (m)."""

_GENICAM = (("rg", "rggb"), ("bg", "bggr"), ("gb", "gbrg"), ("gr", "grbg"))
_ALIASES = (
    {"8uc1": "mono8", "8uc3": "bgr8", "8uc4": "bgra8", "16uc3": "bgr16", "16uc4": "bgra16"}
    | {"rgb": "rgb8", "bgr": "bgr8", "rgba": "rgba8", "bgra": "bgra8"}
    | {"mono": "mono8", "gray": "mono8", "grey": "mono8", "gray8": "mono8", "gray16": "mono16"}
    | dict.fromkeys(("yuv422", "yuv422_uyvy", "uyvy422", "y422"), "uyvy")
    | dict.fromkeys(("yuv422_yuy2", "yuv422_yuyv", "yuyv422", "yuy2"), "yuyv")
    | dict.fromkeys(("yuv420", "yuv420p", "iyuv", "yu12"), "i420")
    | {f"{start}{a}8": f"bayer_{b}8" for start in ("bayer_", "bayer") for a, b in _GENICAM}
)
_BY_LOWER = {name.lower(): name for name in LAYOUTS}


ENCODED = ("jpeg", "jpg", "png", "webp")
"""The formats of encoded images."""


def layout_name(encoding: str) -> str | None:
    """Return the usual name of an encoding; None for one that is not read."""
    name = encoding.strip().lower()
    return _BY_LOWER.get(_ALIASES.get(name, name).lower())


def needed_bytes(layout: Layout, step: int, row: int, height: int) -> int:
    """Return the bytes of an image whose last row has no padding."""
    rows = height + height * layout.planes // 2
    return step * (rows - 1) + row
