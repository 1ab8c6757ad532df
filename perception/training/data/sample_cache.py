"""Samples decoded once: a folder of arrays for each log, mapped into memory when read.

A log goes through the same reader, aligner, truth joiner and preprocessing as in a replay. Arrays are
written sample by sample, so memory does not grow with the log; the folder gets its name only when it is
complete, and its name is the digest of all that it was made from.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from perception.align import align
from perception.align.truth import TruthJoiner
from perception.autoconfig import complete
from perception.config import Config
from perception.errors import ConfigError, LogError, OutputError
from perception.logs import Damage, Log, Query, open_log
from perception.models.config import ModelConfig
from perception.models.preprocess import InputSpec, prepare_inputs
from perception.models.tensors import RETURN_CHANNELS, Inputs
from perception.training.data.cache_key import cache_key
from perception.training.data.training_sample import SampleTruth, TrainingSample
from perception.types import Sample, TruthFrame

BOX = np.dtype([("label", "<i4"), ("xyxy", "<f4", 4), ("distance_m", "<f4"), ("visible", "<f4")])
"""One box in `boxes.bin`."""

Progress = Callable[[Path, int, int], None]
"""Told the log, the samples made, and about how many there will be."""


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """How logs become arrays.

    Attributes:
        model: The model that shall see them.
        spec: Shapes and rules of its inputs.
        config: How logs are read; None: found by schema, log by log.
        classes: The logs' word -> the model's, beside what `config` says.
    """

    model: ModelConfig
    spec: InputSpec
    config: Config | None = None
    classes: tuple[tuple[str, str], ...] = ()

    def config_for(self, log: Log) -> Config:
        """The complete configuration for a log.

        Raises:
            ConfigError: The log does not fit it, or more than one fits the log.
            LogError: The log is empty.
        """
        config = complete(log, self.config).config
        if self.classes:
            truth = config.truth.model_copy(
                update={"classes": {**config.truth.classes, **dict(self.classes)}}
            )
            config = config.model_copy(update={"truth": truth})
        status = config.sensors.status
        if status is not None and status.steps != self.model.steps:
            status = status.model_copy(update={"steps": self.model.steps})
            sensors = config.sensors.model_copy(update={"status": status})
            config = config.model_copy(update={"sensors": sensors})
        return config


class CachedLog:
    """The samples of one log.

    Attributes:
        log: The file they came from.
        about: What the cache says of itself: `samples`, `boxes`, `words` (truth labels and how often),
            `unknown_words`, `status_rate_hz`, `duration_s`, `damage` (why parts of the log are missing).
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.about: dict[str, Any] = json.loads((folder / "about.json").read_text())
        self._arrays: dict[str, Any] = {}
        for name, (dtype, shape) in self.about["arrays"].items():
            kind, size = np.dtype(dtype), (len(self), *shape)
            self._arrays[name] = (
                np.memmap(folder / f"{name}.bin", kind, "r", shape=size)
                if len(self)
                else np.zeros(size, kind)
            )
        count = self.about["boxes"]
        self._boxes = np.fromfile(folder / "boxes.bin", BOX, count)
        self._first = np.concatenate([[0], np.cumsum(self._arrays["box_count"])]).astype(int)

    def __len__(self) -> int:
        return int(self.about["samples"])

    def example(self, index: int, log_index: int = 0) -> TrainingSample:
        """One sample; its arrays belong to the caller."""
        inputs = Inputs(*(np.array(self._arrays[name][index]) for name in Inputs._fields))
        boxes = self._boxes[self._first[index] : self._first[index + 1]]
        return TrainingSample(
            inputs,
            SampleTruth(
                labels=boxes["label"].astype(np.int64),
                boxes=np.array(boxes["xyxy"]),
                distance_m=np.array(boxes["distance_m"]),
                visible=np.array(boxes["visible"]),
                boxes_known=np.array(self._arrays["boxes_known"][index]),
                control=np.array(self._arrays["control"][index]),
                measured=np.array(self._arrays["measured"][index]),
                source_size=np.array(self._arrays["source_size"][index]),
            ),
            (log_index, index),
        )

    def column(self, name: str) -> Any:
        """One array over all samples, as it is mapped; `stamp_ns` is when each was."""
        return self._arrays[name]

    def boxes(self, index: int) -> Any:
        """The boxes of a sample, rows of `BOX`."""
        return self._boxes[self._first[index] : self._first[index + 1]]


