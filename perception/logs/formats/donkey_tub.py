"""DonkeyCar tubs: pictures with steering, throttle and further inputs, a JSON record each.

Version 2 is a folder with `manifest.json` and `catalog_N.catalog`, a record a line; version 1 is a folder
with `record_N.json`. The layouts are those of `donkeycar.parts.tub_v2` and `donkeycar.parts.datastore`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception.logs.formats.folder_files import files_in, is_folder, read_file, read_start, total_size
from perception.logs.formats.streams import (
    LATEST_NS,
    Findings,
    Stream,
    Times,
    image_stream,
    made_stamps,
    number_stream,
    streams_log,
    times_of_seconds,
)
from perception.logs.formats.text_lines import text_lines
from perception.logs.message_table import TableLog, Unreadable
from perception.text import listed

FORMAT = "DonkeyCar tub"

_CAMERA, _STATE = "/camera/image", "/tub"
_PICTURE = "cam/image_array"
_DRIVE_LOOP_HZ = 20.0  # DonkeyCar's default
_RECORD_BYTES = 1 << 20
_MAX_KEYS, _MAX_VALUES = 200, 4_000_000
_SUSPICIOUS_NS = 8_000_000

Record = Mapping[str, Any]


def reads(path: Path) -> bool:
    """Return whether a path is the folder of a tub."""
    if not is_folder(path):
        return False
    if read_start(path / "manifest.json", 1) == b"[":
        return bool(files_in(path, ".catalog")) or is_folder(path / "images")
    return any((path / f"record_{i}.json").exists() for i in (0, 1)) or (
        (path / "meta.json").exists() and bool(_record_files(path))
    )


def open(path: Path) -> TableLog:
    """Open a tub of either version. A record or picture that is missing or cannot be read is damage.

    Raises:
        LogError: No record can be read.
    """
    findings = Findings(size_bytes=total_size(path))
    is_second = (path / "manifest.json").exists()
    records = list(_catalog_records(path, findings) if is_second else _json_records(path, findings))
    stamps = _stamps_v2(records) if is_second else _stamps_v1(path, records)
    if stamps is None:
        stamps = made_stamps(len(records), _DRIVE_LOOP_HZ)
        findings.notes.append(
            f"stamps are made at {_DRIVE_LOOP_HZ:g} Hz, DonkeyCar's default: records have none"
        )
    order = np.argsort(stamps, kind="stable")
    if (np.diff(stamps) < 0).any():
        findings.notes.append(f"stamps go back in time {int((np.diff(stamps) < 0).sum())} times")
    period_ns = float(np.median(np.diff(stamps[order]))) if len(stamps) > 1 else np.inf
    if period_ns < _SUSPICIOUS_NS:
        findings.notes.append(
            f"records come every {period_ns / 1e6:.1f} ms: no such car is so fast, the stamps are perhaps "
            "those of a conversion"
        )
    ordered = [records[i] for i in order]
    return streams_log(path, _streams(path, ordered, stamps[order], is_second, findings), findings)


def _streams(
    path: Path, records: Sequence[Record], stamps: Times, is_second: bool, findings: Findings
) -> Iterator[Stream]:
    keys = list(dict.fromkeys(key for record in records for key in record))
    most = min(_MAX_KEYS, max(_MAX_VALUES // max(len(records), 1), 20))
    if len(keys) > most:
        findings.miss(f"records of {len(keys)} inputs: {most} are read (docs/limits.md)")
        keys = keys[:most]
    numbers = [key for key in keys if any(_is_number(record.get(key)) for record in records)]
    columns = {
        key.replace("/", "."): [_number(record.get(key)) for record in records]
        for key in numbers
        if key not in ("_timestamp_ms", "_index", "milliseconds")
    }
    yield number_stream(_STATE, "donkeycar.Record", stamps, columns)
    with_picture = [i for i, record in enumerate(records) if isinstance(record.get(_PICTURE), str)]
    folder = path / "images" if is_second and is_folder(path / "images") else path
    names = [records[i][_PICTURE] for i in with_picture]
    if spare := len({file.name for file in files_in(folder, ".jpg", ".jpeg", ".png")} - {*names}):
        findings.notes.append(f"{spare} pictures are named by no record, and not read")
    yield image_stream(_CAMERA, stamps[with_picture], "camera", lambda i: picture(folder, names[i]))


def picture(folder: Path, name: str) -> bytes:
    """Return a picture that a record names: a file of the folder and nowhere else.

    Raises:
        Unreadable: It is missing (then proven to be lost), or is none of the folder.
    """
    if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise Unreadable(f"a record names {name[:60]!r}, which is no file of its folder")
    try:
        return read_file(folder / name)
    except FileNotFoundError:
        raise Unreadable("pictures that records name are missing", is_proven=True) from None


def _catalog_records(path: Path, findings: Findings) -> Iterator[Record]:
    """Yield the records of all catalogs that were not deleted."""
    files, deleted, count = _manifest(path, findings)
    removed, seen = 0, set[int]()
    for file in files:
        try:
            lines = text_lines(file, findings)
        except (OSError, ValueError) as error:
            findings.miss(f"{file.name} cannot be read: {getattr(error, 'strerror', None) or error}")
            continue
        records = [_parse(line) for line in lines if line.strip()]
        findings.lose(_STATE, records.count(None), f"{file.name}: lines that are no record")
        for record in (record for record in records if record is not None):
            index = record.get("_index")
            if isinstance(index, int):
                seen.add(index)
            if isinstance(index, int) and index in deleted:
                removed += 1
            else:
                yield record
    if seen and count is not None:
        findings.proof = "the manifest's current_index"
        missing = count - min(seen) - len(seen) - findings.lost[_STATE]
        findings.lose(_STATE, missing, f"the manifest counts {count} records, from {min(seen)} on")
    if removed:
        findings.notes.append(f"{removed} records that the manifest lists as deleted are left out")


def _manifest(path: Path, findings: Findings) -> tuple[list[Path], set[int], int | None]:
    """Return the catalogs, the indices of deleted records, and the index after the last, if known."""
    found = files_in(path, ".catalog")
    try:
        entries = [_parse(line) for line in text_lines(path / "manifest.json", findings)]
    except (OSError, ValueError):
        entries = []
    last = next((entry for entry in reversed(entries) if entry and "paths" in entry), None)
    if last is None:
        findings.miss("manifest.json is damaged: all catalogs are read, deleted records too")
        return found, set(), None
    names = [name for name in last["paths"] if isinstance(name, str) and Path(name).name == name]
    for name in sorted({*names} - {file.name for file in found}):
        findings.miss(f"{name} is missing")
    if extra := sorted({file.name for file in found} - {*names}):
        findings.notes.append(f"catalogs that the manifest does not list are not read: {listed(extra, 5)}")
    deleted, count = last.get("deleted_indexes"), last.get("current_index")
    indices = {i for i in deleted if isinstance(i, int)} if isinstance(deleted, list) else set()
    kept = [file for file in found if file.name in names]
    return kept, indices, count if isinstance(count, int) and 0 <= count < 1 << 40 else None


def _json_records(path: Path, findings: Findings) -> Iterator[Record]:
    broken = 0
    files = _record_files(path)
    for file in files:
        try:
            record = _parse(read_file(file, _RECORD_BYTES))
        except (OSError, ValueError):
            record = None
        if record is None:
            broken += 1
        else:
            yield record
    findings.lose(_STATE, broken, "files that are no record")
    numbers = {int(digits) for file in files if (digits := file.stem.removeprefix("record_")).isdecimal()}
    if numbers and (gaps := max(numbers) - min(numbers) + 1 - len(numbers)):
        span = f"from {min(numbers)} to {max(numbers)}"
        findings.notes.append(f"{gaps} numbers {span} have no record: they were deleted, or are lost")


def _record_files(path: Path) -> list[Path]:
    return [file for file in files_in(path, ".json") if file.name.startswith("record_")]


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(text) if len(text) <= _RECORD_BYTES else None
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _stamps_v2(records: Sequence[Record]) -> Times | None:
    return _milliseconds([record.get("_timestamp_ms") for record in records], 0)


def _stamps_v1(path: Path, records: Sequence[Record]) -> Times | None:
    meta = _parse(read_start(path / "meta.json", _RECORD_BYTES)) or {}
    start_s = meta.get("start")
    start = times_of_seconds(np.array([start_s if _is_number(start_s) else 0.0]))[0]
    return _milliseconds([record.get("milliseconds") for record in records], int(start[0]))


def _milliseconds(values: Sequence[Any], start_ns: int) -> Times | None:
    """Return the stamps of times in ms after a start; None where one record has none."""
    if not values or not all(_is_number(value) and 0 <= value <= LATEST_NS // 2_000_000 for value in values):
        return None
    return np.array([start_ns + round(value * 1_000_000) for value in values], np.int64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float | int | None:
    return value if _is_number(value) and abs(value) < 1e300 else None
