"""Why something cannot be placed in the image: a code for programs, a text for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

RigIssueCode = Literal[
    "no_camera_info",
    "bad_camera_info",
    "unknown_lens",
    "other_camera",
    "no_projection",
    "rotated_image",
    "no_transform",
    "no_usable_box",
    "too_far",
    "silent",
    "stretched_image",
    "held_transform",
    "no_distance",
    "outside_lens",
]
"""=================  ====================================================================================
no_camera_info     the camera's intrinsics are not configured, or had not arrived
bad_camera_info    the camera info has no image size or no focal lengths
unknown_lens       the lens model, or some of its coefficients, are not implemented
other_camera       the camera info is of another frame than the image
no_projection      the image is rectified, the lens bends, and the camera info has no projection matrix P
rotated_image      the image is upright where the camera info or its labels are for a wide one, or the reverse
no_transform       no transforms connect the frame with the camera's
no_usable_box      truth: no box of the message is usable
too_far            truth: the nearest message is further away than `truth.tolerance_ms`
silent             truth: no message
stretched_image    placed, but the image has another shape than the camera info: taken as resized
no_distance        a detection has no distance, and so no position
outside_lens       a detection: no ray of the lens leads to the centre of the box
held_transform     placed, but by a transform of a moving frame that is older than can be continued
=================  ===================================================================================="""

PLACED = frozenset({"stretched_image", "held_transform"})
"""The issues in spite of which something is placed."""


@dataclass(frozen=True, slots=True)
class RigIssue:
    """Why returns or truth are not placed in the image, or are placed with reserve.

    Attributes:
        code: The reason; programs compare this.
        text: The reason in words, with names and figures, and what to do.
        about: The sensors that it is about, where there are several of a kind; the text begins with them.
    """

    code: RigIssueCode
    text: str
    about: str = ""

    def of(self, sensor: str) -> RigIssue:
        """Return the same issue, about one of several sensors."""
        about = f"{sensor}: {self.about}" if self.about else sensor
        return replace(self, text=f"{sensor}: {self.text}", about=about)

    def of_camera(self, name: str) -> RigIssue:
        """Return the same issue, whose text names the section of a camera in the configuration."""
        return replace(self, text=self.text.replace("sensors.camera.", f"sensors.{name}."))


def sensors_text(abouts: Iterable[str]) -> str:
    """Return the sensors of issues, those of the same cameras together: `/a, /b in left, right; /c in left`.

    Args:
        abouts: `RigIssue.about` of each.
    """
    cameras: dict[str, list[str]] = {}
    for about in abouts:
        camera, _, sensor = about.rpartition(": ")
        cameras.setdefault(sensor, []).append(camera)
    sensors: dict[str, list[str]] = {}
    for sensor, names in cameras.items():
        sensors.setdefault(", ".join(filter(None, names)), []).append(sensor)
    return "; ".join(", ".join(alike) + (f" in {names}" if names else "") for names, alike in sensors.items())
