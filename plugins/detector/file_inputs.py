"""Which input of a file takes the picture, in which order of dimensions, and what the others are given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.engines.graph_file_backend import Port
from perception.errors import PluginError

DTYPES = ("float32", "float16", "float64", "uint8")
"""Types of numbers that a picture may be given in."""

_SIZES = {  # inputs that detectors take beside the picture, with what the input's own size makes of them
    "orig_target_sizes": ("width", "height"),
    "im_shape": ("height", "width"),
    "image_shape": ("height", "width"),
    "scale_factor": ("one", "one"),
}
_MASK = "pixel_mask"  # 1 where the input holds a picture (DETR of Hugging Face)


class PicturePort(NamedTuple):
    """The input that takes the picture. `size` is width and height; None where the file leaves them open."""

    name: str
    dtype: np.dtype[Any]
    form: str  # NCHW, NHWC, CHW or HWC
    rows: int
    size: tuple[int | None, int | None]


def picture_port(ports: Sequence[Port], wanted: str | None) -> PicturePort:
    """Return the input for the picture.

    Args:
        ports: The file's inputs.
        wanted: The name that is configured, if any.

    Raises:
        PluginError: There is none that has the shape and type of a picture, or several.
    """
    listing = "; ".join(f"{port.name} {port.dtype} {shape_text(port.shape)}" for port in ports)
    named = [port for port in ports if wanted in (None, port.name)]
    forms = [(port, form) for port in named if (form := _form_of(port)) is not None]
    if not forms:
        raise PluginError(
            "model: expected an input for a picture, as [1, 3, H, W] or [1, H, W, 3] of "
            f"{', '.join(DTYPES)}, found {listing}; export the detector with its picture as input"
        )
    if len(forms) > 1:
        names = " or ".join(port.name for port, _ in forms)
        raise PluginError(
            f"model: several inputs may be the picture, found {listing}; give input.name: {names}"
        )
    port, form = forms[0]
    at = dict(zip(form, port.shape, strict=True))
    return PicturePort(port.name, port.dtype, form, at.get("N") or 1, (at["W"], at["H"]))


def other_inputs(ports: Sequence[Port], picture: str, size: tuple[int, int]) -> Mapping[str, NDArray[Any]]:
    """Return what the inputs beside the picture are given: sizes of the picture as the model sees it, so that
    boxes come back in its pixels.

    Raises:
        PluginError: An input is none that detectors are known to have.
    """
    values = {"width": size[0], "height": size[1], "one": 1}
    found: dict[str, NDArray[Any]] = {}
    for port in ports:
        if port.name == picture:
            continue
        if port.name == _MASK and len(port.shape) == 3:
            usual = (1, size[1], size[0])
            sides = [side or other for side, other in zip(port.shape, usual, strict=True)]
            found[port.name] = np.ones(sides, port.dtype)
            continue
        if port.name not in _SIZES:
            raise PluginError(
                f"model: expected no inputs but the picture and {', '.join((*_SIZES, _MASK))}, found "
                f"{port.name} {port.dtype} {shape_text(port.shape)}; write a plugin for it "
                "(`perception plugin new`)"
            )
        numbers = np.array([values[word] for word in _SIZES[port.name]], port.dtype)
        rows = (port.shape[0] or 1) if len(port.shape) == 2 else 0
        found[port.name] = np.repeat(numbers[None], rows, 0) if rows else numbers
    return found


def picture_size(
    port: PicturePort,
    wanted: tuple[int, int] | None,
    usual: tuple[int, int],
    metadata: Mapping[str, str],
) -> tuple[int, int]:
    """Return the width and height of the input: the file's, where it leaves them open those that are
    configured, else those that it was exported with, else the usual ones.

    Args:
        port: The input.
        wanted: Width and height that are configured, if any.
        usual: Those of the family.
        metadata: Of the file; Ultralytics writes `imgsz`, as `[height, width]`.

    Raises:
        PluginError: The file has others than are configured, or they are too large.
    """
    for side, fixed, asked in zip(("width", "height"), port.size, wanted or port.size, strict=True):
        if fixed is not None and asked is not None and fixed != asked:
            raise PluginError(
                f"input.size: expected the {side} {fixed} that the file has, found {asked}; leave it out"
            )
    stated = re.fullmatch(r"\[(\d{2,4}), *(\d{2,4})\]", metadata.get("imgsz", "").strip())
    if stated is not None:
        usual = int(stated[2]), int(stated[1])
    width, height = (fixed or other for fixed, other in zip(port.size, wanted or usual, strict=True))
    if width * height > 64_000_000:
        raise PluginError(f"input.size: expected at most 64 million pixels, found {width} x {height}")
    return width, height


def shape_text(shape: Sequence[int | None]) -> str:
    """Return a shape as text; a dimension of any size is `?`."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _form_of(port: Port) -> str | None:
    """Return the order of the dimensions of an input that may be a picture; None if it cannot be one."""
    shape = port.shape
    if str(port.dtype) not in DTYPES or len(shape) not in (3, 4):
        return None
    form = "NCHW" if len(shape) == 4 else "CHW"
    channels = shape[-3]
    if channels == 3 or (channels is None and shape[-1] != 3):
        return form
    return form.replace("C", "") + "C" if shape[-1] == 3 else None
