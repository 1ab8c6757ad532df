"""Writing a log's cache: its samples, aligned and prepared as in a replay, appended to files of arrays.

Images are stored as the log has them, or prepared, whichever takes fewer bytes: a JPEG of 160x120 pixels has
3 kB, and prepared for an input of 512x256 it would take 393 kB.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from perception.align import align
from perception.align.truth import TruthJoiner
from perception.autoconfig.class_words import class_words, dropped_classes
from perception.autoconfig.log_times import sensor_start_ns
from perception.config import Config
from perception.errors import LogError
from perception.logs import Damage, Log, Query
from perception.models.preprocess import prepare_inputs
from perception.models.tensors import Inputs
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.training_sample import IGNORED, IGNORED_FOR_CLASS
from perception.types import CameraFrame, Sample, TruthBox, TruthFrame, head_spec, views_of
from perception.types.views import truth_view

BOX = np.dtype([("label", "<i4"), ("xyxy", "<f4", 4), ("distance_m", "<f4"), ("visible", "<f4")])
"""One row of `boxes.bin`."""

PREPARED = -1
"""The last number of `picture_layout` where an image was stored as the pixels of the model's input."""

BLOCK = 4096
"""Bytes; smaller arrays leave no hole in a file."""

STORED_INPUTS = tuple(name for name in Inputs._fields if name != "image")
"""The model's inputs that are stored as they are."""

Progress = Callable[[Path, int, int], None]
"""Called with the log, the number of samples done, and the expected total (0: not known)."""


def write_cache(
    log: Log, config: Config, spec: CacheSpec, folder: Path, progress: Progress | None = None
) -> None:
    """Write the samples of a log, one by one, so that memory does not grow with the log.

    Args:
        log: A log, usually with truth.
        config: Its complete configuration.
        spec: How samples become arrays.
        folder: Exists and is empty.
        progress: Called after each sample.

    Raises:
        LogError: The log has no samples.
        OSError: A file cannot be written.
    """
    total = expected_samples(log, config)
    damage: list[Damage] = []
    with _Writer(folder, spec) as writer:
        for sample, truth in samples_with_truth(log, config, damage):
            for row, own in training_rows(sample, truth, config.control_camera):
                writer.add(row, own)
            if progress is not None:
                progress(log.path, writer.samples, total)
    if not writer.samples:
        raise LogError(f"no sample could be made of the log, so there is nothing to learn from: {log.path}")
    status = next(iter(config.sensors.statuses.values()), None)
    writer.finish(
        {
            "log": log.path.name,
            "rows_per_tick": rows_per_tick(config),
            "start_ns": sensor_start_ns(log, config),
            "status_rate_hz": status.rate_hz if status is not None else None,
            "damage": [part.reason for part in damage],
            "dropped_words": dropped_classes(
                class_words(log, config), config.truth.classes, spec.model.classes
            ),
            "duration_s": ((log.survey.end_ns or 0) - (log.survey.start_ns or 0)) / 1e9,
        }
    )


def training_rows(
    sample: Sample, truth: TruthFrame, control_camera: str | None = None
) -> Iterator[tuple[Sample, TruthFrame]]:
    """Yield a row for each camera of a sample with its boxes, and with control in the row that gives it.

    Args:
        sample: Of a tick.
        truth: Of the same.
        control_camera: The camera that gives control, of several; None: the reference camera.
    """
    for view in views_of(sample):
        name = view.camera.name
        own = truth_view(truth, name, whole=name == (control_camera or sample.camera.name))
        yield view, truth if own is None else own


def samples_with_truth(
    log: Log, config: Config, damage: list[Damage] | None = None
) -> Iterator[tuple[Sample, TruthFrame]]:
    """Yield the samples of a log with their truth, aligned and joined as in a replay.

    Args:
        log: The log.
        config: Its complete configuration.
        damage: Extended at the end by the parts of the log that could not be read.
    """
    joiner = TruthJoiner(config.truth, config.sensors)
    messages = log.messages(Query(topics=frozenset(config.roles())))
    for sample in align(messages, config, on_decoded=joiner.push):
        for pair in joiner.add(sample):
            yield pair.sample, pair.truth
    for pair in joiner.flush():
        yield pair.sample, pair.truth
    if damage is not None:
        damage += messages.damage


def expected_samples(log: Log, config: Config) -> int:
    """Return the number of messages of the reference sensor, times the cameras, each of which is a sample of
    its own; 0 where the log does not tell."""
    topic = getattr(config.sensors, config.reference).topic
    ticks = (log.survey.topics[topic].count or 0) if topic in log.survey.topics else 0
    return ticks * rows_per_tick(config)


def rows_per_tick(config: Config) -> int:
    """Return how many samples a tick has: one for each camera, and one without any."""
    return max(len(config.sensors.cameras), 1)


