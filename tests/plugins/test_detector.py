"""The detector plugin with files that answer as the test wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception.diagnosis.conformance import check_plugin
from perception.diagnosis.conformance.samples import STATUS, drawn_samples
from perception.errors import CheckpointError, PerceptionError, PluginError
from perception.geometry import TransformTree
from perception.pipeline.opened_plugin import OpenedPlugin
from perception.plugin import Context, load_plugin
from perception.types import CameraFrame, Detections, Sample
from perception.types.rig import Placing
from perception_plugins.detector.layouts import InputLayout
from perception_plugins.detector.picture import PictureInput, place
from tests.plugins.detector_files import write_detector

NAMES = {"names": "{0: 'car', 1: 'person', 2: 'dog'}"}
BOXES = np.array([[8, 8, 40, 56], [50, 10, 90, 30], [9, 9, 40, 55]], np.float32)  # of the input, 96 x 64
SCORES = np.array([0.9, 0.6, 0.5], np.float32)
LABELS = np.array([0, 1, 0])
WORDS = ("car", "person", "dog")
FINAL = {"boxes": BOXES, "scores": SCORES, "labels": LABELS}


def opened(path: Path, options: Mapping[str, Any] | None = None, **context: Any) -> Any:
    plugin = load_plugin("detector")
    options = {"model": str(path), **(options or {})}
    plugin.open(Context(options=options, status=STATUS, threads=1, max_range_m=100.0, **context))
    return plugin


def detections(path: Path, options: Mapping[str, Any] | None = None, **context: Any) -> Detections:
    """Open, take one drawn sample of 320 x 240, close."""
    plugin = opened(path, options, **context)
    (output,) = plugin.step([plugin.prepare(drawn_samples(1)[0])])
    plugin.close()
    assert output.detections is not None
    return output.detections


def refusal(path: Path, options: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(PerceptionError) as error:
        opened(path, options)
    assert "\n" not in str(error.value)
    return str(error.value)


def recorded(box: NDArray, fit: str = "letterbox") -> list[float]:
    """A box of the 96 x 64 input in the 320 x 240 picture, computed by hand."""
    if fit == "stretch":
        return (
            list(box * [320 / 96, 240 / 64] * 1)
            if len(box) == 2
            else list(box * np.tile([320 / 96, 240 / 64], 2))
        )
    shrunk = 64 / 240  # 85 x 64, at x = 5
    moved = (box - [5, 0, 5, 0]) / [85 / 320, shrunk, 85 / 320, shrunk]
    return list(np.clip(moved, 0, [320, 240, 320, 240]))


# --- what it gives --------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_boxes_come_back_in_recorded_pixels_best_first(tmp_path: Path, backend: str) -> None:
    path = write_detector(tmp_path / "final.onnx", FINAL, metadata=NAMES)
    found = detections(path, backend=backend)
    assert found.valid
    assert [item.label for item in found.items] == ["car", "person", "car"]
    assert [item.score for item in found.items] == pytest.approx([0.9, 0.6, 0.5])
    for item, box in zip(found.items, BOXES, strict=True):
        assert item.xyxy == pytest.approx(recorded(box), abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 3, 64, 96), (1, 64, 96, 3)])
def test_the_plain_loop_of_the_benchmark_gives_the_same_boxes(tmp_path: Path, shape: tuple) -> None:
    plugin = opened(write_detector(tmp_path / "m.onnx", FINAL, shape=shape, metadata=NAMES))
    sample = drawn_samples(1)[0]
    (output,) = plugin.step([plugin.prepare(sample)])
    answer = plugin.plain_answer(sample.camera.value)
    plugin.close()
    assert answer["labels"] == [item.label for item in output.detections.items]
    np.testing.assert_allclose(answer["boxes"], [item.xyxy for item in output.detections.items])


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "final.onnx", FINAL, metadata=NAMES)
    context = Context(options={"model": str(path)}, status=STATUS, threads=1)
    checks = check_plugin("detector", drawn_samples(4), context)
    assert [(check.name, check.violation) for check in checks if not check.passed] == []


def test_a_checkpoint_is_the_model(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "final.onnx", FINAL, metadata=NAMES)
    plugin = load_plugin("detector")
    plugin.open(Context(checkpoint=path))
    assert plugin.describe()["weights"] == "final.onnx"
    assert "read as torchvision: outputs boxes, scores, labels" in plugin.describe()["note"]
    plugin.close()


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 3, 64, 96), "float16"),
        ((1, 64, 96, 3), "float32"),
        ((1, 64, 96, 3), "uint8"),
        ((3, 64, 96), "float32"),
        ((4, 3, 64, 96), "float32"),
        (("n", 3, "h", "w"), "float32"),
        (("n", "h", "w", 3), "uint8"),
    ],
)
def test_inputs_of_any_type_order_and_openness(tmp_path: Path, shape: tuple, dtype: str) -> None:
    values = {name: array[None] for name, array in FINAL.items()} if shape[0] == 4 else FINAL
    values = {name: np.repeat(array, 4, 0) for name, array in values.items()} if shape[0] == 4 else values
    path = write_detector(tmp_path / "final.onnx", values, shape=shape, dtype=dtype, metadata=NAMES)
    options = {"input": {"size": [96, 64]}} if "h" in shape else {}
    found = detections(path, options)
    assert [item.xyxy for item in found.items] == [pytest.approx(recorded(box), abs=1e-3) for box in BOXES]


def test_words_of_truth_and_classes_that_are_left_out(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "final.onnx", FINAL, metadata=NAMES)
    found = detections(path, {"classes": {"car": "vehicle"}, "nms": True})
    assert [item.label for item in found.items] == ["vehicle"]  # the third overlaps the first
    assert "classes: expected names of the detector's classes, found cat; it has car" in refusal(
        path, {"classes": {"cat": "animal"}}
    )
    assert "found Car, did you mean car?" in refusal(path, {"classes": {"Car": "vehicle"}})


def test_coco_is_assumed_and_said(tmp_path: Path) -> None:
    cells = 12 * 8 + 6 * 4 + 3 * 2
    table = np.zeros((1, 84, cells), np.float32)
    table[0, :4, 7], table[0, 4 + 2, 7] = [20, 20, 10, 10], 0.8
    plugin = opened(write_detector(tmp_path / "yolo.onnx", {"output0": table}))
    (output,) = plugin.step([plugin.prepare(drawn_samples(1)[0])])
    plugin.close()
    assert [item.label for item in output.detections.items] == ["car"]
    assert "COCO's 80" in output.warnings["labels_assumed"]


def test_other_inputs_get_the_size_of_the_input(tmp_path: Path) -> None:
    more = {"orig_target_sizes": ("int64", [1, 2])}
    path = write_detector(tmp_path / "rtdetr.onnx", FINAL, metadata=NAMES, more_inputs=more)
    assert len(detections(path).items) == 3
    more = {"depth": ("float32", [1, 1, 64, 96])}
    path = write_detector(tmp_path / "odd.onnx", FINAL, metadata=NAMES, more_inputs=more)
    assert "found depth float32 [1, 1, 64, 96]; write a plugin" in refusal(path)


def test_a_nan_makes_the_frame_invalid_and_nothing_else(tmp_path: Path) -> None:
    scores = SCORES.copy()
    path = write_detector(tmp_path / "nan.onnx", {**FINAL, "scores": scores}, metadata=NAMES)
    plugin = opened(path)
    prepared = plugin.prepare(drawn_samples(1)[0])
    bad = replace(prepared, payload=prepared.payload._replace(array=prepared.payload.array * np.nan))
    (wrong, right) = (plugin.step([item])[0].detections for item in (bad, prepared))
    plugin.close()
    assert (wrong.valid, right.valid) == (False, True)
    assert "not finite" in wrong.error


def test_a_label_beyond_the_names_is_an_error(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "final.onnx", {**FINAL, "labels": LABELS + 7}, metadata=NAMES)
    assert "labels: expected at least 9 names, found 3" in refusal(path)


# --- wrong files -------------------------------------------------------------------------------------


def test_wrong_files_get_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    assert "text.onnx: expected an ONNX model, found a file that begins" in refusal(tmp_path / "text.onnx")
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x09\x12")
    assert "cut.onnx: OpenVINO cannot load it" in refusal(tmp_path / "cut.onnx")
    assert "none.onnx: expected a model file, found none there; check" in refusal(tmp_path / "none.onnx")
    here = f"found none there in {Path.cwd()}, where relative paths start"
    assert here in refusal(Path("none.onnx"))
    (tmp_path / "model.pth").write_bytes(b"PK")
    assert "found the suffix .pth; export the model to ONNX" in refusal(tmp_path / "model.pth")
    path = write_detector(tmp_path / "vector.onnx", FINAL, shape=(1, 10), metadata=NAMES)
    assert "expected an input for a picture, as [1, 3, H, W]" in refusal(path)
    assert "found images float32 [1, 10]" in refusal(path)  # as the file names it
    path = write_detector(tmp_path / "odd.onnx", {"out": np.zeros((1, 7, 11, 13), np.float32)})
    assert "no known layout has the outputs out [1, 7, 11, 13]; give family, or output: {kind:" in refusal(
        path
    )


def test_classes_that_do_not_fit_the_labels_are_named(tmp_path: Path) -> None:
    cells = 12 * 8 + 6 * 4 + 3 * 2
    path = write_detector(tmp_path / "yolo.onnx", {"output0": np.zeros((1, 4 + 7, cells), np.float32)})
    for options in ({}, {"output": {"classes": 7}}):
        assert "the file has no names, and 7 classes if it is yolov8" in refusal(path, options)
    assert "labels: expected 7 names" in refusal(path, {"labels": ["a", "b"]})
    text = refusal(path, {"labels": list("abcdefg"), "family": "fastestdet"})
    assert "they look like yolov8 (output0 [11, 126]" in text
    assert not detections(path, {"labels": list("abcdefg")}).items


def test_several_readings_are_refused_with_the_yaml_for_each(tmp_path: Path) -> None:
    rows = np.concatenate([BOXES, SCORES[:, None], LABELS[:, None]], 1).astype(np.float32)
    path = write_detector(tmp_path / "six.onnx", {"output": rows[None]})
    text = refusal(path, {"labels": ["car", "person"]})
    assert "several readings, found output [1, 3, 6]" in text
    assert "output: {columns: [label, score, x1, y1, x2, y2]}" in text
    columns = ["x1", "y1", "x2", "y2", "score", "label"]
    found = detections(path, {"labels": ["car", "person"], "output": {"kind": "list", "columns": columns}})
    assert [item.label for item in found.items] == ["car", "person", "car"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"famly": "yolov8"}, "famly: unknown key, did you mean family?"),
        ({"family": "yolov99"}, "family: expected one of"),
        ({"input": {"size": [640, 640]}}, "input.size: expected the width 96 that the file has, found 640"),
        ({"input": {"fit": "squash"}}, "fit: Input should be 'letterbox'"),
        ({"input": {"std": [0, 1, 1]}}, "std: expected numbers other than 0"),
        ({"output": {"kind": "list"}}, "output: columns: expected x1, y1, x2, y2"),
        ({"min_score": 2}, "min_score"),
        ({"labels": "/nowhere/names.txt"}, "labels: /nowhere/names.txt: cannot be read"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    path = write_detector(tmp_path / "final.onnx", FINAL, metadata=NAMES)
    assert text in refusal(path, options)


def test_without_a_model_it_says_how_to_give_one() -> None:
    with pytest.raises(PluginError, match="give --option model=FILE"):
        load_plugin("detector").open(Context())
    with pytest.raises(CheckpointError, match="expected a model file"):
        load_plugin("detector").open(Context(checkpoint=Path("/nowhere/x.onnx")))


# --- labels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "car\nperson\ndog\n"),
        ("data.yaml", "names: {0: car, 1: person, 2: dog}\n"),
        ("data.yaml", "names: [car, person, dog]\n"),
        ("coco.json", json.dumps({"categories": [{"id": i, "name": n} for i, n in enumerate(WORDS)]})),
    ],
)
def test_files_of_labels(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    path = write_detector(tmp_path / "final.onnx", FINAL)
    found = detections(path, {"labels": str(tmp_path / name)})
    assert [item.label for item in found.items] == ["car", "person", "car"]


# --- pictures ----------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.integers(8, 4000), st.integers(8, 4000), st.integers(16, 1280), st.integers(16, 1280),
    st.sampled_from(["letterbox", "corner", "stretch"]), st.data(),
)  # fmt: skip
def test_a_box_in_the_picture_comes_back_whatever_the_sizes(
    width: int, height: int, input_width: int, input_height: int, fit: str, data: st.DataObject
) -> None:
    placement = place(width, height, (input_width, input_height), fit)
    assert 1 <= placement.width <= input_width
    assert placement.left + placement.width <= input_width
    assert placement.top + placement.height <= input_height
    x, y = (data.draw(st.floats(0, side)) for side in (width, height))
    scale = np.array([placement.width / width, placement.height / height])
    seen = np.array([x, y]) * scale + [placement.left, placement.top]
    back = placement.recorded(np.array([[*seen, *seen]]))
    assert back[0] == pytest.approx([x, y, x, y], abs=1e-6 * max(width, height))
    if fit != "stretch" and min(placement.width, placement.height) > 20:  # one scale, up to a rounded pixel
        assert scale[0] == pytest.approx(scale[1], rel=1 / min(placement.width, placement.height))


@pytest.mark.parametrize("fit", ["letterbox", "corner", "stretch"])
@pytest.mark.parametrize("size", [(320, 240), (200, 400)])
def test_a_drawn_rectangle_lies_where_the_placement_says(fit: str, size: tuple[int, int]) -> None:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    cv2.rectangle(pixels, (60, 80), (119, 159), (255, 0, 0), -1)
    frame = CameraFrame.from_array(pixels)
    layout = InputLayout(size=(128, 96), fit=fit, channels="bgr", pad=0)  # type: ignore[arg-type]
    array, placement = PictureInput(layout, np.dtype(np.float32), "NCHW").array(frame)
    assert array.shape == (1, 3, 96, 128)
    rows, columns = np.nonzero(array[0, 2] > 0.5)  # red is the last channel
    found = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
    pixel = max(size[0] / placement.width, size[1] / placement.height)
    assert placement.recorded(found)[0] == pytest.approx([60, 80, 120, 160], abs=pixel)


def test_values_are_scaled_and_normalised_as_the_layout_says() -> None:
    pixels = np.full((64, 96, 3), (200, 100, 50), np.uint8)
    layout = InputLayout(size=(96, 64), channels="bgr", scale=1.0, mean=(10, 20, 30), std=(2, 4, 5))
    array, _ = PictureInput(layout, np.dtype(np.float32), "NCHW").array(CameraFrame.from_array(pixels))
    np.testing.assert_allclose(array[0, :, 5, 5], [(50 - 10) / 2, (100 - 20) / 4, (200 - 30) / 5], rtol=1e-6)
    layout = InputLayout(size=(96, 128), pad=114)
    array, _ = PictureInput(layout, np.dtype(np.float32), "NHWC").array(CameraFrame.from_array(pixels))
    assert array.shape == (1, 128, 96, 3)
    np.testing.assert_allclose(array[0, 0, 0], 114 / 255, rtol=1e-6)
    np.testing.assert_allclose(array[0, 64, 50], np.array([200, 100, 50]) / 255, rtol=1e-6)


def test_distances_come_from_the_returns_and_rest_on_them(tmp_path: Path) -> None:
    sample = drawn_samples(1)[0]  # a box of 1.6 m, its front 12 m ahead, from 1.2 to 2.8 m to the left
    u = [160 - 200 * left / 12 for left in (2.8, 1.2)]
    whole = np.array([[u[0], 107, u[1], 133]], np.float32)
    outputs = {"boxes": whole, "scores": SCORES[:1], "labels": np.array([2])}
    path = write_detector(tmp_path / "one.onnx", outputs, shape=(1, 3, 240, 320), metadata=NAMES)
    found = detections(path)
    assert found.based_on == ("camera", "range")
    (item,) = found.items
    assert item.distance_m == pytest.approx(np.hypot(12, 2), abs=0.2)
    assert item.distance_std_m is not None
    assert 0 < item.distance_std_m < 1
    blind: Sample = sample.with_absent({"range": "left out"})
    plugin = opened(path)
    (output,) = plugin.step([plugin.prepare(blind)])
    plugin.close()
    assert output.detections.based_on == ("camera",)
    assert output.detections.items[0].distance_m is None


# --- other files than ONNX ------------------------------------------------------------------------------


def test_an_openvino_graph_gives_what_its_onnx_file_gives(tmp_path: Path) -> None:
    import openvino

    path = write_detector(tmp_path / "final.onnx", FINAL)
    openvino.save_model(openvino.convert_model(path), tmp_path / "graph.xml", compress_to_fp16=False)
    options = {"labels": list(WORDS)}
    assert detections(tmp_path / "graph.xml", options).items == detections(path, options).items != ()
    (tmp_path / "graph.bin").unlink()
    assert "graph.xml: OpenVINO cannot load it" in refusal(tmp_path / "graph.xml", options)


@pytest.mark.parametrize("backend", [pytest.param("openvino", marks=pytest.mark.slow), "torch"])
def test_a_program_of_torch_export_is_a_detector(tmp_path: Path, backend: str) -> None:
    """A network of its own: one convolution, whose row of cells is YOLOv8's."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)

    class Cells(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Conv2d(3, 4 + 3, s, s) for s in (8, 16, 32))

        def forward(self, images: Any) -> Any:
            rows = torch.cat([layer(images).flatten(2) for layer in self.layers], 2)
            return {"rows": torch.cat([rows[:, :4].sigmoid() * 60, rows[:, 4:].sigmoid()], 1)}

    model = Cells().eval()
    program = torch.export.export(model, (torch.zeros(1, 3, 64, 96),))
    torch.export.save(program, tmp_path / "cells.pt2")
    options = {"labels": list(WORDS), "input": {"fit": "stretch"}, "nms": False, "min_score": 0.0}
    plugin = opened(tmp_path / "cells.pt2", options, backend=backend)
    prepared = plugin.prepare(drawn_samples(1)[0])
    (output,) = plugin.step([prepared])
    assert "read as yolov8: rows [7, 126]" in plugin.describe()["note"]
    plugin.close()
    with torch.inference_mode():
        rows = model(torch.from_numpy(prepared.payload.array))["rows"][0].numpy().T
    best = rows[rows[:, 4:].max(1).argmax()]
    cx, cy, w, h = best[:4]
    box = recorded(np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]), "stretch")
    item = output.detections.items[0]
    assert item.score == pytest.approx(best[4:].max(), abs=1e-4)
    assert item.label == WORDS[best[4:].argmax()]
    assert item.xyxy == pytest.approx(np.clip(box, 0, [320, 240] * 2), abs=0.02)


