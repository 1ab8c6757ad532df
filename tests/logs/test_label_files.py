"""COCO and KITTI label files as truth boxes, joined by file name or by stamp."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from perception.align.truth import TruthJoiner
from perception.autoconfig import complete_config
from perception.config import Config, parse_config
from perception.errors import ConfigError, LogError
from perception.logs import decoder, open_log
from perception.logs.label_files import read_labels
from perception.types import Tick, TruthFrame, absent_sample
from tests.small_logs import SmallLog

START_NS = 1_700_000_000_000_000_000


def coco(folder: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Path:
    categories = [{"id": 1, "name": "car"}, {"id": 7, "name": "person"}]
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def image(number: int, file: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": file, "width": 64, "height": 48, **more}


def box(image_id: int, bbox: list[Any], category: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": 10, "image_id": image_id, "category_id": category, "bbox": bbox, **more}


def test_a_coco_file_and_its_crowds(tmp_path: Path) -> None:
    path = coco(
        tmp_path,
        [image(3, "images/b.jpg"), image(4, "a.png")],
        [
            box(3, [10, 20, 5, 6]),
            box(3, [0, 0, 64, 48], 7, iscrowd=1),
            box(3, [1, 2, -3, 4]),
            box(99, [1, 2, 3, 4]),
        ],
    )
    labels = read_labels(path)
    assert (labels.format, labels.ignored) == ("COCO", 2)
    assert [picture.name for picture in labels.pictures] == ["a", "b"]
    assert labels.pictures[0].boxes == (), "a picture without objects is known to be empty"
    car, crowd = labels.pictures[1].boxes
    assert (car.label, car.xyxy, car.ignore) == ("car", (10, 20, 15, 26), False)
    assert math.isnan(car.distance_m)
    assert (crowd.label, crowd.ignore) == ("person", True)
    assert labels.of("other/b.jpeg") is labels.pictures[1]


KITTI = """Car 0.00 0 -1.58 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59
DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10
Pedestrian 0.00 0 nonsense
"""


def test_kitti_files_and_what_nobody_labelled(tmp_path: Path) -> None:
    (tmp_path / "000007.txt").write_text(KITTI)
    (tmp_path / "000008.txt").write_text("")
    labels = read_labels(tmp_path)
    assert (labels.format, labels.ignored, [p.name for p in labels.pictures]) == (
        "KITTI",
        1,
        ["000007", "000008"],
    )
    car, region = labels.pictures[0].boxes
    assert (car.label, car.xyxy) == ("Car", (587.01, 173.33, 614.12, 200.12))
    assert car.distance_m == pytest.approx(math.sqrt(0.65**2 + (1.71 - 1.65 / 2) ** 2 + 46.70**2))
    assert (region.label, region.ignore) == ("", True)
    assert "000007.txt, line 3: expected 15 words in a label, found 4" in labels.ignored_reason


@pytest.mark.parametrize(
    ("name", "more", "stamp_ns"),
    [
        ("1700000000123456789.png", {}, 1_700_000_000_123_456_789),
        ("frame_1700000000123.jpg", {}, 1_700_000_000_123_000_000),
        ("1700000000.25.jpg", {}, 1_700_000_000_250_000_000),
        ("1700000000-000000005.jpg", {}, 1_700_000_000_000_000_005),
        ("000123.jpg", {}, None),
        ("000123.jpg", {"timestamp": 1_700_000_000.5}, 1_700_000_000_500_000_000),
        ("000123.jpg", {"stamp_ns": 5_000}, 5_000),
        ("20231114_221320.jpg", {}, None),
    ],
)
def test_stamps_stand_in_a_field_or_in_the_name(
    name: str, more: dict[str, Any], stamp_ns: int | None, tmp_path: Path
) -> None:
    (picture,) = read_labels(coco(tmp_path, [image(1, name, **more)], [])).pictures
    assert picture.stamp_ns == stamp_ns


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3}', '{"images": [1]}', "[" * 100_000])
def test_what_is_no_label_file_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(LogError, match="expected a COCO file") as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(LogError, match="cannot be read"):
        read_labels(tmp_path / "missing.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LogError, match=r"found no \.txt files"):
        read_labels(tmp_path / "empty")


def truths(log: SmallLog, labels: Path, tmp_path: Path) -> tuple[list[TruthFrame], Any]:
    with open_log(log.write(tmp_path / "small.mcap")) as opened:
        choice = complete_config(opened, parse_config({"version": 1, "truth": {"labels": str(labels)}}))
        config: Config = choice.config
        joiner, decode = TruthJoiner(config.truth, config.sensors), decoder(config)
        found = []
        for message in opened.messages():
            joiner.push(decode(message))
            if message.topic == "/camera/image":
                tick = Tick(len(found), "reference", decode(message).stamp_ns, message.log_time_ns)
                found += joiner.add(absent_sample(tick, "a test"))
        found += joiner.flush()
    return [joined.truth for joined in found], choice


def test_labels_are_joined_by_the_names_of_files(tmp_path: Path) -> None:
    files = (
        SmallLog()
        .image(hz=30.0)
        .json("/files", lambda i: {"file": f"left/{i:03}.jpg"}, "pictures.File", hz=30.0)
    )
    path = coco(
        tmp_path,
        [image(1, "000.jpg"), image(2, "002.jpg", width=128, height=96), image(3, "elsewhere.jpg")],
        [box(1, [10, 20, 5, 6]), box(2, [20, 40, 10, 12])],
    )
    found, choice = truths(files, path, tmp_path)
    assert choice.config.truth.boxes == "/files"
    assert any("joined by the names of their files on /files" in text for text in choice.reasons)
    assert found[0].boxes is not None
    assert found[0].boxes[0].xyxy == (10, 20, 15, 26)
    assert found[1].boxes is None, "not labelled: unknown, and not empty"
    assert found[2].boxes is not None
    assert len(found[2].boxes) == 1
    with open_log(tmp_path / "small.mcap") as opened:
        truth = {"labels": str(path), "boxes": "/files"}
        named = {"version": 1, "sensors": {"camera": {"topic": "/camera/image"}}, "truth": truth}
        assert complete_config(opened, parse_config(named)).config.truth.boxes == "/files"


def test_labels_are_joined_by_stamp_and_what_is_not_is_said(tmp_path: Path) -> None:
    log = SmallLog().image()
    with open_log(log.write(tmp_path / "small.mcap")) as opened:
        stamps = [m.publish_time_ns for m in opened.messages()]
    path = coco(
        tmp_path,
        [image(1, "a.jpg", stamp_ns=stamps[1]), image(2, "b.jpg")],
        [box(1, [10, 20, 5, 6]), box(1, [0, 0, 9, 9], iscrowd=1)],
    )
    found, choice = truths(log, path, tmp_path)
    known = [truth.boxes for truth in found if truth.boxes is not None]
    assert any(len(boxes) == 2 for boxes in known)
    assert any("1 of 2 pictures are not joined" in text for text in choice.warnings)


@pytest.mark.parametrize(
    ("width", "height", "effect"),
    [(128, 96, None), (640, 640, "boxes are stretched"), (48, 64, "no truth")],
)
def test_labels_for_pictures_of_another_shape_are_a_warning(
    tmp_path: Path, width: int, height: int, effect: str | None
) -> None:
    files = SmallLog().image().json("/files", lambda i: {"file": f"{i:03}.jpg"}, "pictures.File")
    path = coco(tmp_path, [image(1, "000.jpg", width=width, height=height)], [box(1, [10, 20, 5, 6])])
    _, choice = truths(files, path, tmp_path)
    said = [text for text in choice.warnings if f"pictures of {width}x{height}" in text]
    assert len(said) == (effect is not None)
    assert all(str(effect) in text for text in said)


def test_labels_that_cannot_be_read_are_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"truth.labels: the labels cannot be read"):
        truths(SmallLog().image(), tmp_path / "missing.json", tmp_path)
