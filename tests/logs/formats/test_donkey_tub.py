"""DonkeyCar tubs of both versions: pictures and numbers with their stamps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.logs import open_log
from perception.types import CameraFrame, StatusReading
from tests.logs.formats.made_logs import donkey_records, jpeg, read, write_donkey_v1, write_donkey_v2


@pytest.mark.parametrize("version", [1, 2])
def test_pictures_and_numbers_come_out_as_they_were_recorded(tmp_path: Path, version: int) -> None:
    records = donkey_records(12)
    write = write_donkey_v2 if version == 2 else write_donkey_v1
    messages, _, damage = read(write(tmp_path / "tub", records))
    assert damage == []
    start_ns = 1_602_421_393_803_000_000 if version == 2 else 1_500_000_000_250_000_000
    stamps = [start_ns + 50_000_000 * i for i in range(12)]
    frames, states = messages["/camera/image"], messages["/tub"]
    assert [m.stamp_ns for m in frames] == stamps == [m.stamp_ns for m in states]
    assert [bytes(m.data) for m in frames if isinstance(m, CameraFrame)] == [jpeg(i) for i in range(12)]
    angles = [m.values["user.angle"] for m in states if isinstance(m, StatusReading)]
    assert angles == [record["user/angle"] for record in records]


def test_made_stamps_are_said(tmp_path: Path) -> None:
    path = write_donkey_v1(tmp_path / "tub", donkey_records(12), milliseconds=False)
    frames = read(path)[0]["/camera/image"]
    assert [m.stamp_ns for m in frames] == [50_000_000 * (i + 1) for i in range(12)]
    with open_log(path) as log:
        assert any("stamps are made at 20 Hz" in note for note in log.survey.notes)


def test_deleted_records_are_left_out_and_said(tmp_path: Path) -> None:
    path = write_donkey_v2(tmp_path / "tub", donkey_records(12), deleted=(2, 7))
    messages, _, damage = read(path)
    assert len(messages["/tub"]) == 10
    assert damage == []
    with open_log(path) as log:
        assert any(note.startswith("2 records") for note in log.survey.notes)


def test_a_record_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    records = donkey_records(4)
    path = write_donkey_v2(tmp_path / "tub", records)
    (tmp_path / "secret.jpg").write_bytes(jpeg(99))
    for name in ("../secret.jpg", "../../secret.jpg", str(tmp_path / "secret.jpg")):
        records[1]["cam/image_array"] = name
        text = "".join(json.dumps(record) + "\n" for record in records[:2])
        (path / "catalog_0.catalog").write_text(text)
        messages, account, damage = read(path)
        assert len(messages["/camera/image"]) == 3
        assert account.corrupt["/camera/image"] == 1
        assert "no file of its folder" in damage[-1].reason


def test_missing_pictures_and_broken_records_are_counted(tmp_path: Path) -> None:
    path = write_donkey_v2(tmp_path / "tub", donkey_records(12))
    (path / "images" / "3_cam_image_array_.jpg").unlink()
    lines = (path / "catalog_1.catalog").read_text().splitlines()
    lines[0] = lines[0][:30]
    (path / "catalog_1.catalog").write_text("\n".join(lines))
    messages, account, damage = read(path)
    assert account.lost == {"/camera/image": 1, "/tub": 1}
    assert len(messages["/tub"]) == 11
    assert len(messages["/camera/image"]) == 10
    assert sum(item.messages or 0 for item in damage) == 2


def test_records_that_the_manifest_counts_and_no_catalog_holds_are_lost(tmp_path: Path) -> None:
    path = write_donkey_v2(tmp_path / "tub", donkey_records(12))
    (path / "catalog_1.catalog").unlink()
    _, account, damage = read(path)
    assert account.lost["/tub"] == 6
    assert any("catalog_1.catalog is missing" in item.reason for item in damage)
    with open_log(path) as log:
        assert log.accounting.counts == "the manifest's current_index"


@pytest.mark.shared
def test_the_real_tub(shared: Path) -> None:
    with open_log(shared / "donkey_tub" / "tub") as log:
        assert log.survey.counts == {"/camera/image": 1000, "/tub": 1000}
        assert any("no such car is so fast" in note for note in log.survey.notes)
        assert sum(1 for _ in log.messages()) == 2000
