"""A LeRobot dataset as a table of messages.

Each frame is a message of numbers for each feature (`/observation/state`, `/action`, ...), JSON with the
names of the feature, and a picture or a packet of video for each camera. Stamps are those of the frames, from
the beginning of their episode.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.errors import LogError
from perception.logs.damage import Damage
from perception.logs.lerobot.description import DatasetEpisode, Description, Feature, read_description
from perception.logs.lerobot.tables import read_table
from perception.logs.message_table import MessageTable, TableLog, Unreadable
from perception.logs.readers import Accounting
from perception.logs.video.indexer import VideoIndexer
from perception.logs.video.video_file import VideoFile, arrivals_of, open_video
from perception.types import Channel, Schema

FORMAT = "LeRobot"
PAUSE_NS = 20_000_000_000
"""Between episodes: longer than any jump of a clock that goes on."""
_FIRST_NS = 1_000_000_000
Rows = NDArray[np.int64]  # channel, time, source, item


def root_of(path: Path) -> Path | None:
    """Return the dataset that a path is, or is a table of; None for neither."""
    if path.is_dir():
        return path if (path / "meta" / "info.json").is_file() else None
    if path.suffix != ".parquet":
        return None
    return next((up for up in list(path.parents)[:4] if (up / "meta" / "info.json").is_file()), None)


def open_dataset(path: Path) -> TableLog:
    """Open a dataset, or the episodes of one of its tables. Raises LogError."""
    root = root_of(path)
    if root is None:
        raise LogError(f"expected the folder of a LeRobot dataset, with meta/info.json: {path}")
    about = read_description(root)
    episodes = [e for e in about.episodes if path.is_dir() or e.table.resolve() == path.resolve()]
    if not episodes:
        raise LogError(f"expected a LeRobot dataset with episodes, found none: {path}")
    contents = DatasetContents(about, episodes)
    table = contents.table()
    proof = Accounting("the lengths of the episodes", "")
    return TableLog(path, table, proof, lambda: DatasetReading(contents), contents.close)


class DatasetContents:
    """The channels of a dataset, and where each message lies.

    A source is a table or a video file; an item is a frame of the table, or a packet of the file.
    """

    def __init__(self, about: Description, episodes: list[DatasetEpisode]) -> None:
        self.about, self.episodes = about, episodes
        numbers = [feature for feature in about.features if feature.kind == "numbers"]
        self.features = numbers + [feature for feature in about.features if feature.kind != "numbers"]
        self.damage: list[Damage] = []
        self.lost: Counter[str] = Counter()
        self.tables: list[Path] = []
        self.videos: list[VideoFile] = []
        self.starts: dict[int, int] = {}
        self.channels: list[Channel] = []
        self._rows: list[Rows] = []
        self.stamps: list[NDArray[np.int64]] = []
        self._metadata: dict[str, str] = {}

    def table(self) -> MessageTable:
        """Read the tables and the indexes of the videos; return the table of messages."""
        self.channels = [_channel(i, feature) for i, feature in enumerate(self.features)]
        self._read_frames()
        with VideoIndexer() as indexer:
            for number, feature in enumerate(self.features):
                if feature.kind == "video":
                    self._read_videos(number, feature, indexer)
        rows = np.concatenate(self._rows) if self._rows else np.zeros((0, 4), np.int64)
        self.rows, self.row_stamps = rows, np.concatenate([*self.stamps, np.zeros(0, np.int64)])
        info = {"version": self.about.version, "robot": self.about.robot, "fps": f"{self.about.rate_hz:g}"}
        return MessageTable(
            channels=self.channels,
            channel_of=rows[:, 0].astype(np.int32),
            time_ns=rows[:, 1].copy(),
            damage=self.damage,
            lost=self.lost,
            indexed=not self.damage,
            profile="lerobot",
            notes=self.about.notes,
            metadata=(("lerobot", info), ("episodes", self._metadata)),
            size_bytes=sum(
                source.stat().st_size for source in {*self.tables, *(v.path for v in self.videos)}
            ),
        )

    def _read_frames(self) -> None:
        """Add the rows of numbers and pictures; place the episodes one after the other."""
        begin_ns = _FIRST_NS
        times: dict[Path, dict[int, list[tuple[int, int]]]] = {}
        for index, episode in enumerate(self.episodes):
            if episode.table not in times:
                times[episode.table] = self._times(episode.table)
            frames = times[episode.table].get(episode.number, [])
            if len(frames) < episode.length:
                self._miss(episode, len(frames))
            elif len(frames) > episode.length:
                text = f"episode {episode.number} has {len(frames)} frames, its description says "
                text += f"{episode.length}: {episode.table.name}"
                self.damage.append(Damage(None, None, 0, None, text))
                self.episodes[index] = episode = replace(episode, length=len(frames))
            self.starts[episode.number] = begin_ns
            stamps = np.array([stamp for _, stamp in frames], np.int64) + begin_ns
            items = np.array([item for item, _ in frames], np.int64)
            source = self._source_of(episode.table) if len(frames) else 0
            for number, feature in enumerate(self.features):
                if feature.kind != "video" and len(frames):
                    self._add(number, stamps, stamps, source, items)
            length_ns = round(episode.length * 1e9 / self.about.rate_hz)
            self._metadata[str(episode.number)] = f"{begin_ns / 1e9:.3f} s, {episode.length} frames"
            begin_ns += max(length_ns, int(stamps[-1] - begin_ns) if len(frames) else 0) + PAUSE_NS

    def _times(self, path: Path) -> dict[int, list[tuple[int, int]]]:
        """Return the rows of a table and their stamps in ns, by episode; none where it cannot be read."""
        frames: dict[int, list[tuple[int, int]]] = {}
        try:
            table = read_table(path, ["episode_index", "timestamp"])
        except LogError as error:
            if "extra" in str(error):
                raise
            self.damage.append(Damage(None, None, 0, None, str(error)))
            return frames
        for item, (number, seconds) in enumerate(
            zip(table["episode_index"], table["timestamp"], strict=True)
        ):
            if number is not None and seconds is not None and 0 <= seconds < 1e6:
                frames.setdefault(int(number), []).append((item, round(seconds * 1e6) * 1000))
        return frames

    def _miss(self, episode: DatasetEpisode, found: int) -> None:
        count = episode.length - found
        text = f"episode {episode.number} has {found} of {episode.length} frames: {episode.table.name}"
        self.damage.append(Damage(None, None, 0, count, text))
        for feature in self.features:
            if feature.kind != "video":
                self.lost[feature.topic] += count

    def _source_of(self, path: Path) -> int:
        if path not in self.tables:
            self.tables.append(path)
        return self.tables.index(path)

    def _read_videos(self, number: int, feature: Feature, indexer: VideoIndexer) -> None:
        """Add the packets of a camera's files, each to the episode that shows its picture."""
        held_back = 0
        by_file: dict[Path, list[tuple[float, DatasetEpisode]]] = {}
        for episode in self.episodes:
            path, begin_s = episode.videos[feature.name]
            by_file.setdefault(path, []).append((begin_s, episode))
        for path, parts in by_file.items():
            try:
                video = open_video(path, indexer)
            except LogError as error:
                if "extra" in str(error):
                    raise
                count = sum(episode.length for _, episode in parts)
                self.lost[feature.topic] += count
                self.damage.append(Damage(None, None, 0, count, str(error)))
                continue
            self.videos.append(video)
            if video.reorder >= held_back:
                held_back = video.reorder
                self.channels[number] = video.channel(number, feature.topic)
            self._add_packets(number, video, parts)

    def _add_packets(self, number: int, video: VideoFile, parts: list[tuple[float, DatasetEpisode]]) -> None:
        half_ns = round(0.5e9 / self.about.rate_hz)
        for begin_s, episode in parts:
            begin_ns = round(begin_s * 1e9)
            end_ns = begin_ns + round(episode.length * 1e9 / self.about.rate_hz)
            inside = (video.stamps_ns >= begin_ns - half_ns) & (video.stamps_ns < end_ns - half_ns)
            items = np.flatnonzero(inside)
            if len(items) < episode.length:
                count = episode.length - len(items)
                self.lost[self.features[number].topic] += count
                name = video.path.name
                text = f"episode {episode.number} has {len(items)} of {episode.length} pictures: {name}"
                self.damage.append(Damage(None, None, 0, count, text))
            if not len(items):
                continue
            stamps = video.stamps_ns[items] - begin_ns + self.starts[episode.number]
            _, arrivals = arrivals_of(stamps)
            self._add(number, arrivals, stamps, len(self.videos) - 1, items)

    def _add(
        self, number: int, times: NDArray[np.int64], stamps: NDArray[np.int64], source: int, items: Any
    ) -> None:
        rows = np.empty((len(times), 4), np.int64)
        rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = number, times, source, items
        self._rows.append(rows)
        self.stamps.append(stamps)

    def close(self) -> None:
        """Close the video files."""
        for video in self.videos:
            video.close()