# --- rigs ---------------------------------------------------------------------------------------------


def test_every_camera_of_a_rig_has_its_boxes_and_distances(tmp_path: Path) -> None:
    """The second camera looks backwards: none of the returns is in its picture."""
    front = drawn_samples(1)[0]
    u = [160 - 200 * left / 12 for left in (2.8, 1.2)]
    boxes = np.array([[u[0], 107, u[1], 133]], np.float32)
    outputs = {"boxes": boxes, "scores": SCORES[:1], "labels": np.array([2])}
    path = write_detector(tmp_path / "one.onnx", outputs, shape=(1, 3, 240, 320), metadata=NAMES)
    turned = np.diag([-1.0, 1.0, -1.0, 1.0]) @ front.rig.camera_from("scanner")
    back = replace(front.rig, transforms=TransformTree({"scanner": ("camera", turned)}))
    cameras = {name: replace(front.camera, name=name) for name in ("front", "back")}
    placings = {"front": Placing(front.rig), "back": Placing(back)}
    sample = replace(front, camera=cameras["front"], cameras=cameras, placings=placings)
    plugin = OpenedPlugin(opened(path))
    output = plugin(sample)
    assert [head.items[0].label for head in output.cameras.values()] == ["dog", "dog"]
    assert output.cameras["front"].items[0].distance_m == pytest.approx(np.hypot(12, 2), abs=0.2)
    assert output.cameras["back"].items[0].distance_m is None
