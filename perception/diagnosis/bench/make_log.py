"""Logs for a benchmark: a log of any length with images of any size, made from another log.

Frames are scaled up and get the noise of a sensor, so that their JPEGs are as large as a camera's: 150 to
300 KB at 720p, or a video of H.264 with a key frame a second. The log is repeated until it is long enough;
every stamp in it moves along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mcap.records import Schema as McapSchema
from mcap_protobuf.decoder import DecoderFactory

from perception.config import Config
from perception.errors import LogError
from perception.logs import Log, LogWriter, Query
from perception.logs.mcap.writer import marked_log
from perception.logs.video.decoder import is_installed
from perception.logs.video.losses import NOT_INSTALLED, loss_text
from perception.logs.video.video_file import schema
from perception.types import Channel, Message

RECORD = "perception.bench"
"""The metadata record of these logs."""
is_made_log = marked_log(RECORD)
GAP_NS = 50_000_000
"""Between one repetition and the next; far from a jump of the clock."""


def make_log(
    log: Log,
    config: Config,
    path: Path,
    *,
    seconds: float,
    size: tuple[int, int] = (1280, 720),
    noise: float = 4.0,
    quality: int = 86,
    video: bool = False,
) -> None:
    """Write the log's inputs to `path`, for a number of seconds, with images of `size` (width, height).

    Args:
        noise: Standard deviation, in grey levels.
        quality: Of the JPEGs.
        video: Write `foxglove.CompressedVideo` in place of JPEGs.

    Raises:
        LogError: The log has a topic in another encoding than protobuf, or nothing that is configured; or the
            extra `video` is missing.
    """
    roles = {t: role for t, role in config.roles().items() if not role.startswith("truth")}
    messages = list(log.messages(Query(frozenset(roles))))
    if not messages:
        raise LogError(f"expected messages on {', '.join(roles)}, found none: {log.path}")
    changed = list(_changed(log, messages, roles, size, noise, quality))
    if video:
        changed = list(_as_video(changed, [t for t, role in roles.items() if role == "camera"], size))
    begin = messages[0].log_time_ns
    lasts = messages[-1].log_time_ns - begin + GAP_NS
    with LogWriter(path, metadata={RECORD: {"source": log.path.name}}) as writer:
        for repetition in range(int(seconds * 1e9 // lasts) + 1):
            for message, content in changed:
                shift = repetition * lasts
                if message.log_time_ns + shift - begin > seconds * 1e9:
                    break
                moved = type(content)()
                moved.CopyFrom(content)
                _shift(moved, shift)
                writer.copy(
                    replace(
                        message,
                        data=moved.SerializeToString(),
                        log_time_ns=message.log_time_ns + shift,
                        publish_time_ns=message.publish_time_ns + shift,
                    )
                )


def _changed(
    log: Log,
    messages: list[Message],
    roles: dict[str, Any],
    size: tuple[int, int],
    noise: float,
    quality: int,
) -> Iterator[tuple[Message, Any]]:
    """Yield each message with its content, images and camera info at the new size."""
    factory, rng = DecoderFactory(), np.random.default_rng(0)
    for message in messages:
        channel = log.channels[message.topic]
        decoder = factory.decoder_for(channel.encoding, _schema(channel))
        if decoder is None:
            raise LogError(f"expected protobuf on {message.topic}, found {channel.encoding}: {log.path}")
        content: Any = decoder(message.data)
        if roles[message.topic] == "camera":
            content.data, content.format = _image(content.data, size, noise, quality, rng), "jpeg"
        elif roles[message.topic] == "calibration":
            _scale(content, size)
        yield message, content


def _as_video(
    changed: list[tuple[Message, Any]], topics: list[str], size: tuple[int, int]
) -> Iterator[tuple[Message, Any]]:
    """Yield the messages with packets of H.264 in place of the JPEGs of each camera."""
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

    channels: dict[str, Channel] = {}
    encoders = {topic: _encoder(changed, topic, size) for topic in topics}
    for message, content in changed:
        if message.topic in encoders:
            channel = channels.setdefault(
                message.topic, Channel(message.channel.id, message.topic, "protobuf", schema())
            )
            packet = CompressedVideo(frame_id=content.frame_id, format="h264")
            packet.timestamp.FromNanoseconds(content.timestamp.ToNanoseconds())
            packet.data = encoders[message.topic](content.data)
            message, content = replace(message, channel=channel), packet
        yield message, content


def _encoder(
    changed: list[tuple[Message, Any]], topic: str, size: tuple[int, int]
) -> Callable[[bytes], bytes]:
    """Return the function that makes a packet of the next JPEG; a key frame comes each second."""
    if not is_installed():
        raise LogError(loss_text(NOT_INSTALLED))
    import av

    times = [message.log_time_ns for message, _ in changed if message.topic == topic]
    rate = Fraction((len(times) - 1) * 1e9 / max(times[-1] - times[0], 1) or 1).limit_denominator(100)
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.gop_size, encoder.thread_count = max(round(rate), 1), 1
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "bf": "0"}

    def encode(jpeg: bytes) -> bytes:
        image: Any = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
        return b"".join(bytes(packet) for packet in encoder.encode(frame))

    return encode


def _schema(channel: Channel) -> McapSchema | None:
    schema = channel.schema
    if schema is None:
        return None
    return McapSchema(id=channel.id + 1, data=schema.data, encoding=schema.encoding, name=schema.name)


def _image(data: bytes, size: tuple[int, int], noise: float, quality: int, rng: np.random.Generator) -> bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise LogError("an image of the log does not decode")
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += rng.normal(0.0, noise, (size[1], size[0], 1)).astype(np.float32)
    pixels = np.clip(large, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _scale(calibration: Any, size: tuple[int, int]) -> None:
    sx, sy = size[0] / calibration.width, size[1] / calibration.height
    for matrix, columns in ((calibration.K, 3), (calibration.P, 4)):
        for at in range(len(matrix)):
            if at < 2 * columns:
                matrix[at] *= sx if at < columns else sy
    calibration.width, calibration.height = size


def _shift(content: Any, by_ns: int) -> None:
    """Shift every time stamp in a message, nested ones included."""
    for field, value in content.ListFields():
        if field.message_type is None:
            continue
        many = not isinstance(getattr(value, "DESCRIPTOR", None), type(content.DESCRIPTOR))
        for item in value if many else (value,):
            if not hasattr(item, "DESCRIPTOR"):
                continue  # the keys of a map
            if item.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
                item.FromNanoseconds(item.ToNanoseconds() + by_ns)
            else:
                _shift(item, by_ns)
