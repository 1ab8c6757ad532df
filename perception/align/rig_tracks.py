"""The rig over time as each camera sees it: intrinsics of its own, transforms that all share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from perception.align.frame_track import FrameTrack
from perception.align.rig_track import RigTrack
from perception.config import SensorsConfig
from perception.types import (
    CameraFrame,
    CameraInfo,
    Decoded,
    FrameTransforms,
    Placing,
    RangeScan,
    Rig,
    RigIssue,
    VideoPacket,
)


class RigTracks:
    """Keeps what messages say of the rig of several cameras.

    A camera info is that of the camera whose `calibration` names its topic. A single camera that names none
    takes any that is not of a depth image, so that a live program need not configure it.

    Args:
        sensors: The configured sensors.
    """

    def __init__(self, sensors: SensorsConfig) -> None:
        self._frames = FrameTrack()
        self._cameras = sensors.cameras
        self._tracks = {name: RigTrack(camera, self._frames, name) for name, camera in self._cameras.items()}
        self._by_image = {camera.topic: self._tracks[name] for name, camera in self._cameras.items()}
        self._by_info = {
            camera.calibration: self._tracks[name]
            for name, camera in self._cameras.items()
            if camera.calibration is not None
        }
        self._of_depth = {section.calibration for section in sensors.ranges.values()}
        self._without = RigTrack(None, self._frames)

    def learn(self, message: Decoded) -> None:
        """Add a camera info, transforms or an image; other messages are ignored."""
        if isinstance(message, FrameTransforms):
            self._frames.learn(message)
        elif isinstance(message, CameraFrame | VideoPacket):
            if track := self._by_image.get(message.topic):
                track.learn(message)
        elif isinstance(message, CameraInfo):
            track = self._by_info.get(message.topic)
            if track is None and len(self._tracks) == 1 and message.topic not in self._of_depth:
                track = next(iter(self._tracks.values()))  # which takes it where it names no topic
            if track is not None:
                track.learn(message)

    def begin_anew(self) -> None:
        """Forget times: time was broken. What was known last holds until more is known."""
        self._frames.begin_anew()
        for track in self._tracks.values():
            track.begin_anew()

    def held(self, rig: Rig, frames: Iterable[str], stamp_ns: int) -> RigIssue | None:
        """Return a note where one of the frames lies in the camera by a pose that was held for long.

        Args:
            rig: As the camera sees it at that moment.
            frames: Names of frames.
            stamp_ns: The moment.
        """
        if rig.calibration is None or not self._frames.moves():
            return None
        own = rig.calibration.frame_id
        issues = (self._frames.held_between(own, frame, stamp_ns) for frame in frames)
        return next((issue for issue in issues if issue is not None), None)

    def at(
        self,
        stamp_ns: int,
        images: Mapping[str, CameraFrame | None] | None = None,
        scans: Sequence[RangeScan] = (),
    ) -> dict[str, Placing]:
        """Return the rig of a moment as each camera sees it; without a camera, under an empty name.

        Args:
            stamp_ns: The moment; of a camera with an image, the image's own stamp counts.
            images: Camera -> its image.
            scans: The scans to place.
        """
        if not self._tracks:
            return {"": self._without.at(stamp_ns)}
        images = images or {}
        return {name: track.at(stamp_ns, images.get(name), scans) for name, track in self._tracks.items()}
