"""Labels, numbers and units that a file does not say: told by the trial, refused, or said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception_plugins.detector.labels import LabelError, labels_in_metadata, read_labels
from tests.plugins.detector_files import write_detector
from tests.plugins.test_detector import (
    BOXES,
    FINAL,
    LABELS,
    NAMES,
    SCORES,
    detections,
    drawn_samples,
    opened,
    refusal,
)

ULTRALYTICS = {**NAMES, "stride": "32", "task": "detect"}
COUNT = {"num_dets": np.array([[3]])}
BATCH = {"boxes": BOXES[None], "scores": SCORES[None], "classes": LABELS[None]}
DETS = np.concatenate([BOXES, SCORES[:, None]], 1)[None]


def words(path: Path, options: dict[str, Any]) -> list[str]:
    return [item.label for item in detections(path, options).items]


def rows_of(count: int, classes: int, seed: int = 3) -> np.ndarray:
    """Rows [1, count, 4 + classes] in a picture of 96 x 64, of which one is sure of its last class."""
    draw = np.random.default_rng(seed)
    middles, sizes = draw.uniform(5, (90, 58), (count, 2)), draw.uniform(2, 9, (count, 2))
    table = np.concatenate([middles, sizes, draw.uniform(0, 0.01, (count, classes))], 1)
    table[7, 4:] = [0.01] * (classes - 1) + [0.9]
    return table[None].astype(np.float32)


def test_the_number_of_the_first_name_is_told_by_the_trial_or_in_doubt(tmp_path: Path) -> None:
    three = {"labels": ["cone", "barrel", "sign"]}
    zero = write_detector(tmp_path / "0.onnx", FINAL)  # its classes are 0, 1, 0
    one = write_detector(tmp_path / "1.onnx", {**FINAL, "labels": np.array([1, 3, 1])})
    open_ = write_detector(tmp_path / "2.onnx", {**FINAL, "labels": np.array([1, 2, 1])})
    assert words(zero, three) == ["cone", "barrel", "cone"]
    assert words(one, three) == ["cone", "sign", "cone"]
    assert words(open_, {**three, "output": {"first_label": 0}}) == ["barrel", "sign", "barrel"]
    assert words(open_, {**three, "output": {"first_label": 1}}) == ["cone", "barrel", "cone"]
    plugin = opened(open_, three)
    (output,) = plugin.step([plugin.prepare(drawn_samples(1)[0])])
    plugin.close()
    assert "give output: {first_label: 1} if this one's do" in output.warnings["labels_begin"]
    assert words(open_, {"labels": ["__background__", *three["labels"]]}) == ["cone", "barrel", "cone"]
    assert words(open_, {"labels": {1: "cone", 2: "barrel"}}) == ["cone", "barrel", "cone"]


def test_files_with_a_count_or_with_scored_boxes_begin_at_zero(tmp_path: Path) -> None:
    counted = write_detector(tmp_path / "c.onnx", {**COUNT, **BATCH})
    dets = write_detector(tmp_path / "d.onnx", {"dets": DETS, "labels": LABELS[None]})
    assert words(counted, {}) == words(dets, {}) == ["person", "bicycle", "person"]
    assert words(dets, {"labels": ["a", "b", "c"]}) == ["a", "b", "a"]


def test_tensorflow_labels_with_their_background_are_not_shifted(tmp_path: Path) -> None:
    boxes = (BOXES / [96, 64, 96, 64])[:, [1, 0, 3, 2]].astype(np.float32)
    outputs = {"detection_boxes": boxes[None], "detection_scores": SCORES[None]}
    outputs |= {"detection_classes": (LABELS + 1.0)[None].astype(np.float32)}
    path = write_detector(tmp_path / "tf.onnx", outputs)
    for labels in (["car", "person"], ["background", "car", "person"], {1: "car", 2: "person"}):
        assert words(path, {"labels": labels}) == ["car", "person", "car"]


def test_a_column_of_background_is_known_by_its_name(tmp_path: Path) -> None:
    scores = np.full((1, 20, 4), 0.01, np.float32)
    scores[..., 0], scores[0, 3] = 0.97, [0.05, 0.02, 0.9, 0.03]
    draw = np.random.default_rng(3)
    boxes = np.sort(draw.uniform(0, 1, (1, 20, 2, 2)), 2).reshape(1, 20, 4)[..., [0, 2, 1, 3]]
    boxes = np.sort(boxes.reshape(1, 20, 2, 2), 2).transpose(0, 1, 3, 2).reshape(1, 20, 4)
    boxes = np.concatenate(
        [np.minimum(boxes[..., :2], boxes[..., 2:]), np.maximum(boxes[..., :2], boxes[..., 2:])], 2
    )
    path = write_detector(tmp_path / "ssd.onnx", {"scores": scores, "boxes": boxes.astype(np.float32)})
    for labels in (["a", "b", "c"], ["BACKGROUND", "a", "b", "c"]):
        assert words(path, {"labels": labels, "min_score": 0.3}) == ["b"]


def test_names_that_contradict_the_file_are_a_warning(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "u.onnx", FINAL, metadata=NAMES)
    for labels, told in ((["dog", "car", "person"], True), (["Car", "person", "dog"], False)):
        plugin = opened(path, {"labels": labels})
        (output,) = plugin.step([plugin.prepare(drawn_samples(1)[0])])
        plugin.close()
        assert ("labels_differ" in output.warnings) == told


def test_a_file_that_names_its_classes_has_as_many(tmp_path: Path) -> None:
    """Two names for three classes and no masks: the third class is not taken for a mask."""
    path = write_detector(
        tmp_path / "m.onnx", {"output0": rows_of(126, 3).transpose(0, 2, 1)}, metadata=ULTRALYTICS
    )
    assert words(path, {"min_score": 0.3}) == ["dog"]
    for labels in (["a", "b"], ["a", "b", "c", "d"]):
        assert "expected 3 names" in refusal(path, {"labels": labels})


def test_rows_of_cells_without_objectness_are_told_by_the_number_of_names(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "r.onnx", {"output0": rows_of(126, 3)})
    assert words(path, {"labels": ["a", "b", "c"], "min_score": 0.3}) == ["c"]


@pytest.mark.parametrize(
    ("boxes", "cure"),
    [
        (BOXES / [96, 64, 96, 64], "output.unit: fraction"),
        (np.array([[24, 32, 32, 48], [70, 20, 40, 20], [25, 32, 31, 46]]), "output.boxes: cxcywh"),
    ],
)
def test_boxes_of_another_unit_or_order_are_refused(tmp_path: Path, boxes: np.ndarray, cure: str) -> None:
    path = write_detector(tmp_path / "b.onnx", {**FINAL, "boxes": boxes.astype(np.float32)}, metadata=NAMES)
    assert cure in refusal(path)


def test_whole_numbers_are_pixels_as_they_are(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "w.onnx", FINAL, dtype="uint8", metadata=NAMES)
    plugin = opened(path)
    array = plugin.prepare(drawn_samples(1)[0]).payload.array
    plugin.close()
    assert array.dtype == np.uint8
    assert array.max() > 100
    assert "leave out scale" in refusal(path, {"input": {"scale": 0.0039}})


def test_final_rows_are_read_as_the_family_or_the_columns_say(tmp_path: Path) -> None:
    six = np.concatenate([BOXES, SCORES[:, None], LABELS[:, None]], 1)[None].astype(np.float32)
    path = write_detector(tmp_path / "six.onnx", {"output0": six})
    three = {"labels": ["a", "b", "c"]}
    assert "several readings" in refusal(path, three)
    columns = ["x1", "y1", "x2", "y2", "score", "label"]
    for options in ({"family": "yolov10"}, {"output": {"columns": columns}}):
        assert words(path, {**three, **options}) == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "expected an ONNX model"),
    ],
)
def test_what_is_no_model_is_said_before_a_runtime_reads_it(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert told in refusal(tmp_path / "m.onnx")


def test_a_label_file_keeps_its_empty_lines_and_loses_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffcar\r\n\r\nperson\r\n\r\n".encode())
    assert read_labels(str(path)) == ("car", "", "person")


def test_words_that_yaml_reads_as_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    for text in (
        "names: [on, off]",
        "names:\n  0: yes\n  1: no",
        "names: {0: null, 1: car}",
        "names: [car, ~]",
    ):
        path.write_text(text)
        with pytest.raises(LabelError, match="put them in quotes"):
            read_labels(str(path))
    path.write_text("names: ['on', \"no\", 90]")
    assert read_labels(str(path)) == ("on", "no", "90")


def test_a_label_map_of_tensorflow_is_read_by_its_items(tmp_path: Path) -> None:
    path = tmp_path / "label_map.pbtxt"
    path.write_text(
        'item {\n  name: "/m/01g317"\n  id: 1\n  display_name: "person"\n}\n'
        "item {\n  id: 3\n  name: 'traffic light'\n}\n"
    )
    assert read_labels(str(path)) == ("", "person", "", "traffic light")
    path.write_text("item {\n  name: 'person'\n}\n")
    with pytest.raises(LabelError, match="expected an id and a name in each item"):
        read_labels(str(path))


@pytest.mark.parametrize(
    "names",
    [("it's", 'a "b"'), ("speed limit, 30: end", "caf\u00e9"), ("on", "a: {b"), ("back\\slash", "tab\there")],
)
def test_names_in_metadata_are_those_that_python_wrote(names: tuple[str, ...]) -> None:
    for value in (dict(enumerate(names)), list(names)):
        assert labels_in_metadata({"names": str(value)}) == names


def test_names_of_the_model_api_have_spaces_in_place_of_underscores() -> None:
    metadata = {"labels": "person traffic_light", "model_type": "ssd"}
    assert labels_in_metadata(metadata) == ("person", "traffic light")
    assert labels_in_metadata({"labels": "person car"}) == ()


def test_a_label_of_zero_is_no_background(tmp_path: Path) -> None:
    """Detectron2 numbers COCO's 80 classes from 0, torchvision by their ids."""
    outputs = {"pred_boxes": BOXES, "scores": SCORES}
    zero = write_detector(tmp_path / "0.onnx", {**outputs, "pred_classes": np.array([2, 0, 2])})
    assert words(zero, {}) == ["car", "person", "car"]
    plugin = opened(write_detector(tmp_path / "1.onnx", {**outputs, "pred_classes": np.array([2, 1, 2])}))
    (output,) = plugin.step([plugin.prepare(drawn_samples(1)[0])])
    plugin.close()
    assert "person is taken as number 1; where it is 0, labels: coco80" in output.warnings["labels_assumed"]


