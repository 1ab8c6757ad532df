"""The file `metadata.yaml` of a ROS 2 bag, and the files of a bag's folder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import yaml

from perception.logs.damage import Damage

NAME = "metadata.yaml"
_MOST_BYTES = 4 << 20
_SUFFIXES = (".db3", ".mcap")
_PACKED = (".zstd", ".zst")


@dataclass(slots=True, eq=False)
class BagFolder:
    """What a folder says of its bag.

    Attributes:
        files: The files to read, in order.
        counts: Messages by topic; None where nothing says it.
        notes: Texts for users: the distribution of ROS, what the recorder was told to note.
        damage: What is missing.
    """

    files: list[Path] = field(default_factory=list)
    counts: Counter[str] | None = None
    notes: dict[str, str] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)


def holds_bag(folder: Path) -> bool:
    """Return whether a folder is a ROS 2 bag: it has a metadata.yaml of one, or files called after it.

    A recorder that was killed leaves no metadata.yaml. Never raises.
    """
    try:
        if not folder.is_dir():
            return False
        if (folder / NAME).is_file():
            with (folder / NAME).open("rb") as file:
                return b"rosbag2_bagfile_information" in file.read(_MOST_BYTES) or bool(_split(folder))
        return bool(_split(folder))
    except (OSError, ValueError):
        return False


def read_folder(folder: Path) -> BagFolder:
    """Return what a folder says of its bag. Raises OSError."""
    bag = BagFolder()
    try:
        information = _parse(folder / NAME)
    except (OSError, ValueError) as error:
        reason = f"there is no {NAME}: the recording was not closed"
        if not isinstance(error, FileNotFoundError):
            reason = f"{NAME} cannot be read ({error})"
        bag.damage.append(Damage(None, None, 0, None, f"{reason}; nothing says what should be there"))
        bag.files = _stored(folder)
        return bag
    _find_files(folder, information, bag)
    bag.counts = _counts(information)
    custom = information.get("custom_data")
    notes = {**(custom if isinstance(custom, dict) else {}), "ros_distro": information.get("ros_distro")}
    bag.notes = {str(key): str(text) for key, text in notes.items() if text}
    return bag


def _parse(path: Path) -> dict[str, Any]:
    """Return the information about a bag. Raises OSError, ValueError."""
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
    try:
        tree = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())[:120]) from None
    information = tree.get("rosbag2_bagfile_information") if isinstance(tree, dict) else None
    if not isinstance(information, dict):
        raise ValueError("it has no section rosbag2_bagfile_information")
    return information


def _find_files(folder: Path, information: dict[str, Any], bag: BagFolder) -> None:
    """Add the files that the metadata list, and the damage of those that are not there."""
    listed = information.get("relative_file_paths")
    names = [PurePath(str(name)).name for name in listed] if isinstance(listed, list) else []
    counts = {
        PurePath(str(item.get("path"))).name: item.get("message_count")
        for item in information.get("files") or ()
        if isinstance(item, dict)
    }
    for name in dict.fromkeys(names):
        places = [folder / (PurePath(name).stem if name.endswith(_PACKED) else name), folder / name]
        places += [folder / (name + packed) for packed in _PACKED]
        found = next((place for place in places if place.is_file()), None)
        if found is not None:
            bag.files.append(found)
            continue
        count = counts.get(name)
        known = count if isinstance(count, int) and count >= 0 else None
        reason = f"the file {name} is missing; copy it into the folder"
        bag.damage.append(Damage(None, None, 0, known, reason))
    for file in _stored(folder):
        if file not in bag.files:
            reason = f"the file {file.name} is not listed in {NAME} and is not read; give it by itself"
            bag.damage.append(Damage(None, None, file.stat().st_size, None, reason))


def _counts(information: dict[str, Any]) -> Counter[str] | None:
    topics = information.get("topics_with_message_count")
    if not isinstance(topics, list):
        return None
    counts: Counter[str] = Counter()
    for topic in topics:
        count = topic.get("message_count") if isinstance(topic, dict) else None
        about = topic.get("topic_metadata") if isinstance(topic, dict) else None
        if isinstance(count, int) and count >= 0 and isinstance(about, dict):
            counts[str(about.get("name"))] += count
    return counts


def _stored(folder: Path) -> list[Path]:
    """Return the files of storage in a folder, by the numbers in their names, each once."""

    def order(path: Path) -> list[tuple[int, str]]:
        return [
            (int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)
        ]

    files = {path.name: path for path in folder.iterdir() if path.is_file() and _storage(path)}
    whole = [path for name, path in files.items() if not (name.endswith(_PACKED) and path.stem in files)]
    return sorted(whole, key=order)


def _split(folder: Path) -> list[Path]:
    """Return the files of storage that are called after the folder, as recorders call them."""
    name = re.compile(re.escape(folder.resolve().name) + r"_\d+\.(db3|mcap)(\.zstd|\.zst)?")
    return [path for path in _stored(folder) if name.fullmatch(path.name)]


def _storage(path: Path) -> bool:
    name = path.name
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return name.endswith(_SUFFIXES)
