"""The checks of messages that a program makes: what is wrong is said where the message is made.

Every function raises ValueError, with what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np

from perception.types.image_layouts import ENCODED, LAYOUTS, layout_name


def check_times(**times_ns: object) -> None:
    """Check times in whole nanoseconds."""
    for name, value in times_ns.items():
        if not isinstance(value, int | Integral):
            raise ValueError(f"{name}: expected whole nanoseconds, found {value!r}; round it")


def check_image(data: object, image_format: str, width: object, height: object) -> None:
    """Check the encoding and the size of an image; whether its bytes hold one is seen when it is decoded."""
    if not isinstance(data, bytes | bytearray | memoryview):
        found = type(data).__name__
        raise ValueError(f"data: expected bytes, found {found}; CameraFrame.from_array takes pixels")
    if layout_name(str(image_format)) is None and str(image_format).lower() not in ENCODED:
        names = (*ENCODED, *LAYOUTS)
        near = get_close_matches(str(image_format).lower(), names, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        found = f"{str(image_format)[:40]!r}{meant}"
        raise ValueError(f"format: expected one of {', '.join(names)}; found {found}")
    for side, pixels in (("width", width), ("height", height)):
        if not isinstance(pixels, int | Integral) or pixels < 0:
            raise ValueError(f"{side}: expected a number of pixels, found {pixels!r}")


def check_array(name: str, array: object, *shape: int | None) -> None:
    """Check the shape of an array of numbers; None stands for any length."""
    if (
        isinstance(array, np.ndarray)
        and array.dtype.kind in "fiu"
        and array.ndim == len(shape)
        and all(wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True))
    ):
        return
    sides = ", ".join("N" if length is None else str(length) for length in shape)
    kind = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
    raise ValueError(f"{name}: expected an array of numbers [{sides}], found {kind}")


def check_values(values: Mapping[str, Any]) -> None:
    """Check scalars by name."""
    if not isinstance(values, Mapping):
        raise ValueError(f"values: expected numbers by name, found {type(values).__name__}")
    if getattr(values, "numbers_only", False):  # read from a log: there may be hundreds in each message
        return
    for name, value in values.items():
        if not isinstance(value, float | int | Real):
            raise ValueError(f"values: expected a number for {name!r}, found {value!r}")