def cached_log(log: Path, recipe: CacheSpec, root: Path, progress: Progress | None = None) -> CachedLog:
    """The cache of a log: as it lies there, or made now.

    Args:
        log: A log with truth.
        recipe: How it becomes arrays.
        root: Where caches lie.

    Raises:
        LogError: The log cannot be read, or has no samples.
        ConfigError: It does not fit the configuration.
        OutputError: The cache cannot be written; nothing of it is left behind.
    """
    with open_log(log) as opened:
        config = recipe.config_for(opened)
        folder = root / cache_key(log, config, recipe.spec, recipe.model)
        if not (folder / "about.json").is_file():
            _make(opened, config, recipe, folder, progress)
    return CachedLog(folder, log)


def find_logs(places: Sequence[str], section: str) -> list[Path]:
    """The logs that files, folders and patterns name, each once, in order.

    Raises:
        ConfigError: A place holds none.
    """
    found: dict[Path, None] = {}
    faults = []
    for place in places:
        path = Path(place)
        if path.is_dir():
            logs = sorted(path.glob("*.mcap"))
        elif path.is_file():
            logs = [path]
        else:
            anchor = Path(path.anchor or ".")
            logs = sorted(anchor.glob(str(path.relative_to(path.anchor)))) if place.strip("./") else []
        if not logs:
            faults.append(
                f"data.{section}: no log at {place}; expected a file, a folder with *.mcap, or a pattern"
            )
        found.update(dict.fromkeys(logs))
    if faults:
        raise ConfigError(faults)
    return list(found)


def _make(log: Log, config: Config, recipe: CacheSpec, folder: Path, progress: Progress | None) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            _write(log, config, recipe, partial, progress)
            _put_in_place(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"the cache of {log.path.name} cannot be written: {error.strerror or error}; it needs about "
            f"{_bytes_of(log, config, recipe) >> 20} MiB, set data.cache to a roomier place: {folder.parent}"
        ) from None


def _put_in_place(partial: Path, folder: Path) -> None:
    try:
        os.replace(partial, folder)
    except OSError:
        if not (folder / "about.json").is_file():  # else another process was faster, and made the same
            raise


def _write(log: Log, config: Config, recipe: CacheSpec, folder: Path, progress: Progress | None) -> None:
    writer = _Writer(folder, recipe)
    total = _expected(log, config)
    damage: list[Damage] = []
    with writer:
        for sample, truth in joined(log, config, damage):
            writer.add(sample, truth)
            if progress is not None:
                progress(log.path, writer.samples, total)
    if not writer.samples:
        raise LogError(f"no sample could be made of the log, so there is nothing to learn from: {log.path}")
    status = config.sensors.status
    writer.finish(
        {
            "log": log.path.name,
            "status_rate_hz": status.rate_hz if status is not None else None,
            "damage": [part.reason for part in damage],
            "duration_s": ((log.survey.end_ns or 0) - (log.survey.start_ns or 0)) / 1e9,
        }
    )


def joined(
    log: Log, config: Config, damage: list[Damage] | None = None
) -> Iterator[tuple[Sample, TruthFrame]]:
    """The samples of a log with their truth, as a replay aligns and joins them.

    Args:
        log: Where they come from.
        config: Its complete configuration.
        damage: At the end, what could not be read is added to it.
    """
    joiner = TruthJoiner(config.truth)
    messages = log.messages(Query(topics=frozenset(config.roles())))
    for sample in align(messages, config, on_decoded=joiner.push):
        for found in joiner.add(sample):
            yield found.sample, found.truth
    for found in joiner.flush():
        yield found.sample, found.truth
    if damage is not None:
        damage += messages.damage


def _expected(log: Log, config: Config) -> int:
    topic = getattr(config.sensors, config.reference).topic
    count = log.survey.topics[topic].count if topic in log.survey.topics else None
    return count or 0


