"""The truth messages of a log, looked up by the stamp of a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from math import isfinite
from typing import Any

from perception.align.rig_tracks import RigTracks
from perception.align.truth.boxes import boxes_of, placing_issue, rotated_issue, unlabelled_regions
from perception.align.truth.picture_frames import PictureFrames
from perception.align.truth.tracks import BoxTrack, TruthTrack
from perception.config import SensorsConfig, TruthConfig
from perception.logs.label_files import PictureLabels, read_labels
from perception.types import (
    Cuboids,
    Decoded,
    Rig,
    RigIssue,
    Sample,
    StatusReading,
    TruthBox,
    TruthBoxes,
    TruthFrame,
)

_OLDEST_COMMAND_NS = 250_000_000


class TruthStore:
    """The truth messages of a log, looked up by the stamp of a sample.

    Args:
        config: The topics of truth.
        sensors: The sensors, of whose cameras the rig messages are added, too: cuboids are placed by the
            transforms of the tick's moment, also by those that arrived after the tick. None, or without a
            camera: by the rig of the sample.
        places_boxes: Whether anyone reads the boxes; else they stay None, and `missing` alone is known.
    """

    def __init__(
        self, config: TruthConfig, sensors: SensorsConfig | None = None, places_boxes: bool = True
    ) -> None:
        self.config = config
        self._places_boxes = places_boxes
        self.tolerance_ns = config.tolerance_ms * 1e6
        self.boxes = BoxTrack()
        self._labels = None if config.labels is None else read_labels(config.labels)
        for picture in self._labels.stamped if self._labels is not None and config.boxes is None else ():
            self.boxes.add(_labelled(picture, str(config.labels), picture.stamp_ns or 0))
        self.of_cameras = {name: BoxTrack() for name in config.camera_boxes}
        self.control: TruthTrack[StatusReading] = TruthTrack()
        self.heads: dict[str, TruthTrack[StatusReading]] = {name: TruthTrack() for name in config.heads}
        self.rig = RigTracks(sensors) if sensors is not None and sensors.cameras else None

    def tracks(self) -> Iterator[tuple[str | None, TruthTrack[Any]]]:
        """Yield each topic of truth with its messages."""
        yield self.config.boxes, self.boxes
        yield from ((self.config.camera_boxes[name], track) for name, track in self.of_cameras.items())
        yield self.config.control, self.control
        yield from ((self.config.heads[name].topic, track) for name, track in self.heads.items())

    def wanted(self, stamp_ns: int) -> Iterator[tuple[str, TruthTrack[Any], int]]:
        """Yield each configured topic of truth, its messages, and the stamp that the truth of a tick has."""
        for topic, track in self.tracks():
            if topic is not None:
                shift_ns = self.config.control_shift_ns if track is self.control else 0
                yield topic, track, stamp_ns + shift_ns

    def add(self, message: Decoded) -> bool:
        """Keep the message if it is truth by the configuration, or of the rig; others are ignored.

        Returns whether it is truth.
        """
        if self.rig is not None:
            self.rig.learn(message)
        is_truth = False
        for topic, track in self.tracks():
            kind = Cuboids | TruthBoxes if isinstance(track, BoxTrack) else StatusReading
            if message.topic == topic and isinstance(message, kind):
                track.add(self._with_labels(message))
                is_truth = True
        return is_truth

    def _with_labels(self, message: Any) -> Any:
        """Return a message with the boxes of the picture that it names, or as it is without labels."""
        if not (isinstance(message, TruthBoxes) and message.picture):
            return message
        picture = None if self._labels is None else self._labels.of(message.picture)
        if picture is None:
            return message
        return replace(message, items=picture.boxes, size=picture.size, picture="")

    def at(self, sample: Sample) -> TruthFrame:
        """Return the truth at the sample's stamp: the nearest message within the tolerance, before or after.

        Control is that of the message which holds the command `truth.control_ahead_ms` after the stamp, and
        `measured` the command in force at the stamp.
        """
        stamp_ns = sample.tick.stamp_ns
        cameras = self._of_cameras(sample)
        own = cameras.get(sample.camera.name) or next(iter(cameras.values()))
        predicted = stamp_ns + self.config.control_shift_ns
        control = self.control.nearest(predicted, self.tolerance_ns)
        in_force = stamp_ns - self.config.stamped_ahead_ns
        before = self.control.latest(in_force, in_force - _OLDEST_COMMAND_NS)
        missing = {"boxes": own.missing.get("boxes")}
        if control is None:
            missing["control"] = self._away(self.config.control, self.control, predicted)
        return TruthFrame(
            stamp_ns,
            own.boxes,
            None if control is None else _numbers(control, self.config.control_fields),
            None if before is None else _numbers(before, self.config.control_fields),
            dict(self._extra(stamp_ns)),
            {head: issue for head, issue in missing.items() if issue is not None},
            cameras if len(cameras) > 1 else {},
            own.rig,
        )

    def _of_cameras(self, sample: Sample) -> dict[str, TruthFrame]:
        """Return the boxes in the image of each camera, or why there are none."""
        stamp_ns = sample.tick.stamp_ns
        rigs = {name: placing.rig for name, placing in sample.placings.items()}
        if self.rig is not None:
            rigs = {name: placing.rig for name, placing in self.rig.at(stamp_ns).items()}
        frames = {}
        pictures = PictureFrames.of(sample, rigs)
        for name, rig in rigs.items():
            size = _picture_size(sample, name, rig)
            boxes, issue = self._boxes(name, stamp_ns, rig, size, pictures)
            missing = {} if issue is None else {"boxes": issue}
            frames[name] = TruthFrame(stamp_ns, boxes, missing=missing, rig=rig)
        return frames

    def _boxes(
        self, camera: str, stamp_ns: int, rig: Rig, size: tuple[int, int] | None, pictures: PictureFrames
    ) -> tuple[tuple[TruthBox, ...] | None, RigIssue | None]:
        """Return the boxes in the image of a camera, or why there are none.

        Args:
            camera: Its name.
            stamp_ns: The stamp of the tick.
            rig: As the camera sees it.
            size: Width and height of the picture.
            pictures: The frames of the pictures of all cameras: 2D boxes on `truth.boxes` are those of one.
        """
        track = self.of_cameras.get(camera, self.boxes)
        topic = self.config.camera_boxes.get(camera, self._boxes_from)
        counted = pictures.counted(camera, track.frames) if track is self.boxes else None
        message = track.nearest(stamp_ns, self.tolerance_ns, counted)
        if message is None:
            if counted is not None and (other := track.nearest(stamp_ns, self.tolerance_ns)) is not None:
                return None, pictures.issue(camera, topic, track.frames, counted, other.stamp_ns - stamp_ns)
            return None, self._away(topic, track, stamp_ns)
        if isinstance(message, TruthBoxes) and message.picture:  # boxes of the picture before are not its own
            return None, RigIssue("silent", f"{topic} has no labels of {message.picture}")
        issue = placing_issue(message, rig) or rotated_issue(message, size)
        issue = issue or self._held(message, rig, stamp_ns)
        if issue is not None or not self._places_boxes:
            return None, issue
        boxes = boxes_of(message, rig, self.config.classes, size)
        if boxes is not None:
            boxes = (*boxes, *unlabelled_regions(self.config.incomplete_classes, size))
        return boxes, issue

    def _held(self, message: Cuboids | TruthBoxes, rig: Rig, stamp_ns: int) -> RigIssue | None:
        """Return why cuboids are not where the transforms of the moment put them: these are too old."""
        if self.rig is None or isinstance(message, TruthBoxes):
            return None
        issue = self.rig.held(rig, sorted({cuboid.frame_id for cuboid in message.items}), stamp_ns)
        if issue is None:
            return None
        return RigIssue(issue.code, f"{issue.text}: cuboids cannot be placed by it")

    @property
    def _boxes_from(self) -> str | None:
        """Return the topic or the file that boxes come from."""
        labels = self.config.labels
        return self.config.boxes if labels is None else f"{self.config.boxes or labels} ({labels.name})"

    def _away(self, topic: str | None, track: TruthTrack[Any], stamp_ns: int) -> RigIssue | None:
        """Return why no message of a configured topic is joined."""
        if topic is None:
            return None
        away_ns = track.away_ns(stamp_ns)
        if away_ns is None:
            return RigIssue("silent", f"no message on {topic}")
        limit = f"at most {self.config.tolerance_ms:g} ms is accepted (truth.tolerance_ms)"
        return RigIssue("too_far", f"the nearest message on {topic} is {away_ns / 1e6:.0f} ms away, {limit}")

    def _extra(self, stamp_ns: int) -> Iterator[tuple[str, Mapping[str, float]]]:
        for name, track in self.heads.items():
            reading = track.nearest(stamp_ns, self.tolerance_ns)
            values = None if reading is None else _numbers(reading, self.config.head_fields(name))
            if values is not None:
                yield name, values

    def successor(self) -> TruthStore:
        """Return an empty store that knows the rig, for when time starts again."""
        store = TruthStore(self.config, places_boxes=self._places_boxes)
        store.rig = deepcopy(self.rig)  # the samples of before still need it as it is
        if store.rig is not None:
            store.rig.begin_anew()
        return store

    def forget_before(self, stamp_ns: int) -> None:
        """Drop messages that no sample from `stamp_ns` on needs."""
        back_ns = max(self.config.stamped_ahead_ns, -self.config.control_shift_ns)
        oldest = stamp_ns - back_ns - _OLDEST_COMMAND_NS - int(self.tolerance_ns)
        for _, track in self.tracks():
            track.forget_before(oldest)


def _numbers(reading: StatusReading, fields: Mapping[str, str]) -> Mapping[str, float] | None:
    """Return the values that are finite numbers, by name; None if there is none."""
    values = {
        name: reading.values[path]
        for name, path in fields.items()
        if path in reading.values and isfinite(reading.values[path])
    }
    return values or None


def _labelled(picture: PictureLabels, source: str, stamp_ns: int) -> TruthBoxes:
    return TruthBoxes(source, stamp_ns, stamp_ns, picture.boxes, size=picture.size)


def _picture_size(sample: Sample, camera: str, rig: Rig) -> tuple[int, int] | None:
    """Return width and height of the picture of a camera; None where they are not known."""
    source = sample.cameras.get(camera, sample.camera)
    if source.value is not None:
        return source.value.width, source.value.height
    info = rig.calibration
    return (info.width, info.height) if info is not None and info.width > 0 and info.height > 0 else None
