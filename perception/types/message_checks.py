"""The checks of messages that a program makes, and copies of its arrays: what is wrong is said where the
message is made.

Every function raises ValueError, with what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.text import did_you_mean
from perception.types.image_layouts import ENCODED, LAYOUTS, layout_name


def hold_times(message: object, *names: str) -> None:
    """Check the times of a message, and hold them as integers of Python: those of numpy overflow.

    Args:
        message: A frozen dataclass that is being made.
        names: Its fields of whole nanoseconds; none: `stamp_ns` and `log_time_ns`.
    """
    for name in names or ("stamp_ns", "log_time_ns"):
        value = getattr(message, name)
        if type(value) is int:  # nearly always
            continue
        if not isinstance(value, Integral):
            raise ValueError(f"{name}: expected whole nanoseconds, found {value!r}; round it")
        object.__setattr__(message, name, int(value))


def check_image(data: object, image_format: str, width: object, height: object) -> None:
    """Check the encoding and the size of an image; whether its bytes hold one is seen when it is decoded."""
    if not isinstance(data, bytes | bytearray | memoryview):
        found = type(data).__name__
        raise ValueError(f"data: expected bytes, found {found}; CameraFrame.from_array takes pixels")
    if layout_name(str(image_format)) is None and str(image_format).lower() not in ENCODED:
        names = (*ENCODED, *LAYOUTS)
        found = f"{str(image_format)[:40]!r}{did_you_mean(str(image_format).lower(), names, '; ')}"
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


def column_copy(name: str, values: NDArray[Any] | None, count: int) -> NDArray[np.float32] | None:
    """Return a copy of one value for each of several returns; None where there are none."""
    if values is None:
        return None
    column = np.asanyarray(values)
    if column.shape != (count,):
        raise ValueError(f"{name}: expected [{count}], found {list(column.shape)}")
    return float_copy(column)


def float_copy(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a copy of an array; what is masked in it is NaN."""
    copied = values.astype(np.float32)
    return np.asarray(copied.filled(np.nan) if isinstance(copied, np.ma.MaskedArray) else copied)