class DatasetReading:
    """One pass over the messages of a dataset; the last tables read stay in memory."""

    def __init__(self, contents: DatasetContents) -> None:
        self.damage: list[Damage] = []
        self._contents = contents
        self._columns = lru_cache(maxsize=8)(self._read)

    def fetch(self, row: int) -> bytes:
        """Return the content of a message. Raises Unreadable."""
        contents = self._contents
        number, _, source, item = contents.rows[row].tolist()
        stamp_ns, feature = int(contents.row_stamps[row]), contents.features[number]
        if feature.kind == "video":
            video: VideoFile = contents.videos[source]
            return video.message(item, stamp_ns, feature.name)
        columns: Mapping[str, list[Any]] = self._columns(source)
        value = columns[feature.name][item]
        if feature.kind == "image":
            return _image(value, stamp_ns, feature.name)
        return json.dumps({"timestamp_ns": stamp_ns, **_tree(feature, value)}).encode()

    def _read(self, source: int) -> Mapping[str, list[Any]]:
        names = [feature.name for feature in self._contents.features if feature.kind != "video"]
        try:
            return read_table(self._contents.tables[source], names)
        except LogError as error:
            raise Unreadable(str(error)) from None


def _tree(feature: Feature, value: Any) -> dict[str, Any]:
    """Return the numbers of a frame by name; a dot in a name makes a level, as in the paths of fields."""
    tree: dict[str, Any] = {}
    for name, number in zip(feature.names, _flat(value), strict=False):
        at = tree
        *levels, last = name.split(".")
        for level in levels:
            at = at.setdefault(level, {}) if isinstance(at.get(level, {}), dict) else at
        at[last] = float(number) if number is not None else None
    return tree


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for element in value:
            yield from _flat(element)
    else:
        yield value


def _image(value: Any, stamp_ns: int, frame_id: str) -> bytes:
    from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage

    data = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(data, bytes):
        raise Unreadable("the picture is not in the table")
    image_format = "png" if data.startswith(b"\x89PNG") else "jpeg"
    message = CompressedImage(frame_id=frame_id, format=image_format, data=data)
    message.timestamp.FromNanoseconds(stamp_ns)
    return bytes(message.SerializeToString())


def _channel(number: int, feature: Feature) -> Channel:
    if feature.kind == "numbers":
        fields = {name: {"type": "number"} for name in feature.names}
        text = json.dumps({"type": "object", "properties": fields}).encode()
        return Channel(number, feature.topic, "json", Schema(f"lerobot.{feature.name}", "jsonschema", text))
    from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
    from mcap_protobuf.schema import build_file_descriptor_set

    kind = CompressedImage if feature.kind == "image" else CompressedVideo
    data = build_file_descriptor_set(kind).SerializeToString(deterministic=True)
    schema = Schema(kind.DESCRIPTOR.full_name, "protobuf", data)
    return Channel(number, feature.topic, "protobuf", schema)
