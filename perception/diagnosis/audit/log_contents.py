"""The contents of each configured topic, collected while the log is read once."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from perception.config import Config, Role
from perception.diagnosis.audit.topic_times import TopicTimes
from perception.types import (
    CameraFrame,
    Cuboids,
    Decoded,
    DepthImage,
    FrameTransforms,
    RangeScan,
    StatusReading,
    TruthBoxes,
    Undecodable,
)

ONE_DIRECTION = 1e-6
"""Cosines of returns that differ by less are of one direction; a scanner's beams are 1e-4 or more apart."""


@dataclass(slots=True)
class TopicContents:
    """One configured topic: its times and its defects. A repeated message is only counted."""

    name: str
    role: Role
    times: TopicTimes = field(default_factory=TopicTimes)
    undecodable: int = 0
    reason: str = ""  # of the first undecodable message
    duplicates: int = 0
    ignored: int = 0  # elements of messages that could not be used
    ignored_reason: str = ""  # of the first
    unstamped: int = 0  # messages in whose stamps arrival stands in
    stamp_problem: str = ""  # why the first of them, which does carry a time, has no stamp
    frames: Counter[str] = field(default_factory=Counter)  # that messages of a camera or range sensor name
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, message: Decoded) -> bool:
        """Add the next message of the topic. Return False if it only repeats one."""
        key = message.stamp_ns, hash(message.source)
        if key in self._seen:  # not part of the times: repeated messages must not double the rate
            self.duplicates += 1
            return False
        self._seen.add(key)
        self.times.add(message.log_time_ns, message.stamp_ns)
        if isinstance(message, Undecodable):
            self.undecodable += 1
            self.reason = self.reason or message.reason
        if isinstance(message, CameraFrame | RangeScan | DepthImage) and message.frame_id:
            self.frames[message.frame_id] += 1
        if not message.stamped:
            self.unstamped += 1
            self.stamp_problem = self.stamp_problem or message.stamp_problem
        if isinstance(message, Cuboids | TruthBoxes | FrameTransforms) and message.ignored:
            self.ignored += message.ignored
            self.ignored_reason = self.ignored_reason or message.ignored_reason
        return True

    @property
    def stamps(self) -> TopicTimes:
        """The times of a topic that is stamped; no times where arrival stands in for most stamps."""
        return TopicTimes() if 2 * self.unstamped > self.times.count else self.times


@dataclass(slots=True)
class PictureContents:
    """The pictures of one camera: their sizes, and how long the same bytes came with fresh stamps."""

    count: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    repeats: int = 0  # pictures with the bytes of the one before
    longest: int = 0  # equal pictures in a row
    longest_start_ns: int = 0  # stamp of the first of them
    longest_end_ns: int = 0  # stamp of the last of them
    _last: bytes = b""  # digest of the newest picture
    _row: int = 0
    _row_start_ns: int = 0

    def add(self, frame: CameraFrame) -> None:
        """Add the next picture; a message that is repeated with its stamp is the audit's `duplicates`."""
        self.count += 1
        self.sizes[frame.width, frame.height] += 1
        digest = blake2b(frame.data, digest_size=8).digest()
        if digest != self._last:
            self._last, self._row, self._row_start_ns = digest, 1, frame.stamp_ns
            return
        self.repeats += 1
        self._row += 1
        if self._row > self.longest:
            self.longest = self._row
            self.longest_start_ns, self.longest_end_ns = self._row_start_ns, frame.stamp_ns


@dataclass(slots=True)
class ScanContents:
    """The scans of one range sensor, or its depth images.

    `max_range_m` is the limit beyond which returns are not used.
    """

    max_range_m: float = float("inf")
    count: int = 0
    blind: int = 0  # without any finite return
    far: int = 0  # with returns, all of them beyond max_range_m
    one_direction: int = 0  # with several returns, all of them in one direction
    doubted: int = 0  # that contradict themselves
    doubt: str = ""  # of the first

    def add(self, scan: RangeScan | DepthImage) -> None:
        """Add the next scan."""
        self.count += 1
        if isinstance(scan, DepthImage):
            self._usable(scan.depth_m)
            return
        self.doubted += bool(scan.doubt)
        self.doubt = self.doubt or scan.doubt
        points = scan.points_m.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = np.linalg.norm(points, axis=1)
        usable = self._usable(distance)
        if not usable.any():
            return
        directions = points[usable] / distance[usable, None]
        if len(directions) > 1 and bool((directions @ directions[0] > 1 - ONE_DIRECTION**2).all()):
            self.one_direction += 1

    def _usable(self, distance_m: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which returns are any, by distance; count a scan without one, or without a near one."""
        usable: NDArray[np.bool_] = np.isfinite(distance_m) & (distance_m > 0)
        if not usable.any():
            self.blind += 1
        elif distance_m[usable].min() > self.max_range_m:
            self.far += 1
        return usable


@dataclass(slots=True)
class LogContents:
    """The contents of a log that an audit needs, by topic; a few numbers for each message.

    Attributes:
        topics: The configured topics.
        scans: Those of the range sensors.
        fields: Status -> channel -> dotted path.
        pictures: Those of the cameras.
        channels: Status -> channel -> its values.
    """

    topics: dict[str, TopicContents]
    scans: dict[str, ScanContents]
    fields: dict[str, dict[str, str]]
    pictures: dict[str, PictureContents] = field(default_factory=dict)
    channels: dict[str, dict[str, array[float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> LogContents:
        """Return the empty contents of a log under a configuration."""
        sensors = config.sensors
        return cls(
            {topic: TopicContents(topic, role) for topic, role in config.roles().items()},
            {section.topic: ScanContents(section.max_range_m) for section in sensors.ranges.values()},
            {section.topic: dict(section.fields) for section in sensors.statuses.values()},
        )

    def add(self, message: Decoded) -> None:
        """Add the next message."""
        topic = self.topics[message.topic]
        fresh = topic.add(message)
        if isinstance(message, CameraFrame):
            if fresh:
                self.pictures.setdefault(topic.name, PictureContents()).add(message)
        elif isinstance(message, RangeScan | DepthImage):
            self.scans[message.topic].add(message)
        elif isinstance(message, StatusReading) and topic.role == "status":
            channels = self.channels.setdefault(message.topic, {})
            for name, path in self.fields[message.topic].items():
                channels.setdefault(name, array("d")).append(message.values.get(path, np.nan))
