"""Files with the outputs, inputs and metadata of usual exporters: the boxes land where they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from perception.errors import CheckpointError
from perception.types import Detections
from perception_plugins.detector.families import FAMILIES
from perception_plugins.detector.recognise import matches
from perception_plugins.detector.trial import Trial
from tests.plugins.detector_files import write_detector
from tests.plugins.test_detector import (
    BOXES,
    FINAL,
    LABELS,
    SCORES,
    WORDS,
    detections,
    opened,
    recorded,
    refusal,
)

WIDTH, HEIGHT = 96, 64
SIDES = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
THREE = {"labels": list(WORDS)}
NAMED = {"names": "{0: 'car', 1: 'person', 2: 'dog'}", "stride": "32"}


def assert_found(found: Detections, fit: str = "letterbox") -> None:
    """All of the boxes are there, with their words, best first."""
    assert [item.label for item in found.items] == [WORDS[label] for label in LABELS]
    assert [item.score for item in found.items] == pytest.approx(SCORES.tolist())
    for item, box in zip(found.items, BOXES, strict=True):
        assert item.xyxy == pytest.approx(recorded(box, fit), abs=0.01)


def centres(boxes: NDArray) -> NDArray[np.float32]:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


def table(*columns: NDArray) -> NDArray[np.float32]:
    return np.concatenate([c if c.ndim == 2 else c[:, None] for c in columns], 1).astype(np.float32)


# --- Ultralytics ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "more"), [("segment", 32), ("pose", 51)])
def test_masks_and_key_points_may_follow_final_boxes(tmp_path: Path, task: str, more: int) -> None:
    extra = np.random.default_rng(2).uniform(-1, 90, (3, more))
    outputs = {"output0": table(BOXES, SCORES, LABELS, extra)[None]}
    if task == "segment":
        outputs["output1"] = np.zeros((1, 32, 16, 24), np.float32)
    path = write_detector(tmp_path / "m.onnx", outputs, metadata={**NAMED, "task": task})
    assert_found(detections(path))


def test_final_boxes_of_rt_detr_are_centres_in_fractions(tmp_path: Path) -> None:
    rows = table(centres(BOXES) / SIDES, SCORES, LABELS)[None]
    path = write_detector(tmp_path / "m.onnx", {"output0": rows}, metadata={**NAMED, "task": "detect"})
    assert_found(detections(path), "stretch")


@pytest.mark.parametrize("metadata", [{}, NAMED])
def test_queries_of_two_and_three_classes_are_no_final_boxes(
    tmp_path: Path, metadata: dict[str, str]
) -> None:
    for count in (2, 3):
        scores = np.full((3, count), 0.01)
        scores[np.arange(3), LABELS] = SCORES
        rows = table(centres(BOXES) / SIDES, scores)[None]
        named = {**metadata, "names": str(list(WORDS[:count]))} if metadata else {}
        path = write_detector(tmp_path / f"{count}.onnx", {"output0": rows}, metadata=named)
        for more in ({}, {"family": "rtdetr"}):
            assert_found(detections(path, {**more, "labels": list(WORDS[:count])}), "stretch")


def test_an_openvino_folder_has_its_names_and_task_beside_the_graph(tmp_path: Path) -> None:
    """The graph of a model for instances: two outputs without names."""
    import openvino
    from openvino import opset13 as ops

    cells = np.zeros((1, 4 + 3 + 32, 126), np.float32)
    cells[0, :4, :3], cells[0, 4 + LABELS, np.arange(3)] = centres(BOXES).T, SCORES
    picture = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32)
    nothing = ops.multiply(ops.reduce_mean(picture, np.arange(4)), np.float32(0))
    results = [
        ops.add(ops.constant(array), nothing) for array in (cells, np.zeros((1, 32, 16, 24), np.float32))
    ]
    openvino.save_model(openvino.Model(results, [picture]), tmp_path / "m.xml", compress_to_fp16=False)
    beside = tmp_path / "metadata.yaml"
    beside.write_text("stride: 32\ntask: segment\nnames:\n  0: car\n  1: person\n  2: dog\n")
    assert_found(detections(tmp_path / "m.xml", {"nms": False}))
    beside.write_text(beside.read_text().replace("segment", "obb"))
    assert "found one for the task 'obb'" in refusal(tmp_path / "m.xml")


def test_the_classes_that_come_before_other_columns_can_be_counted(tmp_path: Path) -> None:
    cells = np.zeros((1, 4 + 1 + 51, 126), np.float32)
    cells[0, :4, 7], cells[0, 4, 7], cells[0, 5:] = [20, 20, 10, 10], 0.9, 40
    path = write_detector(tmp_path / "pose.onnx", {"output0": cells})
    assert "give output: {classes: 1}" in refusal(path, {"labels": ["person"]})
    scores = write_detector(tmp_path / "many.onnx", {"output0": cells.clip(0, 1)})
    assert "{classes: 1}" not in refusal(scores, {"labels": ["person"]})  # they may be 52 classes
    (item,) = detections(path, {"labels": ["person"], "output": {"classes": 1}}).items
    assert item.xyxy == pytest.approx(recorded(np.array([15, 15, 25, 25])), abs=0.01)


# --- PaddleDetection, TensorFlow, YOLOv4, YOLOX, NanoDet, DETR -----------------------------------------


PADDLE: dict[str, Any] = {
    "name": "image",
    "more_inputs": {"im_shape": ("float32", [1, 2]), "scale_factor": ("float32", [1, 2])},
}


def test_paddle_counts_its_rows_in_a_second_output(tmp_path: Path) -> None:
    outputs = {"nms.tmp_0": table(LABELS, SCORES, BOXES), "nms.tmp_2": np.array([3], np.int32)}
    assert_found(detections(write_detector(tmp_path / "m.onnx", outputs, **PADDLE), THREE))


@pytest.mark.parametrize(("columns", "readings"), [(6, 2), (7, 4)])
def test_a_file_that_finds_nothing_in_noise_is_read_by_its_columns(columns: int, readings: int) -> None:
    outputs = {"out": np.zeros((0, columns), np.float32)}
    found = matches(Trial(("images",), outputs, WIDTH, HEIGHT, {}), lambda count: count == 3)
    assert len(found) == readings
    (match,) = matches(
        Trial(("image", "scale_factor"), {"out": np.zeros((0, 6), np.float32)}, WIDTH, HEIGHT, {}),
        lambda count: count == 3,
    )
    assert match.output["columns"][0] == "label"


def test_tensorflow_also_gives_raw_boxes_and_scores_by_class(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    outputs = {
        "detection_anchor_indices": np.zeros((1, 3), np.float32),
        "detection_boxes": (BOXES / SIDES)[None][..., [1, 0, 3, 2]].astype(np.float32),
        "detection_classes": (LABELS + 1)[None].astype(np.float32),
        "detection_multiclass_scores": draw.uniform(0, 1, (1, 3, 4)).astype(np.float32),
        "detection_scores": SCORES[None],
        "num_detections": np.array([3], np.float32),
        "raw_detection_boxes": draw.uniform(0, 1, (1, 50, 4)).astype(np.float32),
        "raw_detection_scores": draw.uniform(0, 1, (1, 50, 4)).astype(np.float32),
    }
    path = write_detector(tmp_path / "m.onnx", outputs, shape=(1, HEIGHT, WIDTH, 3), dtype="uint8")
    assert_found(detections(path, THREE), "stretch")


def test_boxes_of_yolov4_have_a_dimension_for_every_class(tmp_path: Path) -> None:
    scores = np.zeros((30, 3), np.float32)
    scores[np.arange(3), LABELS] = SCORES
    boxes = np.tile(BOXES / SIDES, (10, 1)).astype(np.float32)
    outputs = {"boxes": boxes[None, :, None], "confs": scores[None]}
    assert_found(detections(write_detector(tmp_path / "m.onnx", outputs), {**THREE, "nms": False}))


def test_the_family_that_is_named_decides_the_picture(tmp_path: Path) -> None:
    """Of a YOLOX that places its cells itself, whose rows are those of YOLOv6."""
    rows = np.zeros((1, 126, 8), np.float32)
    rows[0, :, 0], rows[0, 3:, 2:4] = np.linspace(4, 92, 126), 10
    rows[0, :3, :4], rows[0, :3, 4], rows[0, np.arange(3), 5 + LABELS] = centres(BOXES), 1, SCORES
    path = write_detector(tmp_path / "m.onnx", {"output": rows})
    plugin = opened(path, {**THREE, "family": "yolox"})
    assert "corner, bgr, scale 1" in plugin.describe()["note"]
    plugin.close()
    assert_found(detections(path, {**THREE, "nms": False}))


def test_cells_at_the_rim_of_a_picture_may_be_cut() -> None:
    """NanoDet-Plus of 416 pixels has 7 cells of the stride 64 on a side."""
    rows = np.zeros((1, 52 * 52 + 26 * 26 + 13 * 13 + 7 * 7, 80 + 32), np.float32)
    (match,) = matches(Trial(("data",), {"output": rows}, 416, 416, {}), lambda count: count == 80)
    assert (match.family, match.output["strides"]) == ("nanodet", [8, 16, 32, 64])
    assert FAMILIES[match.family].output["kind"] == "distribution"


@pytest.mark.parametrize(("levels", "told"), [(4, "picodet"), (3, "nanodet")])
def test_four_levels_of_classes_and_bins_are_picodets_whose_colours_are_rgb(
    tmp_path: Path, levels: int, told: str
) -> None:
    outputs: dict[str, NDArray] = {}
    for level in range(levels):
        cells = -(-WIDTH // (8 << level)) * -(-HEIGHT // (8 << level))
        outputs[f"scores{level}"] = np.zeros((1, cells, 3), np.float32)
        outputs[f"bins{level}"] = np.full((1, cells, 4, 8), -20, np.float32).reshape(1, cells, 32)
    outputs["scores1"][0, 8, 2] = 0.9  # the middle of this cell of 16 pixels is at x 40, y 24
    outputs["bins1"].reshape(24, 4, 8)[8, np.arange(4), [1, 1, 2, 1]] = 20
    path = write_detector(tmp_path / "m.onnx", outputs)
    (item,) = detections(path, THREE).items
    assert item.label == "dog"
    assert item.xyxy == pytest.approx(recorded(np.array([24, 8, 72, 40]), "stretch"), abs=0.01)
    plugin = opened(path, THREE)
    note = plugin.describe()["note"]
    plugin.close()
    assert f"read as {told}" in note
    assert ("rgb" if told == "picodet" else "bgr") in note
    plugin = opened(path, {**THREE, "family": "nanodet"})
    assert "bgr" in plugin.describe()["note"]
    plugin.close()


def test_a_mask_of_the_picture_is_ones(tmp_path: Path) -> None:
    logits = np.full((1, 20, 4), -9, np.float32)
    logits[..., 3], logits[0, 5] = 9, [9, -9, -9, -9]
    boxes = np.full((1, 20, 4), 0.5, np.float32)
    for shape in ([1, 64, 64], ["batch", "height", "width"]):
        more = {"pixel_mask": ("int64", shape)}
        outputs = {"logits": logits, "pred_boxes": boxes}
        path = write_detector(tmp_path / "m.onnx", outputs, name="pixel_values", more_inputs=more)
        (item,) = detections(path, {**THREE, "min_score": 0.3}).items
        assert item.label == "car"


def test_five_final_boxes_of_mmdetection_are_not_taken_for_their_labels(tmp_path: Path) -> None:
    dets = np.zeros((1, 5, 5), np.float32)
    dets[0, :3] = table(BOXES, SCORES)
    outputs = {"dets": dets, "labels": np.array([[*LABELS, -1, -1]])}
    assert_found(detections(write_detector(tmp_path / "m.onnx", outputs), THREE))


@pytest.mark.parametrize("columns", [3, 4])
def test_rf_detr_has_a_logit_for_each_class_and_perhaps_one_more(tmp_path: Path, columns: int) -> None:
    logits = np.full((20, columns), -9.0)
    logits[np.arange(3), LABELS] = np.log(SCORES / (1 - SCORES))
    boxes = np.full((20, 4), 0.5)
    boxes[:3] = centres(BOXES) / SIDES
    outputs = {"dets": boxes[None].astype(np.float32), "labels": logits[None].astype(np.float32)}
    path = write_detector(tmp_path / "m.onnx", outputs, name="input")
    assert_found(detections(path, {**THREE, "min_score": 0.3}), "stretch")


def test_scores_by_class_are_told_by_their_values_where_no_name_says_it(tmp_path: Path) -> None:
    scores = np.zeros((30, 3), np.float32)
    scores[np.arange(3), LABELS] = SCORES
    outputs = {"regression": np.tile(BOXES, (10, 1))[None], "classification": scores[None]}
    assert_found(detections(write_detector(tmp_path / "m.onnx", outputs), {**THREE, "nms": False}))


def test_five_columns_are_a_box_and_the_score_of_the_only_class(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "m.onnx", {"dets": table(BOXES, SCORES)})
    found = detections(path, {"labels": ["face"]})
    assert [item.xyxy for item in found.items] == [pytest.approx(recorded(box), abs=0.01) for box in BOXES]


# --- a fixed batch ------------------------------------------------------------------------------------


def test_outputs_of_a_fixed_batch_that_are_not_by_picture_are_refused(tmp_path: Path) -> None:
    """Else the first row would count as the answer to the first picture."""
    text = refusal(write_detector(tmp_path / "m.onnx", FINAL, shape=(4, 3, HEIGHT, WIDTH)), THREE)
    assert (
        "one for each picture of the file's batch, found boxes [3, 4]; export the model with a batch of 1"
        in text
    )


# --- sizes, words, and files that do not load ------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "options", "told"),
    [
        ({}, {}, "640 x 640"),
        ({"imgsz": "[64, 96]"}, {}, "96 x 64"),
        ({"imgsz": "[64, 96]"}, {"input": {"size": [128, 96]}}, "128 x 96"),
        ({"imgsz": "auto"}, {"family": "nanodet", "output": {"kind": "separate"}}, "416 x 416"),
    ],
)
def test_an_open_size_is_that_of_the_export(
    tmp_path: Path, metadata: dict[str, str], options: dict[str, Any], told: str
) -> None:
    path = write_detector(tmp_path / "m.onnx", FINAL, shape=(1, 3, "h", "w"), metadata={**NAMED, **metadata})
    plugin = opened(path, options)
    assert told in plugin.describe()["note"]
    plugin.close()


def test_classes_of_one_word_are_one_class(tmp_path: Path) -> None:
    """A van that is found as a car and as a truck is one vehicle."""
    cells = np.zeros((1, 7, 126), np.float32)
    cells[0, :4, :3] = centres(np.array([[8, 8, 40, 56], [8, 9, 40, 56], [50, 10, 90, 30]])).T
    cells[0, 4 + np.array([0, 1, 2]), np.arange(3)] = [0.8, 0.9, 0.7]
    path = write_detector(tmp_path / "m.onnx", {"output0": cells}, metadata=NAMED)
    words = {"car": "vehicle", "person": "vehicle", "dog": "animal"}
    found = [(item.label, round(item.score, 3)) for item in detections(path, {"classes": words}).items]
    assert found == [("vehicle", 0.9), ("animal", 0.7)]
    assert len(detections(path).items) == 3


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_file_that_no_runtime_loads_says_what_to_do(tmp_path: Path, backend: str) -> None:
    import onnx

    path = write_detector(tmp_path / "trt.onnx", FINAL)
    model = onnx.load(path)
    model.graph.node[0].domain, model.graph.node[0].op_type = "TRT", "EfficientNMS_TRT"
    model.opset_import.append(onnx.helper.make_opsetid("TRT", 1))
    onnx.save(model, path)
    whole = onnx.load(write_detector(tmp_path / "whole.onnx", FINAL))
    onnx.save_model(
        whole, tmp_path / "cut.onnx", save_as_external_data=True, location="w.data", size_threshold=0
    )
    (tmp_path / "w.data").unlink()
    for file, cure in ((path, "standard operators of ONNX"), (tmp_path / "cut.onnx", "(*.data) beside it")):
        with pytest.raises(CheckpointError) as error:
            opened(file, THREE, backend=backend)
        assert cure in str(error.value)


def test_the_weights_and_the_folder_of_a_graph_name_the_graph(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text("<net/>")
    (tmp_path / "m.bin").touch()
    for path in (tmp_path, tmp_path / "m.bin"):
        assert refusal(path).endswith(f"give {tmp_path / 'm.xml'}")
