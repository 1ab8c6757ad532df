"""The shapes and rules of a model's inputs. A checkpoint holds them, so that training and replay agree.

The defaults for pixels were chosen by measurement on 1280 x 720 and 1920 x 1080 frames resized to 512 x 256,
against an exact box filter over the full image (mean error of full scale; one thread):

========================  ======  =======  ======  =======
decode, interpolation        1280 x 720      1920 x 1080
------------------------  ---------------  ---------------
full, area                0.0010   4.9 ms  0.0010  10.2 ms
full, `auto`              0.0036   3.1 ms  0.0019   7.4 ms
half, area                0.0037   3.1 ms  0.0019   5.8 ms
half, `auto`              0.0037   2.3 ms  0.0019   5.8 ms
full, linear              0.0065   2.9 ms  0.0070   5.6 ms
========================  ======  =======  ======  =======

Linear interpolation aliases, except where the image shrinks little. So half and `auto` are the default:
pixels are averaged two by two, by the decoder or after it, as long as the image covers the input; the rest is
linear where both axes shrink by less than 1.5, else area.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from perception.types import Float64

if TYPE_CHECKING:
    from perception.models.config import ModelConfig

Interpolation = Literal["auto", "area", "linear", "box"]


@dataclass(frozen=True, slots=True)
class PictureArea:
    """The rectangle of the input that a source image fills, and its scale.

    Attributes:
        left, top, width, height: Input pixels. As many are left on the left as on the right, and above as
            below, so that a mirrored image lies at the same place.
        scale: Pixels of the source image in an input pixel, across and down.
    """

    left: int
    top: int
    width: int
    height: int
    scale: tuple[float, float]

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part [3, h, w] of an input image [3, H, W] that the source image fills; a view."""
        return image[:, self.top : self.top + self.height, self.left : self.left + self.width]

    @property
    def input_size(self) -> tuple[float, float]:
        """Return the width and height of the whole input, in pixels of the source image."""
        return (2 * self.left + self.width) * self.scale[0], (2 * self.top + self.height) * self.scale[1]

    def to_input(self, pixels: Float64) -> Float64:
        """Return positions [..., 2] (across, down) in the source image in input pixels."""
        placed: Float64 = pixels / self.scale + (self.left, self.top)
        return placed

    def to_source(self, pixels: Float64) -> Float64:
        """Return positions [..., 2] (across, down) in the input in pixels of the source image."""
        placed: Float64 = (pixels - (self.left, self.top)) * self.scale
        return placed


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The shapes and rules of the arrays of `prepare_inputs`.

    Attributes:
        width, height: Input pixels. The image is resized to them, each axis with its own scale.
        returns: M, the number of rows that returns are reduced to.
        status: Names of the status channels, in the order of the model.
        status_steps: T.
        max_range_m: Returns farther from their sensor are invalid.
        interpolation: `area` (linear along an axis that grows), `linear`, or `auto`: halved by exact means as
            often as both axes allow, then linear where 1 to 1.5 times the input size is left, else area.
            `box` halves likewise, then takes means of as many pixels as the next smaller odd number of the
            shrinking and interpolates: a fifth of the time of area, and nearly as faithful (on 1920 x 1080,
            decoded at half, to 352 x 352: mean error 0.0041, area 0.0031, linear 0.0086).
        decode_scale: 1, 2, 4 or 8. JPEGs are decoded at down to 1/scale, in the DCT, as long as the image
            still covers the input size.
        stretch: How much wider a picture may become for its height: the least and the most that the model
            knows from its training. A picture of another shape is resized up to that limit, to the middle
            of the input; the rest is grey. The default has no limits.
    """

    width: int = 512
    height: int = 256
    returns: int = 512
    status: tuple[str, ...] = ()
    status_steps: int = 16
    max_range_m: float = 30.0
    interpolation: Interpolation = "auto"
    decode_scale: int = 2
    stretch: tuple[float, float] = (0.0, inf)

    def __post_init__(self) -> None:
        for name in ("width", "height", "returns", "status_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.decode_scale not in (1, 2, 4, 8):
            raise ValueError(f"decode_scale must be 1, 2, 4 or 8, found {self.decode_scale}")
        if self.interpolation not in get_args(Interpolation):
            raise ValueError(f"interpolation must be auto, area, linear or box, found {self.interpolation!r}")
        if not isinstance(self.max_range_m, int | float) or not self.max_range_m > 0:
            raise ValueError(f"max_range_m must be positive, found {self.max_range_m}")
        if not _are_limits(self.stretch):
            found = f"{self.stretch!r:.60}"
            raise ValueError(f"stretch must be one number up to 1 and one from 1 on, found {found}")

    @classmethod
    def of(
        cls, config: ModelConfig, preprocess: Mapping[str, Any], max_range_m: float | None = None
    ) -> InputSpec:
        """Return the specification of a checkpoint's model.

        Args:
            config: The model.
            preprocess: The checkpoint's `decode_scale`, `interpolation`, `max_range_m` and `stretch`; missing
                values have their defaults, except `interpolation`, which is then `area`.
            max_range_m: Overrides the checkpoint's.

        Raises:
            ValueError: A value is out of its range.
        """
        given = {
            key: preprocess[key]
            for key in ("decode_scale", "interpolation", "max_range_m", "stretch")
            if key in preprocess
        }
        if isinstance(given.get("stretch"), list):  # as JSON has it
            given["stretch"] = tuple(given["stretch"])
        given.setdefault("interpolation", "area")  # the only interpolation of early checkpoints
        if max_range_m is not None:
            given["max_range_m"] = max_range_m
        return cls(
            width=config.input_width,
            height=config.input_height,
            returns=config.returns,
            status=tuple(quantity.name for quantity in config.status),
            status_steps=config.steps,
            **given,
        )

    def area(self, width: float, height: float) -> PictureArea:
        """Return where a source image of that size lies in the input; one of unknown size (0) fills it."""
        if not (width > 0 and height > 0):
            width, height = self.width, self.height
        stretch = self.width * height / (self.height * width)
        wanted = min(max(stretch, self.stretch[0]), self.stretch[1])
        columns = _centred(self.width, min(wanted / stretch, 1.0))
        rows = _centred(self.height, min(stretch / wanted, 1.0))
        corner = (self.width - columns) // 2, (self.height - rows) // 2
        return PictureArea(*corner, columns, rows, (width / columns, height / rows))


def _are_limits(stretch: object) -> bool:
    """Return whether a value is limits of stretching, between which is a picture that is not stretched."""
    if not (isinstance(stretch, tuple) and len(stretch) == 2):
        return False
    least, most = stretch
    numbers = isinstance(least, int | float) and isinstance(most, int | float)
    return numbers and 0 <= least <= 1 <= most


def _centred(size: int, share: float) -> int:
    """Return about that share of a number of pixels, so that as many are left on either side."""
    beside = min(round(size * (1 - share) / 2), (size - 1) // 2)
    return size - 2 * beside
