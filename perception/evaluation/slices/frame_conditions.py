"""The conditions of each frame: light, brightness and status fields, from a second pass over the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception.align.status_readings import StatusReadings, channel_paths, speed_channel
from perception.config import Config
from perception.logs import Log, Query, decoder
from perception.logs.stated_light import stated_light
from perception.logs.video.stage import VideoStage
from perception.types import CameraFrame, Float64, Message, StatusReading
from perception.types.times import bounded_ns

_NEAR_NS = 60_000_000


@dataclass(frozen=True, slots=True, eq=False)
class FrameConditions:
    """The conditions of the frames of one log.

    Attributes:
        light: A word for the whole log, where its metadata have one.
        brightness: [F] mean of the image from 0 to 255; NaN where there is none.
        status: Field -> [F] its last value, at most a second old; NaN where there is none.
        speed: The name of the field that is the speed over ground, if one is.
    """

    light: str = ""
    brightness: Float64 = field(default_factory=lambda: np.zeros(0))
    status: Mapping[str, Float64] = field(default_factory=dict)
    speed: str = ""


def frame_conditions(
    log: Log, config: Config, stamps_ns: NDArray[np.int64], images: bool = True
) -> FrameConditions:
    """Return the conditions of frames, read from their log.

    Args:
        log: The log, open.
        config: Names the camera's and the status topic.
        stamps_ns: The stamps of the frames, [F].
        images: Whether to read brightness where the metadata do not name the light.
    """
    light = stated_light(log)
    camera, readings = config.reference_camera, StatusReadings(config)
    topics = {config.sensors.cameras[camera].topic} if camera is not None and images and not light else set()
    topics |= readings.topics
    decode = decoder(config)
    seen: list[tuple[int, float]] = []
    video = VideoStage(config.roles(), config.stamps())
    for item in video.pictures(log.messages(Query(frozenset(topics))) if topics else ()):
        decoded = decode(item) if isinstance(item, Message) else item
        if isinstance(decoded, CameraFrame):
            brightness = _brightness(decoded)
            if brightness is not None:
                seen.append((decoded.stamp_ns, brightness))
        elif isinstance(decoded, StatusReading):
            readings.add_reading(decoded)
    fields = readings.at(stamps_ns)
    return FrameConditions(light, _nearest(seen, stamps_ns), fields, speed_channel(fields))


def status_fields(log: Log, config: Config) -> set[str]:
    """Return the names of the fields of a log's statuses, read from their first messages."""
    decode, fields = decoder(config), set()
    for topic, names in channel_paths(config).items():
        for message in log.messages(Query(frozenset({topic}))):
            decoded = decode(message)
            if isinstance(decoded, StatusReading):
                fields |= {names.get(path, path) for path in decoded.values}
                break
    return fields


def _brightness(frame: CameraFrame) -> float | None:
    """Return the mean of the image, read at an eighth of its size where the format allows it."""
    import cv2

    if frame.colours:
        return float(np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height : 61].mean())
    if frame.format in ("jpeg", "png", "webp"):
        image = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        return None if image is None else float(image.mean())
    if frame.format in ("rgb8", "bgr8", "mono8", "rgba8", "bgra8") or (
        frame.format.startswith("bayer") and frame.format.endswith("8")
    ):
        return float(np.frombuffer(frame.data, np.uint8)[::61].mean()) if len(frame.data) else None
    return None


def _sorted(pairs: Iterable[tuple[int, float]]) -> tuple[NDArray[np.int64], Float64]:
    rows = sorted(pairs)
    stamps = np.array([bounded_ns(stamp) for stamp, _ in rows], dtype=np.int64)
    return stamps, np.array([value for _, value in rows], dtype=np.float64)


def _nearest(pairs: list[tuple[int, float]], at_ns: NDArray[np.int64]) -> Float64:
    stamps, values = _sorted(pairs)
    if not len(stamps):
        return np.full(len(at_ns), np.nan)
    after = np.clip(np.searchsorted(stamps, at_ns), 0, len(stamps) - 1)
    before = np.maximum(after - 1, 0)
    place = np.where(np.abs(stamps[before] - at_ns) <= np.abs(stamps[after] - at_ns), before, after)
    return np.where(np.abs(stamps[place] - at_ns) <= _NEAR_NS, values[place], np.nan)