def _bytes_of(log: Log, config: Config, recipe: CacheSpec) -> int:
    spec = recipe.spec
    one = 3 * spec.width * spec.height + 4 * spec.returns * (len(RETURN_CHANNELS) + 1)
    return _expected(log, config) * (one + 4 * spec.status_steps * len(spec.status))


class _Writer:
    """Appends samples to the files of a cache."""

    def __init__(self, folder: Path, recipe: CacheSpec) -> None:
        self.folder, self.recipe = folder, recipe
        self.samples = self.boxes = 0
        self.words: Counter[str] = Counter()
        self.kinds: dict[str, tuple[str, list[int]]] = {}
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()
        self._classes = {name: index for index, name in enumerate(recipe.model.classes)}

    def __enter__(self) -> _Writer:
        self._file("boxes")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, sample: Sample, truth: TruthFrame) -> None:
        """Prepare a sample as a replay does, and append it."""
        size = _source_size(sample, self.recipe.spec)
        sample, inputs = prepare_inputs(sample, self.recipe.spec)
        boxes = self._rows(truth, size)
        self._file("boxes").write(boxes.tobytes())
        self.boxes += len(boxes)
        for name, array in zip(Inputs._fields, inputs, strict=True):
            self._append(name, array)
        known = truth.boxes is not None and size is not None
        self._append("boxes_known", np.float32(known))
        self._append("box_count", np.int32(len(boxes)))
        for name, values in (("control", truth.control), ("measured", truth.measured)):
            self._append(name, _channels(values, self.recipe.model))
        spec = self.recipe.spec
        self._append("source_size", np.array(size or (spec.width, spec.height), np.float32))
        self._append("stamp_ns", np.int64(sample.tick.stamp_ns))
        self.samples += 1

    def finish(self, about: dict[str, Any]) -> None:
        """Say what the files hold. The last thing to be written."""
        about |= {
            "samples": self.samples,
            "boxes": self.boxes,
            "words": dict(self.words),
            "unknown_words": {w: n for w, n in self.words.items() if w not in self._classes},
            "arrays": self.kinds,
        }
        (self.folder / "about.json").write_text(json.dumps(about, indent=1))

    def _rows(self, truth: TruthFrame, size: tuple[int, int] | None) -> Any:
        items = truth.boxes if truth.boxes is not None and size is not None else ()
        self.words.update(box.label for box in items)
        kept = [box for box in items if box.label in self._classes]
        rows = np.zeros(len(kept), BOX)
        if kept and size is not None:
            spec = self.recipe.spec
            scale = np.array([spec.width / size[0], spec.height / size[1]] * 2)
            rows["label"] = [self._classes[box.label] for box in kept]
            rows["xyxy"] = np.array([box.xyxy for box in kept]) * scale
            rows["distance_m"] = [box.distance_m for box in kept]
            rows["visible"] = [box.visible for box in kept]
        return rows

    def _append(self, name: str, array: Any) -> None:
        array = np.ascontiguousarray(array)
        shape = list(array.shape) if np.ndim(array) else []
        if name not in self.kinds:
            self.kinds[name] = (array.dtype.str, [] if name in _SCALARS else shape)
        self._file(name).write(array.tobytes())

    def _file(self, name: str) -> IO[bytes]:
        if name not in self._files:
            self._files[name] = self._stack.enter_context((self.folder / f"{name}.bin").open("wb"))
        return self._files[name]


_SCALARS = {"boxes_known", "box_count", "stamp_ns"}


def _channels(values: Any, model: ModelConfig) -> Any:
    given = values or {}
    return np.array([given.get(quantity.name, np.nan) for quantity in model.control], np.float32)


def _source_size(sample: Sample, spec: InputSpec) -> tuple[int, int] | None:
    """Width and height that truth refers to: of the image, else of the calibration; None: not known."""
    frame, calibration = sample.camera.value, sample.rig.calibration
    if frame is not None and frame.width > 0 and frame.height > 0:
        return frame.width, frame.height
    if calibration is not None and calibration.width > 0 and calibration.height > 0:
        return calibration.width, calibration.height
    return None
