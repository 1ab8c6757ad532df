"""Folders of pictures, with or without tables of times and values: of own loggers, EuRoC, TUM and the like.

A camera is a column of picture names in a table, else a folder of pictures. Its stamps are the table's, else
those in the names, else made at 10 Hz. docs/logs.md states the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perception.logs.formats.camera_files import calibration_files, calibration_streams
from perception.logs.formats.column_rules import PICTURES
from perception.logs.formats.folder_files import files_in, is_folder, total_size
from perception.logs.formats.mixed_cameras import cameras_of
from perception.logs.formats.picture_stamps import TimedTable, picture_stamps
from perception.logs.formats.streams import Findings, Stream, Times, image_files, number_stream, streams_log
from perception.logs.formats.table_streams import is_pictures, ordered_by_time, table_streams
from perception.logs.formats.text_lines import text_lines, text_start
from perception.logs.formats.text_tables import TextTable, looks_like_table, parse_table
from perception.logs.message_table import TableLog

FORMAT = "folder of pictures"

_LOGS = (".mcap", ".bag", ".db3", ".clf")
_TABLES = (".csv", ".tsv", ".txt")
_FEWEST = 2  # a picture alone is a preview of something
_MOST_FOLDERS = 64


class _Camera(NamedTuple):
    name: str
    files: Sequence[Path]
    stamps_ns: Times | None  # None: those in the names


def reads(path: Path) -> bool:
    """Return whether a path is a folder of pictures, or of folders of them, and of no logs."""
    if not is_folder(path) or files_in(path, *_LOGS):
        return False
    return any(len(files_in(folder, *PICTURES)) >= _FEWEST for folder in _folders(path))


def open(path: Path) -> TableLog:
    """Open a folder of pictures. A picture that is missing or cannot be read is damage.

    Raises:
        LogError: It has no picture.
    """
    findings = Findings(size_bytes=total_size(path))
    pictures = {folder: files_in(folder, *PICTURES) for folder in _folders(path)}
    cameras: list[_Camera] = []
    streams: list[Stream] = []
    tables: list[TimedTable] = []
    for file in [file for folder in _folders(path) for file in files_in(folder, *_TABLES)]:
        found, held = _table(file, path, pictures, tables, findings)
        cameras += found
        streams += held
    used = {picture for camera in cameras for picture in camera.files}
    for folder, files in pictures.items():
        if files and not used.intersection(files):
            cameras.append(_Camera(_name(folder, path), files, None))
        elif rest := len(set(files) - used):
            findings.miss(f"{rest} pictures in {folder.name} that no table names are not read")
    cameras = _all_apart(cameras, findings)
    if (path / "rgb.txt").is_file() and (path / "depth.txt").is_file():
        findings.notes.append(
            "depth images of RGB-D folders as TUM's have 5000 units a metre, and are read in mm: they are no "
            "ranges unless their values are divided by 5"
        )
    held = list(_camera_streams(path, cameras, tables, findings))
    lenses = {
        camera.name: (
            _topic(camera, cameras),
            calibration_files(camera.files[0].parent, path, camera.name, len(cameras) == 1),
        )
        for camera in cameras
        if camera.files
    }
    findings.notes += _unread(path, {file for _, files in lenses.values() for file in files[:1]})
    at = min((int(stream.stamps_ns.min()) for stream in held if len(stream.stamps_ns)), default=0)
    rig = calibration_streams(lenses, at, findings)
    return streams_log(path, [*rig, *streams, *held], findings)


def _unread(path: Path, read: Collection[Path]) -> list[str]:
    """Return a note that counts the files that are neither pictures nor tables, by folder and suffix.

    Args:
        read: Other files that were read.
    """
    counts: Counter[str] = Counter()
    for folder in _folders(path):
        for entry in files_in(folder):
            if entry.name.lower().endswith((*PICTURES, *_TABLES)) or (folder == path and is_folder(entry)):
                continue
            if entry in read:
                continue
            if entry.name != "data" or not is_folder(entry):
                counts[f"{entry.suffix or entry.name} in {folder.name}"] += 1
    kinds = [f"{count} {kind}" for kind, count in counts.most_common(6)]
    more = ", ..." if len(counts) > len(kinds) else ""
    return [f"not read, as they are no pictures and no tables: {', '.join(kinds)}{more}"] if kinds else []


def _folders(path: Path) -> list[Path]:
    """Return the folder, those in it, and the folder `data` of each of these."""
    inner = [entry for entry in files_in(path) if is_folder(entry)][:_MOST_FOLDERS]
    return [path, *(part for entry in inner for part in (entry, entry / "data") if is_folder(part))]


def _name(folder: Path, path: Path) -> str:
    names = [part for part in folder.relative_to(path).parts if part != "data"]
    return names[0] if names else "camera"


def _topic(camera: _Camera, cameras: Sequence[_Camera]) -> str:
    return "/camera/image" if len(cameras) == 1 else f"/{camera.name}/image"


def _camera_streams(
    path: Path, cameras: Sequence[_Camera], tables: Sequence[TimedTable], findings: Findings
) -> Iterator[Stream]:
    for camera in cameras:
        topic = _topic(camera, cameras)
        stamps, files = camera.stamps_ns, camera.files
        if stamps is None:
            stamps = picture_stamps([file.stem for file in files], topic, findings, tables)
        order = np.argsort(stamps, kind="stable")
        stamps, files = stamps[order], [files[i] for i in order]
        names = [str(file.relative_to(path)) for file in files]
        yield image_files(topic, stamps, camera.name, files)
        yield number_stream(f"{topic}/file", "pictures.File", stamps, {"file": names})


def _table(
    file: Path,
    path: Path,
    pictures: Mapping[Path, Sequence[Path]],
    tables: list[TimedTable],
    findings: Findings,
) -> tuple[list[_Camera], list[Stream]]:
    """Return the cameras and the streams of values of a table; neither where it is none that is read.

    A table with a time and without pictures is added to `tables`.
    """
    prefix = f"/{_name(file.parent, path)}" if file.stem == "data" else f"/{file.stem.replace(' ', '_')}"
    if not looks_like_table(text_start(file)):
        findings.notes.append(f"{file.relative_to(path)} is no table of numbers: it is not read")
        return [], []
    try:
        table = parse_table(text_lines(file, findings), f"{prefix}/values", findings)
    except (OSError, ValueError) as error:
        findings.miss(f"{file.name} cannot be read as a table: {getattr(error, 'strerror', None) or error}")
        return [], []
    ordered = ordered_by_time(table, file.name, f"{prefix}/values", findings)
    plain = table if ordered is None else ordered[0]
    columns = [i for i in range(len(plain.names)) if is_pictures(plain, i)]
    if ordered is not None:
        if not columns:
            tables.append(TimedTable(file.name, *ordered))
        cameras = [_named(ordered[0], i, file, path, pictures, ordered[1], findings) for i in columns]
        return [c for c in cameras if c], list(table_streams(*ordered, prefix, "csv.Row", findings))
    if not columns:
        findings.notes.append(
            f"{file.relative_to(path)} has no column of time and none of pictures: it is not read"
        )
        return [], []
    stamps = picture_stamps([Path(cell).stem for cell in table.column(columns[0])], prefix, findings)
    cameras = [_named(table, i, file, path, pictures, stamps, findings) for i in columns]
    order = np.argsort(stamps, kind="stable")
    in_order = TextTable(table.names, [table.rows[i] for i in order])
    return [c for c in cameras if c], list(
        table_streams(in_order, stamps[order], prefix, "csv.Row", findings)
    )


def _all_apart(cameras: list[_Camera], findings: Findings) -> list[_Camera]:
    """Return the cameras, of mixed pictures one for each; a name that several would have gets its folder."""
    parts = [(camera, part) for camera in cameras for part in _apart(camera, findings)]
    counts = Counter(part.name for _, part in parts)
    return [
        part if part is camera or counts[part.name] == 1 else part._replace(name=f"{camera.name}_{part.name}")
        for camera, part in parts
    ]


def _apart(camera: _Camera, findings: Findings) -> list[_Camera]:
    """Return a camera for each of several whose pictures are mixed; else the camera itself."""
    parts = cameras_of(camera.files, camera.stamps_ns)
    if not parts:
        return [camera]
    findings.notes.append(f"{camera.name}: its pictures are of {len(parts)} cameras: {', '.join(parts)}")
    stamps_ns = camera.stamps_ns
    return [
        _Camera(name, [camera.files[i] for i in part], None if stamps_ns is None else stamps_ns[part])
        for name, part in parts.items()
    ]


def _named(
    table: TextTable,
    column: int,
    file: Path,
    path: Path,
    pictures: Mapping[Path, Sequence[Path]],
    stamps: Times,
    findings: Findings,
) -> _Camera | None:
    """Return the camera of a column of picture names; rows whose picture is not in the folder are lost."""
    by_name: dict[str, Path] = {}
    near = sorted(pictures, key=lambda folder: file.parent not in (folder, *folder.parents))
    for folder in near:
        for picture in pictures[folder]:
            by_name.setdefault(picture.name, picture)
            by_name.setdefault(f"{folder.name}/{picture.name}", picture)
    cells = [cell.replace("\\", "/").split("/") for cell in table.column(column)]
    files = [by_name.get("/".join(parts[-2:])) or by_name.get(parts[-1]) for parts in cells]
    kept = [i for i, picture in enumerate(files) if picture is not None]
    is_alone = sum(is_pictures(table, i) for i in range(len(table.names))) == 1
    name = table.names[column].replace(" ", "_")
    if is_alone:
        name = _name(file.parent, path) if file.stem == "data" else file.stem
    findings.lose(f"/{name}/image", len(files) - len(kept), f"pictures that {file.name} names are missing")
    return _Camera(name, [p for p in files if p is not None], stamps[kept]) if kept else None
