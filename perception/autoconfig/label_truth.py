"""Labels beside a log: how they are joined, and what of them cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from perception.align.truth.boxes import is_rotated
from perception.autoconfig.first_messages import first_of
from perception.config import Config
from perception.errors import ConfigError, LogError
from perception.logs import Log
from perception.logs.decoding.foxglove import PICTURE_FILE
from perception.logs.label_files import Labels, read_labels
from perception.types import CameraFrame

_SAME_SHAPE = 0.03
"""The share by which the ratio of width and height may differ: sizes are whole numbers."""


class LabelTruth(NamedTuple):
    """A configuration that joins labels, the reasons, and warnings of what is not used."""

    config: Config
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def with_labels(log: Log, config: Config, source: str = "") -> LabelTruth:
    """Return the configuration with the topic by which its labels are joined: the names of pictures' files.

    Raises:
        ConfigError: The labels cannot be read, or `truth.boxes` is another topic.
    """
    path = config.truth.labels
    if path is None:
        return LabelTruth(config)
    try:
        labels = read_labels(path)
    except LogError as error:
        raise ConfigError([f"truth.labels: {error}"], source) from None
    names = [t for t, c in log.channels.items() if c.schema is not None and c.schema.name == PICTURE_FILE]
    if config.truth.boxes not in (None, *names):
        text = f"truth.boxes: is {config.truth.boxes}, and truth.labels has boxes, too; leave one out"
        raise ConfigError([text], source)
    topic = config.truth.boxes or (names[0] if len(names) == 1 else None)
    truth = config.truth.model_copy(update={"boxes": topic})
    warnings = (*_unused(labels, topic), *_of_another_shape(log, config, labels))
    return LabelTruth(
        config.model_copy(update={"truth": truth}), _reasons(labels, path.name, topic), warnings
    )


def _reasons(labels: Labels, name: str, topic: str | None) -> tuple[str, ...]:
    count = len(labels.pictures)
    how = f"by the names of their files on {topic}" if topic else f"{len(labels.stamped)} by their stamps"
    return (f"truth: {name} ({labels.format}), labels of {count} pictures, joined {how}; for metrics only",)


def _of_another_shape(log: Log, config: Config, labels: Labels) -> Iterator[str]:
    """Yield a warning of labels for pictures of another shape than those of the log: padded or turned."""
    camera = config.sensors.cameras.get(config.reference_camera or "")
    frame = first_of(log, camera.topic, CameraFrame, "camera") if camera is not None else None
    if frame is None or not frame.width:
        return
    for size in sorted({picture.size for picture in labels.pictures if picture.size is not None}):
        if not size[1] or abs(size[0] * frame.height / (size[1] * frame.width) - 1) <= _SAME_SHAPE:
            continue
        effect = "boxes are stretched; if the tool has padded the pictures, they do not fit"
        if is_rotated(size, (frame.width, frame.height)):
            effect = "where a tool has rotated pictures, their labels are no truth"
        yield (
            f"truth.labels: are for pictures of {size[0]}x{size[1]}, those of the log have "
            f"{frame.width}x{frame.height}: {effect}: label them as they were recorded"
        )
        return


def _unused(labels: Labels, topic: str | None) -> tuple[str, ...]:
    """Return warnings of labels that are not joined, and of boxes that are none."""
    warnings = []
    alone = len(labels.pictures) - len(labels.stamped)
    if topic is None and alone:
        warnings.append(
            f"truth.labels: {alone} of {len(labels.pictures)} pictures are not joined: the log has no names "
            "of files, and neither a field (stamp_ns, timestamp) nor the name says when they were taken"
        )
    if labels.ignored:
        warnings.append(f"truth.labels: {labels.ignored} boxes are not used: {labels.ignored_reason}")
    return tuple(warnings)
