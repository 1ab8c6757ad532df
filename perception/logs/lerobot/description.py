"""The description of a LeRobot dataset: features, episodes, and the files of each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception.errors import LogError
from perception.logs.lerobot.tables import read_table
from perception.text import visible_line

MAX_BYTES = 64 << 20
"""Of a description; of a data set of 100,000 episodes it has 20 MB."""
MOST_NUMBERS = 1024
"""Of one feature of one frame."""
_VERSIONS = ("v2.0", "v2.1", "v3.0")
_INDEX_COLUMNS = frozenset({"timestamp", "frame_index", "episode_index", "index", "task_index"})
_FIELD = re.compile(r"\{(\w+)(?::0?(\d{1,2})d?)?\}")


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: `kind` is `video`, `image` or `numbers`; `names` are those of its numbers."""

    name: str
    kind: str
    names: tuple[str, ...] = ()

    @property
    def topic(self) -> str:
        return "/" + self.name.replace(".", "/")


@dataclass(frozen=True, slots=True)
class DatasetEpisode:
    """One episode: its number, frames and table; for each video its file and where it begins there, s."""

    number: int
    length: int
    table: Path
    videos: Mapping[str, tuple[Path, float]]


@dataclass(frozen=True, slots=True)
class Description:
    """A dataset's description; `notes` say which features are not read, and why."""

    root: Path
    version: str
    rate_hz: float
    robot: str
    features: tuple[Feature, ...]
    episodes: tuple[DatasetEpisode, ...]
    notes: tuple[str, ...]


def read_description(root: Path) -> Description:
    """Return the description of a dataset. Raises LogError."""
    info = _json(root / "meta" / "info.json")
    version = str(info.get("codebase_version", ""))
    if version not in _VERSIONS:
        raise LogError(
            f"expected a LeRobot dataset of version {', '.join(_VERSIONS)}, found {version[:20]!r}; convert "
            f"it with the scripts of lerobot: {root}"
        )
    try:
        rate_hz = float(info["fps"])
        features, notes = _features(info["features"])
        videos = [feature.name for feature in features if feature.kind == "video"]
        read = _episodes_of_3 if version == "v3.0" else _episodes_of_2
        episodes = tuple(sorted(read(root, info, videos), key=lambda episode: episode.number))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LogError(f"the description of the dataset is damaged ({error!r}): {root / 'meta'}") from None
    if not 0 < rate_hz <= 10_000:
        raise LogError(f"expected frames per second in meta/info.json, found {rate_hz}: {root}")
    robot = str(info.get("robot_type") or "")
    return Description(root, version, rate_hz, robot, tuple(features), episodes, tuple(notes))


def _features(items: Mapping[str, Any]) -> tuple[list[Feature], list[str]]:
    """Return the features that are read, and a line for each other one."""
    features, notes = [], []
    for name, item in items.items():
        kind, count = str(item.get("dtype", "")), 1
        for side in item.get("shape") or [1]:
            count *= int(side)
        if kind in ("video", "image"):
            features.append(Feature(name, kind))
        elif name in _INDEX_COLUMNS:
            continue
        elif kind == "string":
            notes.append(f"{name} is not read: it is text")
        elif 1 <= count <= MOST_NUMBERS:
            features.append(Feature(name, "numbers", _names(name, item.get("names"), count)))
        else:
            stated = f"of the type {kind[:40]!r}" if kind else "without a type"
            notes.append(
                f"{name} is not read: {count} values a frame {stated}; expected a video, an image or at most "
                f"{MOST_NUMBERS} numbers"
            )
    return features, [visible_line(note) for note in notes]


def _names(feature: str, names: Any, count: int) -> tuple[str, ...]:
    """Return the names of a feature's numbers: as given, else by its last word and their index."""
    while isinstance(names, Mapping):  # {"motors": [...]}, {"axes": [...]}
        names = next(iter(names.values()), None)
    if isinstance(names, list) and len(names) == count and len(set(map(str, names))) == count:
        return tuple(str(name) for name in names)
    word = feature.rpartition(".")[2]
    return (word,) if count == 1 else tuple(f"{word}.{index}" for index in range(count))


def _episodes_of_2(root: Path, info: Mapping[str, Any], videos: list[str]) -> list[DatasetEpisode]:
    """Return the episodes of versions 2.0 and 2.1: a table and a video file for each."""
    episodes = []
    chunk_size = max(int(info.get("chunks_size") or 1000), 1)
    path = root / "meta" / "episodes.jsonl"
    for line in _text(path).splitlines():
        if not line.strip():
            continue
        entry = json.loads(line)
        number = int(entry["episode_index"])
        place = {"episode_index": number, "episode_chunk": number // chunk_size}
        table = inside(root, fill(str(info["data_path"]), place))
        files = {
            name: (inside(root, fill(str(info["video_path"]), {**place, "video_key": name})), 0.0)
            for name in videos
        }
        episodes.append(DatasetEpisode(number, int(entry["length"]), table, files))
    return episodes


def _episodes_of_3(root: Path, info: Mapping[str, Any], videos: list[str]) -> list[DatasetEpisode]:
    """Return the episodes of version 3.0: several in a table, several in a video file."""
    episodes = []
    columns = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    parts = ("chunk_index", "file_index", "from_timestamp")
    columns += [f"videos/{name}/{part}" for name in videos for part in parts]
    for path in sorted((root / "meta" / "episodes").glob("*/*.parquet")):
        table = read_table(path, columns)
        for row in zip(*(table[column] for column in columns), strict=True):
            entry = dict(zip(columns, row, strict=True))
            files = {}
            for name in videos:
                chunk, number, begin = (entry[f"videos/{name}/{part}"] for part in parts)
                place = {"video_key": name, "chunk_index": int(chunk), "file_index": int(number)}
                files[name] = inside(root, fill(str(info["video_path"]), place)), float(begin)
            place = {
                "chunk_index": int(entry["data/chunk_index"]),
                "file_index": int(entry["data/file_index"]),
            }
            data = inside(root, fill(str(info["data_path"]), place))
            episodes.append(DatasetEpisode(int(entry["episode_index"]), int(entry["length"]), data, files))
    return episodes


def fill(template: str, values: Mapping[str, object]) -> str:
    """Return a template's path with its fields; only names and widths are read of it."""

    def value(match: re.Match[str]) -> str:
        found = values[match[1]]
        return f"{found:0{int(match[2])}d}" if match[2] and isinstance(found, int) else str(found)

    return _FIELD.sub(value, template)


def inside(root: Path, relative: str) -> Path:
    """Return a path in the dataset. Raises ValueError for one that leads out of it."""
    path = root / relative
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise ValueError(f"a path that leads out of the dataset: {relative[:80]}")
    return path


def _json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(_text(path))
    except ValueError as error:
        raise LogError(f"expected JSON ({error}): {path}") from None
    if not isinstance(value, dict):
        raise LogError(f"expected a JSON object: {path}")
    return value


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LogError(f"cannot be opened ({error.strerror or error}): {path}") from None
    if len(data) > MAX_BYTES:
        raise LogError(f"longer than {MAX_BYTES} bytes: {path}")
    return data.decode("utf-8", "replace")