class _Writer:
    """Appends samples to the files of a cache."""

    def __init__(self, folder: Path, spec: CacheSpec) -> None:
        self.folder, self.spec = folder, spec
        self.samples = self.boxes = 0
        self.class_names: Counter[str] = Counter()
        self.arrays: dict[str, tuple[str, list[int]]] = {}
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()
        self._classes = {name: index for index, name in enumerate(spec.model.classes)}
        self._formats: dict[str, int] = {}
        self._missing: dict[str, dict[str, tuple[int, str]]] = {}
        self._picture_end = 0

    def __enter__(self) -> _Writer:
        self._file("boxes")
        self._file("pictures")
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if error is None:
                for file in self._files.values():
                    file.truncate(file.tell())  # a hole at the end is not part of the file yet

    def add(self, sample: Sample, truth: TruthFrame) -> None:
        """Prepare a sample as a replay does, and append it."""
        spec = self.spec.spec
        for head, issue in truth.missing.items():
            reasons = self._missing.setdefault(head, {})
            count, example = reasons.get(issue.code, (0, issue.text))
            reasons[issue.code] = count + 1, example
        size, frame = _source_size(sample), sample.camera.value
        sample, inputs = prepare_inputs(sample, spec)
        boxes = self._box_rows(truth, size)
        self._file("boxes").write(boxes.tobytes())
        self.boxes += len(boxes)
        self._picture(frame if sample.camera.present else None, inputs.image)
        for name in STORED_INPUTS:
            self._append(name, getattr(inputs, name))
        self._append("boxes_known", np.float32(truth.boxes is not None and size is not None))
        self._append("box_count", np.int32(len(boxes)))
        for name, values in (("control", truth.control), ("measured", truth.measured)):
            channels = [(values or {}).get(quantity.name, np.nan) for quantity in self.spec.model.control]
            self._append(name, np.array(channels, np.float32))
        if heads := self.spec.model.extra_heads:  # the truth of each, side by side as in `truth_columns`
            names = [(head, name) for head in heads for name in head_spec(head).truth]
            numbers = [truth.extra.get(head, {}).get(name, np.nan) for head, name in names]
            self._append("extra", np.array(numbers, np.float32))
        self._append("source_size", np.array(size or (spec.width, spec.height), np.float32))
        self._append("stamp_ns", np.int64(sample.tick.stamp_ns))
        self._append("log_time_ns", np.int64(sample.tick.log_time_ns))
        self.samples += 1

    def finish(self, about: dict[str, Any]) -> None:
        """Write `about.json`, which marks the cache as complete."""
        about |= {
            "samples": self.samples,
            "boxes": self.boxes,
            "words": dict(self.class_names),
            "unknown_words": {w: n for w, n in self.class_names.items() if w not in self._classes},
            "missing_truth": self._missing,
            "arrays": self.arrays,
            "formats": list(self._formats),
        }
        (self.folder / "about.json").write_text(json.dumps(about, indent=1))

    def _box_rows(self, truth: TruthFrame, size: tuple[int, int] | None) -> Any:
        """Return rows of `BOX` in input pixels: boxes of the classes of the model, and regions to ignore of
        these or of every class, as far as they touch the picture. What lies beside it would be learned at its
        edge."""
        if truth.boxes is None or size is None:
            return np.zeros(0, BOX)
        self.class_names.update(box.label for box in truth.boxes if box.label)
        boxes = [
            box
            for box in truth.boxes
            if (_of_every_class(box) or box.label in self._classes) and _touches(box.xyxy, size)
        ]
        rows = np.zeros(len(boxes), BOX)
        if boxes:
            corners = np.array([box.xyxy for box in boxes]).reshape(-1, 2, 2)
            rows["label"] = [self._classes.get(box.label, 0) for box in boxes]
            rows["xyxy"] = self.spec.spec.area(*size).to_input(corners).reshape(-1, 4)
            rows["distance_m"] = [box.distance_m for box in boxes]
            rows["visible"] = [_visible(box) for box in boxes]
        return rows

    def _picture(self, frame: CameraFrame | None, pixels: NDArray[np.uint8]) -> None:
        """Append an image, nothing for an absent one, and how it is to be read."""
        layout, data = [0, 0, 0, PREPARED], b""
        if frame is not None:
            as_recorded = len(frame.data) < pixels.nbytes and not frame.colours
            data = bytes(frame.data) if as_recorded else pixels.tobytes()
            if as_recorded:
                number = self._formats.setdefault(frame.format, len(self._formats))
                layout = [frame.width, frame.height, frame.step, number]
        self._file("pictures").write(data)
        self._picture_end += len(data)
        self._append("picture_end", np.int64(self._picture_end))
        self._append("picture_layout", np.array(layout, np.int32))

    def _append(self, name: str, array: Any) -> None:
        self.arrays.setdefault(name, (array.dtype.str, list(array.shape)))
        file = self._file(name)
        if array.nbytes < BLOCK or array.any():
            file.write(array.tobytes())
        else:  # a hole: an absent sensor takes no room where the file system has sparse files
            file.seek(array.nbytes, os.SEEK_CUR)

    def _file(self, name: str) -> IO[bytes]:
        if name not in self._files:
            self._files[name] = self._stack.enter_context((self.folder / f"{name}.bin").open("wb"))
        return self._files[name]


def _of_every_class(box: TruthBox) -> bool:
    return box.ignore and not box.label


def _visible(box: TruthBox) -> float:
    """Return the visible fraction of an object, or the value that marks a region to ignore."""
    if not box.ignore:
        return box.visible
    return IGNORED if _of_every_class(box) else IGNORED_FOR_CLASS


def _touches(xyxy: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    """Return whether any of a box lies in a picture of this width and height."""
    x1, y1, x2, y2 = xyxy
    return x1 < size[0] and y1 < size[1] and x2 > 0 and y2 > 0


def _source_size(sample: Sample) -> tuple[int, int] | None:
    """Return the width and height that truth refers to: the image's, else the camera info's, else None."""
    for source in (sample.camera.value, sample.rig.calibration):
        if source is not None and source.width > 0 and source.height > 0:
            return source.width, source.height
    return None
