"""Whether the boxes of the truth are in pixels of the pictures that were recorded."""

from __future__ import annotations

from collections.abc import Iterator

from perception.types import CameraFrame, TruthFrame

OFTEN = 0.25
"""The share of boxes from which on they are said not to fit."""


class BoxFit:
    """Counts boxes that their pictures cannot show: labels of another size, or shares of the picture.

    A box may reach out of its picture; its centre does so seldom.
    """

    def __init__(self) -> None:
        self.boxes = 0
        """In pictures that are there."""
        self._outside = self._below_pixel = 0
        self._picture = (0, 0)  # width and height of the first picture with a box

    def add(self, truth: TruthFrame, picture: CameraFrame | None) -> None:
        """Count the boxes of a frame; without its picture nothing is known."""
        if picture is None or not truth.boxes:
            return
        width, height = picture.width, picture.height
        if not self.boxes:
            self._picture = width, height
        self.boxes += len(truth.boxes)
        for box in truth.boxes:
            x1, y1, x2, y2 = box.xyxy
            self._outside += not (0 <= x1 + x2 <= 2 * width and 0 <= y1 + y2 <= 2 * height)
            self._below_pixel += min(x1, y1) >= 0 and max(x2, y2) <= 1

    def merge(self, other: BoxFit) -> None:
        """Add the counts of another log."""
        self._picture = self._picture if self.boxes else other._picture
        self.boxes += other.boxes
        self._outside += other._outside
        self._below_pixel += other._below_pixel

    def defects(self) -> Iterator[tuple[int, str]]:
        """Yield how many boxes do not fit, and in words how."""
        width, height = self._picture
        for count, defect in (
            (self._outside, "lie outside, perhaps in pixels of another size"),
            (self._below_pixel, "lie within the first pixel, perhaps as shares of width and height"),
        ):
            if count > OFTEN * self.boxes:
                yield (
                    count,
                    f"{count:,} of {self.boxes:,} truth boxes {defect}; expected are pixels of the recorded "
                    f"pictures ({width}x{height})",
                )
