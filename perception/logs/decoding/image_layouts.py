"""The check of the size and the bytes of a raw image against its layout."""

from __future__ import annotations

from perception.logs.decoding.checks import DecodeError, checked_size
from perception.types.image_layouts import LAYOUTS, layout_name, needed_bytes


def raw_step(encoding: str, width: int, height: int, step: int, size: int) -> tuple[str, int]:
    """Return the layout's usual name and its bytes a row (`step` 0: rows without padding).

    Where `size` is that of rows without padding, they have none, whatever the step says: some drivers of NV21
    state the bytes of two channels.

    Raises DecodeError for an unknown layout, and where `size` bytes do not hold the image.
    """
    name = layout_name(encoding)
    if name is None:
        raise DecodeError(f"found {encoding[:40]!r}, where raw images are read as {', '.join(LAYOUTS)}")
    layout = LAYOUTS[name]
    checked_size(width, height)
    if layout.even and (width % 2 or (layout.planes and height % 2)):
        raise DecodeError(
            f"an image of {width}x{height} pixels is no {name}: its colours are of pairs of pixels"
        )
    row = width * layout.channels * layout.sample
    if not step or size == needed_bytes(layout, row, row, height):
        step = row
    if step < row:
        raise DecodeError(f"a row of {width} pixels {name} has {row} bytes, the step is {step}")
    needed = needed_bytes(layout, step, row, height)
    if size < needed:
        raise DecodeError(f"{width}x{height} {name} with step {step} needs {needed} bytes, found {size}")
    return name, step
