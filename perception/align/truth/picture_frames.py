"""Which camera the 2D boxes of a topic are of: by the frame that a message names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from perception.text import listed
from perception.types import Rig, RigIssue, Sample


class PictureFrames(NamedTuple):
    """The frames of the pictures of a tick.

    Attributes:
        reference: The name of the reference camera: boxes that name no frame are in its image.
        frames: Camera -> the frame of its picture; empty where nothing says it.
    """

    reference: str
    frames: Mapping[str, str]

    @classmethod
    def of(cls, sample: Sample, rigs: Mapping[str, Rig]) -> PictureFrames:
        """Return the frames that the pictures name, else those of their camera infos."""
        return cls(sample.camera.name, {name: _frame(sample, name, rig) for name, rig in rigs.items()})

    def counted(self, camera: str, seen: set[str]) -> frozenset[str] | None:
        """Return the frames whose boxes are in the image of a camera; None: all are.

        Boxes of the camera's own frame are. Those of a frame that no camera has, and those that name none,
        are taken for the reference camera's, as long as that is one frame alone: of several, nothing says
        which is its own.

        Args:
            camera: Its name.
            seen: The frames of the boxes on the topic, up to now.
        """
        is_reference = camera == self.reference or len(self.frames) < 2
        own = self.frames.get(camera, "")
        others = {frame for name, frame in self.frames.items() if name != camera} - {""}
        if own and own in seen and own not in others:
            return frozenset({own, ""} if is_reference else {own})
        if not is_reference:
            return frozenset()
        free = seen - (others - {own}) - {""}
        if free == seen - {""} and len(free) < 2:
            return None
        return frozenset(free | {""}) if len(free) < 2 else frozenset({""})

    def issue(
        self, camera: str, topic: str | None, seen: set[str], counted: frozenset[str], away_ns: int
    ) -> RigIssue:
        """Return why the nearest boxes on a topic are not those of a camera."""
        own = self.frames.get(camera, "")
        if own and own in counted:
            text = f"the nearest boxes on {topic} ({away_ns / 1e6:+.0f} ms) are those of another camera"
            return RigIssue("too_far", f"{text}; none within the tolerance names the frame {own!r}")
        named = listed(map(repr, sorted(seen - {""})))
        of = f"of {named}" if named else "in the image of the reference camera"
        key = f"truth.camera_boxes.{camera}"
        text = f"the boxes on {topic} are {of}, and the picture of {camera} is of the frame {own!r}"
        return RigIssue("other_camera", f"{text}; name the topic of those of {camera} in {key}")


def _frame(sample: Sample, name: str, rig: Rig) -> str:
    source = sample.cameras.get(name, sample.camera)
    own = source.value.frame_id if source.value is not None else ""
    return own or (rig.calibration.frame_id if rig.calibration is not None else "")
