"""Pictures with boxes go through the path of any log, and say nothing of classes that are not complete."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from perception.errors import ConfigError, LogError, OutputError
from perception.logs import open_log
from perception.training.data.cache_spec import CacheSpec
from perception.training.data.loader import Loader
from perception.training.data.picture_log import LabelledPicture, write_picture_log
from perception.training.data.sample_cache import cached_log
from perception.training.data.splits import open_splits
from perception.training.loop.observer import Silent
from perception.training.loop.process_group import ProcessGroup
from perception.types import TruthBox
from tests.training.conftest import small_config


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A log of three pictures of 256 x 128: a PNG with two boxes, a JPEG with one, one without."""
    boxes = [
        [
            TruthBox("vehicle", (20, 40, 100, 90), math.nan, 1.0, "a"),
            TruthBox("cone", (0, 0, 9, 20), 4.0, 0.2, ""),
        ],
        [TruthBox("person", (128, 0, 160, 128), math.nan, 1.0, "")],
        [],
    ]
    listed = []
    for index, (suffix, of_picture) in enumerate(zip(("png", "jpg", "jpeg"), boxes, strict=True)):
        path = tmp_path / f"{index}.{suffix}"
        shades = 40 * index + 10 + np.arange(256)[None, :, None] // 12  # 20 brighter from left to right
        cv2.imwrite(str(path), np.broadcast_to(shades, (128, 256, 3)).astype(np.uint8))
        listed.append(LabelledPicture(path, of_picture))
    assert write_picture_log(tmp_path / "pictures.mcap", listed) == 3
    return tmp_path / "pictures.mcap"


def test_pictures_become_samples_without_range_and_status(
    pictures: Path, recipe: CacheSpec, tmp_path: Path
) -> None:
    log = cached_log(pictures, recipe, tmp_path / "cache")
    samples = [log.sample(row) for row in range(len(log))]
    assert [sample.inputs.present.tolist() for sample in samples] == [[1, 0, 0]] * 3
    assert [int(sample.inputs.image.mean().round()) for sample in samples] == [20, 60, 100]
    first, second, third = (sample.truth for sample in samples)
    assert first.boxes_known == second.boxes_known == third.boxes_known == 1
    order = np.argsort(first.boxes[:, 0])
    np.testing.assert_allclose(first.boxes[order], [[0, 0, 4.5, 10], [10, 20, 50, 45]])
    np.testing.assert_allclose(first.visible[order], [0.2, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(first.distance_m[order], [4.0, np.nan])
    assert second.labels.tolist() == [0]
    assert not len(third.labels)


def test_a_rule_for_a_log_marks_its_incomplete_classes(pictures: Path, street: Path, tmp_path: Path) -> None:
    rules: dict[str, Any] = {"complete_classes": {"pict*.mcap": ["person"]}}
    rules |= {"train": [str(pictures), str(street)], "config": None}  # each log is read as it is
    config = small_config(street, tmp_path / "cache", tmp_path / "run", data=rules)
    training, validation = open_splits(config, Silent(), ProcessGroup())
    assert validation is not None
    assert training[0].truth.complete.tolist() == [1, 0, 0]
    assert training[len(training) - 1].truth.complete.tolist() == [1, 1, 1]
    assert training.some(2)[0].truth.complete.tolist() == [1, 0, 0]
    batch = Loader(training, None, 4, slice(4), 0).prepared(0, np.array([0, 1, 2, 3]))
    assert batch.truth.complete.tolist() == [[1, 0, 0]] * 3 + [[1, 1, 1]]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"yard*": ["person"]}, "fits none of the logs street.mcap"),
        ({"street.mcap": ["lorry"]}, "the model has no class lorry; it has person, vehicle, cone"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_an_error(
    street: Path, tmp_path: Path, rule: dict[str, list[str]], words: str
) -> None:
    config = small_config(street, tmp_path, tmp_path / "run", data={"complete_classes": rule})
    with pytest.raises(ConfigError, match=words):
        open_splits(config, Silent(), ProcessGroup())


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"none\.jpg: cannot be read"):
        write_picture_log(tmp_path / "x.mcap", [LabelledPicture(tmp_path / "none.jpg", [])])


