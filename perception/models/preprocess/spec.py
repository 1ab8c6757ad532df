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
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from perception.models.config import ModelConfig

Interpolation = Literal["auto", "area", "linear", "box"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The shapes and rules of the arrays of `prepare_inputs`.

    Attributes:
        width, height: Input pixels. The image is resized to them, each axis with its own scale, so that every
            source pixel counts and a box is scaled back by one factor for each axis.
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
    """

    width: int = 512
    height: int = 256
    returns: int = 512
    status: tuple[str, ...] = ()
    status_steps: int = 16
    max_range_m: float = 30.0
    interpolation: Interpolation = "auto"
    decode_scale: int = 2

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

    @classmethod
    def of(
        cls, config: ModelConfig, preprocess: Mapping[str, Any], max_range_m: float | None = None
    ) -> InputSpec:
        """Return the specification of a checkpoint's model.

        Args:
            config: The model.
            preprocess: The checkpoint's `decode_scale`, `interpolation` and `max_range_m`; missing values
                have their defaults, except `interpolation`, which is then `area`.
            max_range_m: Overrides the checkpoint's.

        Raises:
            ValueError: A value is out of its range.
        """
        given = {
            key: preprocess[key]
            for key in ("decode_scale", "interpolation", "max_range_m")
            if key in preprocess
        }
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

    def source_from_input(self, width: int, height: int) -> tuple[float, float]:
        """Return the scales sx, sy from input pixels to pixels of a source image of that size."""
        return width / self.width, height / self.height
