"""The outputs of a model file on a trial picture, and one interpretation of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perception_plugins.detector.output_shapes import Outputs


@dataclass(frozen=True, slots=True)
class Match:
    """One reading of a file.

    Attributes:
        family: The key in `families.FAMILIES`.
        reason: Why, for people.
        output: Values of the section `output` beside the family's.
        classes: How many classes the file then has; None: its labels are numbers, of any range.
        labels: The names that its public weights have, where they are not the family's.
    """

    family: str
    reason: str
    output: Mapping[str, Any] = field(default_factory=dict)
    classes: int | None = None
    labels: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """The outputs of a model file on one picture of noise.

    Attributes:
        inputs: Names of its inputs.
        outputs: Its outputs by name.
        width, height: Of the picture.
        metadata: Texts in the file.
    """

    inputs: tuple[str, ...]
    outputs: Outputs
    width: int
    height: int
    metadata: Mapping[str, str]

    def cells(self, strides: tuple[int, ...]) -> int:
        """Return the number of cells of all levels; those at the right and lower rim may be cut."""
        return sum(-(-self.width // s) * -(-self.height // s) for s in strides)

    def levels(self, count: int) -> tuple[int, ...]:
        """Return the strides of which so many cells are; none where there are none such."""
        ranges = ((8, 16, 32), (8, 16, 32, 64), (16, 32), (4, 8, 16, 32), (8, 16, 32, 64, 128))
        return next((strides for strides in ranges if self.cells(strides) == count), ())
