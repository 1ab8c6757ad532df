"""Caches of logs: each log is decoded once into a folder of arrays, which are mapped into memory when read.

A folder is named by the digest of all that it was made from, and gets its name only when it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.config import Config
from perception.errors import ConfigError, OutputError
from perception.logs import Log, is_log, open_log
from perception.logs.log_patterns import is_pattern, matched_logs
from perception.models.preprocess import InputSpec, PictureArea, image_pixels
from perception.models.tensors import RETURN_CHANNELS, Inputs
from perception.remote import is_remote, log_path
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.cache_writer import (
    BOX,
    PREPARED,
    STORED_INPUTS,
    Progress,
    expected_samples,
    write_cache,
)
from perception.training.data.training_sample import SampleId, SampleTruth, TrainingSample
from perception.types import CameraFrame


class CachedLog:
    """The samples of one log.

    Attributes:
        folder: The cache.
        log: The file that the samples came from.
        about: `samples`, `boxes`, `words` (class names of the truth and how often each occurs),
            `unknown_words`, `start_ns` (from which seconds count), `missing_truth` (head -> code of
            the reason -> how many samples have no truth, and the first one's reason in words),
            `status_rate_hz`, `duration_s`, `damage` (why parts of the log are missing).
    """

    def __init__(self, folder: Path, log: Path, spec: InputSpec) -> None:
        self.folder, self.log, self._spec = folder, log, spec
        self.about: dict[str, Any] = json.loads((folder / "about.json").read_text())
        self._arrays: dict[str, Any] = {
            name: np.memmap(folder / f"{name}.bin", np.dtype(dtype), "r", shape=(len(self), *shape))
            for name, (dtype, shape) in self.about["arrays"].items()
        }
        # An empty file cannot be mapped.
        pictures = folder / "pictures.bin"
        self._pictures = (
            np.memmap(pictures, np.uint8, "r") if pictures.stat().st_size else np.zeros(0, np.uint8)
        )
        self._boxes = np.fromfile(folder / "boxes.bin", BOX, self.about["boxes"])
        self._first_box = np.concatenate([[0], np.cumsum(self._arrays["box_count"])]).astype(int)

    def __len__(self) -> int:
        return int(self.about["samples"])

    @property
    def rows_per_tick(self) -> int:
        """Return how many samples a tick has: one for each camera."""
        return int(self.about.get("rows_per_tick", 1))

    @property
    def bytes_on_disk(self) -> int:
        """Return the room that the cache takes, without the holes of its files."""
        return sum(getattr(path.stat(), "st_blocks", 0) * 512 for path in self.folder.iterdir())

    def sample(self, row: int, log_index: int = 0) -> TrainingSample:
        """Return copies of the arrays of one sample; `log_index` becomes part of its id."""
        stored = {name: np.array(self._arrays[name][row]) for name in STORED_INPUTS}
        inputs = Inputs(image=self._image(row), **stored)
        boxes = self.boxes(row)
        truth = SampleTruth(
            labels=boxes["label"].astype(np.int64),
            boxes=np.array(boxes["xyxy"]),
            distance_m=np.array(boxes["distance_m"]),
            visible=np.array(boxes["visible"]),
            boxes_known=np.array(self._arrays["boxes_known"][row]),
            control=np.array(self._arrays["control"][row]),
            measured=np.array(self._arrays["measured"][row]),
            source_size=np.array(self.area(row).input_size, np.float32),
            extra=np.array(self._arrays["extra"][row] if "extra" in self._arrays else (), np.float32),
        )
        return TrainingSample(inputs, truth, SampleId(log_index, row))

    def _image(self, row: int) -> NDArray[np.uint8]:
        """Return the image of a sample as the model takes it, zeros where it is absent."""
        end = self._arrays["picture_end"]
        data = self._pictures[int(end[row - 1]) if row else 0 : int(end[row])]
        shape = (3, self._spec.height, self._spec.width)
        if not data.size:
            return np.zeros(shape, np.uint8)
        width, height, step, number = (int(value) for value in self._arrays["picture_layout"][row])
        if number == PREPARED:
            return np.array(data).reshape(shape)
        encoding = self.about["formats"][number]
        return image_pixels(CameraFrame("", 0, 0, "", bytes(data), encoding, width, height, step), self._spec)

    def area(self, row: int) -> PictureArea:
        """Return where the image that the truth of a sample refers to lies in the input."""
        return self._spec.area(*self._arrays["source_size"][row].tolist())

    def column(self, name: str) -> Any:
        """Return one array over all samples, mapped; `stamp_ns` holds the samples' stamps."""
        return self._arrays[name]

    def boxes(self, row: int) -> Any:
        """Return the boxes of a sample, rows of `BOX`."""
        return self._boxes[self._first_box[row] : self._first_box[row + 1]]


def cached_log(log: Path, spec: CacheSpec, root: Path, progress: Progress | None = None) -> CachedLog:
    """Return the cache of a log; it is made where it does not exist.

    Args:
        log: A log, usually with truth.
        spec: How its samples become arrays.
        root: The folder of all caches.
        progress: Called after each sample that is decoded.

    Raises:
        LogError: The log cannot be read, or has no samples.
        ConfigError: It does not fit the configuration.
        OutputError: The cache cannot be written; nothing of it is left behind.
    """
    with open_log(log) as opened:
        config = spec.config_for(opened)
        folder = root / spec.key(log, config)
        if not (folder / "about.json").is_file():
            _make(opened, config, spec, folder, progress)
    return CachedLog(folder, log, spec.spec)


def find_logs(paths: Sequence[str], section: str) -> list[Path]:
    """Return the logs that files, folders and patterns name, each once, in order.

    Args:
        paths: Files, folders of ROS 2 bags, other folders (all `*.mcap` in them) and patterns.
        section: The key below `data` that lists them, for error texts.

    Raises:
        ConfigError: An entry names no log; all such entries.
        LogError: A store cannot be asked for the matches of a pattern.
    """
    logs: dict[Path, None] = {}
    errors = []
    for text in paths:
        path = log_path(text)
        if is_pattern(path):
            found = matched_logs(path)
        elif not is_remote(path) and path.is_dir() and not is_log(path):
            found = sorted(path.glob("*.mcap"))
        else:
            found = [path] if is_remote(path) or path.exists() else []
        if not found:
            errors.append(
                f"data.{section}: no log at {text}; expected a file, a folder with *.mcap, or a pattern"
            )
        logs.update(dict.fromkeys(found))
    if errors:
        raise ConfigError(errors)
    return list(logs)


def _make(log: Log, config: Config, spec: CacheSpec, folder: Path, progress: Progress | None) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            write_cache(log, config, spec, partial, progress)
            os.replace(partial, folder)
        except OSError:
            if not (folder / "about.json").is_file():  # else another process has made the same one
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        size = expected_samples(log, config) * _bytes_per_sample(spec) >> 20
        raise OutputError(
            f"the cache of {log.path.name} cannot be written: {error.strerror or error}; it needs about "
            f"{size} MiB, set data.cache to a roomier place: {folder.parent}"
        ) from None


def _bytes_per_sample(cache: CacheSpec) -> int:
    spec = cache.spec
    returns = 4 * spec.returns * (len(RETURN_CHANNELS) + 1)
    return 3 * spec.width * spec.height + returns + 4 * spec.status_steps * len(spec.status)