CAR = TruthBox("vehicle", (10, 20, 60, 50), math.nan, 1.0, "")


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """A picture of 128 x 64."""
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((64, 128, 3), 90, np.uint8))
    return path


def test_a_log_stays_as_it_was_where_a_later_picture_cannot_be_read(grey: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.mcap"
    write_picture_log(str(out), [LabelledPicture(str(grey), [CAR])])
    before = out.read_bytes()
    with pytest.raises(LogError, match=r"none\.jpg: cannot be read"):
        write_picture_log(out, [LabelledPicture(grey, [CAR]), LabelledPicture(tmp_path / "none.jpg", [])])
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grey.png", "x.mcap"]


def test_a_picture_is_not_replaced_by_the_log(grey: Path) -> None:
    before = grey.read_bytes()
    with pytest.raises(OutputError, match="would replace a picture"):
        write_picture_log(grey, [LabelledPicture(grey, [CAR])])
    assert grey.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"xyxy": (50, 18, 30, 30)}, r"expected x1 < x2 and y1 < y2, found 50, 18, 30, 30; a width"),
        ({"xyxy": (10, 20, 10, 30)}, "expected x1 < x2"),
        ({"xyxy": (0.1, 0.2, 0.5, 0.8)}, "multiply shares of the picture by 128 and 64"),
        (
            {"xyxy": (100, 20, 140, 50)},
            "inside the picture of 128 x 64 pixels, found 100, 20, 140, 50; clip it",
        ),
        ({"xyxy": (-3, 20, 40, 50)}, "inside the picture"),
        ({"xyxy": (1, math.nan, 40, 50)}, "xyxy: expected four numbers"),
        ({"xyxy": (1, 2, 40)}, "xyxy: expected four numbers"),
        ({"visible": None}, "visible: expected a fraction from 0 to 1, found None"),
        ({"visible": 80}, "visible: expected a fraction from 0 to 1, found 80"),
        ({"distance_m": -4.0}, r"distance_m: expected metres, .* found -4.0"),
        ({"distance_m": None}, "distance_m: expected metres"),
        ({"label": ""}, "label: expected the name of a class"),
    ],
)
def test_a_box_that_cannot_be_right_is_named_with_its_picture(
    grey: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(LogError, match=rf"grey\.png: box 1 \(.*\): .*{words}"):
        write_picture_log(tmp_path / "x.mcap", [LabelledPicture(grey, [CAR, replace(CAR, **changes)])])
    assert not (tmp_path / "x.mcap").exists()


def test_a_box_without_names_for_its_numbers_is_an_error(grey: Path, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"grey\.png: box 0: expected a TruthBox, found tuple"):
        write_picture_log(tmp_path / "x.mcap", [LabelledPicture(grey, [(10, 20, 60, 50)])])  # type: ignore[list-item]


def test_boxes_at_the_rim_and_regions_to_ignore_are_boxes(grey: Path, tmp_path: Path) -> None:
    rim = replace(
        CAR, xyxy=(0, 0, np.float32(128.004), 64), visible=np.float32(0.5), distance_m=np.float64(3)
    )
    region = replace(CAR, label="", ignore=True)
    assert write_picture_log(tmp_path / "x.mcap", [LabelledPicture(grey, [rim, region])]) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "expected a JPEG, PNG or WebP"),
        (cv2.imencode(".tiff", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "expected a JPEG, PNG or WebP"),
        (b"junk", "expected a JPEG, PNG or WebP"),
        (b"", "without bytes"),
        (cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()[:60], "the picture ends early"),
    ],
)
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(LogError, match=rf"a\.jpg: .*{words}"):
        write_picture_log(tmp_path / "x.mcap", [LabelledPicture(path, [])])


def test_the_format_is_that_of_the_bytes_and_not_of_the_name(grey: Path, tmp_path: Path) -> None:
    named = grey.rename(tmp_path / "grey.jpg")
    write_picture_log(tmp_path / "x.mcap", [LabelledPicture(named, [])])
    with open_log(tmp_path / "x.mcap") as log:
        image = next(m for m in log.messages() if m.topic == "/camera/image")
    assert b"\x03png" in image.data  # the field `format`