def test_final_rows_of_ssd_may_begin_at_one(tmp_path: Path) -> None:
    columns = {"columns": ["skip", "label", "score", "x1", "y1", "x2", "y2"], "unit": "fraction"}
    for numbers, found, told in (([1, 2, 1], ["b", "c", "b"], True), ([1, 3, 1], ["a", "c", "a"], False)):
        rows = [np.zeros(3)[:, None], np.array(numbers)[:, None], SCORES[:, None], BOXES / [96, 64, 96, 64]]
        table = np.concatenate(rows, 1)[None, None].astype(np.float32)
        path = write_detector(tmp_path / "m.onnx", {"detection_out": table})
        plugin = opened(path, {"labels": ["a", "b", "c"], "output": columns})
        (output,) = plugin.step([plugin.prepare(drawn_samples(1)[0])])
        plugin.close()
        assert [item.label for item in output.detections.items] == found
        assert ("labels_begin" in output.warnings) == told


def test_a_last_name_of_no_object_is_the_column_of_detr(tmp_path: Path) -> None:
    logits = np.full((1, 20, 3), -9, np.float32)
    logits[..., 2], logits[0, 5] = 9, [-9, 9, -9]
    outputs = {"logits": logits, "pred_boxes": np.full((1, 20, 4), 0.5, np.float32)}
    path = write_detector(tmp_path / "detr.onnx", outputs)
    for labels in (["car", "person", "no-object"], ["car", "person"]):
        assert words(path, {"labels": labels, "min_score": 0.3}) == ["person"]
