"""The options of the plugin, under `plugin.options`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError, field_validator

from perception.config.config_file import error_line
from perception.config.values import Section
from perception.errors import PluginError
from perception.models.prediction_outputs import MIN_SCORE
from perception_plugins.detector.families import NAMES

T = TypeVar("T", bound=Section)
Fraction = Annotated[float, Field(ge=0, le=1)]


class DistanceOptions(Section):
    """How distances are found."""

    returns: bool = True
    """From the returns inside a box."""
    least_returns: Annotated[int, Field(ge=1, le=10_000)] = 3
    """The fewest returns that say a distance."""
    camera_height_m: Annotated[float, Field(gt=0, le=100)] | None = None
    """The camera's height over the ground: then boxes without returns get the distance of the ground at their
    lower edge. null: only where the transforms have a frame `base_footprint`."""


class DetectorOptions(Section):
    """The options of the plugin."""

    model: Path | None = None
    """The model file; null: that of `plugin.checkpoint`."""
    family: str | None = None
    """The family, for its layout; null: decided by the file's inputs, outputs and metadata."""
    labels: str | list[str] | dict[int, str] | None = None
    """Names of the classes in order, a file of them, `coco80`, `coco90` or `coco91`; null: the file's own
    metadata, else COCO's where the number of classes is COCO's."""
    classes: dict[str, str] | None = None
    """Name of a class -> the word of the log's truth. Others are not reported. null: names as they are."""
    min_score: Fraction = MIN_SCORE
    """Detections with lower scores are left out."""
    nms: Fraction | bool | None = None
    """The overlap (IoU) from which two boxes of one class are one object; false: keep all; null: the
    family's, 0.5 or none where its files have done it."""
    max_detections: Annotated[int, Field(ge=1, le=3000)] = 300
    """The best of a picture that are kept."""
    input: dict[str, Any] = Field(default_factory=dict)
    """The layout of the input (`InputLayout`), for what is not as the family has it."""
    output: dict[str, Any] = Field(default_factory=dict)
    """The layout of the outputs (`OutputLayout`), likewise."""
    distance: DistanceOptions = DistanceOptions()
    """How distances are found."""

    @field_validator("family")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name.lower() not in NAMES:
            raise ValueError(f"expected one of {', '.join(sorted(NAMES))}, found {name!r}; "
                             "or leave it out and give input and output")  # fmt: skip
        return None if name is None else name.lower()

    @property
    def least_overlap(self) -> float | str | None:
        """Return the configured overlap; `family` where it is the family's, None: no suppression."""
        if self.nms is None:
            return "family"
        return 0.5 if self.nms is True else None if self.nms is False else float(self.nms)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> DetectorOptions:
        """Return the options of a configuration.

        Raises:
            PluginError: An option is unknown or wrong; lists every error.
        """
        return parsed(cls, options, "plugin.options")


def parsed(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Return a section of these values.

    Raises:
        PluginError: They are wrong; lists every error.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        lines = [error_line(detail, kind).removeprefix(": ") for detail in error.errors()]
        raise PluginError(f"{where}: " + "; ".join(lines)) from None
