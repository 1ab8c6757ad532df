"""Each layout against a decode of its own, written with loops, and torchvision's operators."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perception_plugins.detector.decode import Candidates, WrongOutput, candidates_of
from perception_plugins.detector.families import FAMILIES
from perception_plugins.detector.layouts import OutputLayout
from perception_plugins.detector.output_parts import named_parts
from perception_plugins.detector.raw_heads import raw_head
from perception_plugins.detector.recognise import matches
from perception_plugins.detector.suppression import suppress
from perception_plugins.detector.trial import Match, Trial

SIZE = (160, 96)  # width, height
CELLS = 20 * 12 + 10 * 6 + 5 * 3
CLASSES = 80
DRAW = np.random.default_rng(7)
START = DRAW.bit_generator.state


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Let a test draw the same numbers alone as after others."""
    DRAW.bit_generator.state = START


def read(
    outputs: dict[str, NDArray],
    inputs: tuple[str, ...] = ("images",),
    classes: int = CLASSES,
    least: float = 0.3,
    metadata: dict[str, str] | None = None,
) -> tuple[Match, Candidates]:
    """Recognise the family, which must be clear, and decode."""
    trial = Trial(inputs, outputs, *SIZE, metadata or {})
    (match,) = matches(trial, lambda count: count == classes)
    values = {"classes": match.classes or classes, **FAMILIES[match.family].output, **match.output}
    layout = named_parts(OutputLayout.model_validate(values), outputs)
    return match, candidates_of(outputs, layout, SIZE, least)


def assert_same(found: Candidates, rows: list[tuple[list[float], float, int]]) -> None:
    assert len(rows) > 3
    np.testing.assert_allclose(found.scores, [score for _, score, _ in rows], atol=1e-5)
    assert found.labels.tolist() == [label for *_, label in rows]
    np.testing.assert_allclose(found.boxes, [box for box, *_ in rows], atol=1e-3)


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float32]:
    return DRAW.uniform(low, high, shape).astype(np.float32)


def xyxy(boxes: NDArray) -> NDArray:
    from torchvision.ops import box_convert  # here: it brings the compiler, which takes seconds

    return box_convert(torch.from_numpy(np.asarray(boxes, np.float64)), "cxcywh", "xyxy").numpy()


def placed_boxes(count: int) -> NDArray[np.float32]:
    return np.concatenate([uniform(count, 2, high=96), uniform(count, 2, low=2, high=40)], 1)


def sparse(count: int, classes: int = CLASSES) -> NDArray[np.float32]:
    """Scores of which most are low, as a detector's are."""
    return uniform(count, classes) ** 60


def test_yolov8_has_a_column_for_each_cell() -> None:
    boxes, scores = placed_boxes(CELLS), sparse(CELLS)
    match, found = read({"output0": np.concatenate([boxes, scores], 1).T[None]})
    rows = [
        (list(xyxy(boxes[i : i + 1])[0]), float(scores[i].max()), int(scores[i].argmax()))
        for i in range(CELLS)
        if scores[i].max() >= 0.3
    ]
    assert match.family == "yolov8"
    assert_same(found, rows)


def test_yolov5_multiplies_with_objectness() -> None:
    count = 3 * CELLS
    boxes, objectness, scores = placed_boxes(count), uniform(count), sparse(count)
    match, found = read({"output": np.concatenate([boxes, objectness[:, None], scores], 1)[None]})
    products = scores * objectness[:, None]
    rows = [
        (list(xyxy(boxes[i : i + 1])[0]), float(products[i].max()), int(products[i].argmax()))
        for i in range(count)
        if products[i].max() >= 0.3
    ]
    assert match.family == "yolov5"
    assert_same(found, rows)


def test_yolox_is_placed_on_its_grid_and_yolov6_is_already() -> None:
    raw = np.concatenate([uniform(CELLS, 2, low=-1), uniform(CELLS, 2, low=-1)], 1)
    objectness, scores = uniform(CELLS), sparse(CELLS)
    match, found = read({"output": np.concatenate([raw, objectness[:, None], scores], 1)[None]})
    rows, at = [], 0
    for stride in (8, 16, 32):
        for y in range(SIZE[1] // stride):
            for x in range(SIZE[0] // stride):
                a, b, c, d = map(float, raw[at])
                cx, cy, w, h = (a + x) * stride, (b + y) * stride, math.exp(c) * stride, math.exp(d) * stride
                score = float((scores[at] * objectness[at]).max())
                if score >= 0.3:
                    box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
                    rows.append((box, score, int(scores[at].argmax())))
                at += 1
    assert match.family == "yolox"
    assert_same(found, rows)
    placed = np.concatenate([placed_boxes(CELLS), objectness[:, None], scores], 1)
    placed[:, 0] = np.linspace(0, 160, CELLS)
    assert read({"output": placed[None]})[0].family == "yolov6"


def test_fastestdet_has_one_cell_for_each_16_pixels() -> None:
    grid = uniform(1, 5 + CLASSES, 6, 10, low=-1)
    grid[0, 0] = uniform(6, 10)
    grid[0, 5:] = sparse(60).T.reshape(CLASSES, 6, 10)
    match, found = read({"758": grid})
    rows = []
    for y in range(6):
        for x in range(10):
            cell = grid[0, :, y, x].astype(float)
            score = cell[0] ** 0.6 * cell[5:].max() ** 0.4
            if score >= 0.3:
                cx, cy = (math.tanh(cell[1]) + x) / 10 * 160, (math.tanh(cell[2]) + y) / 6 * 96
                w, h = (1 / (1 + math.exp(-cell[k])) * side for k, side in ((3, 160), (4, 96)))
                rows.append(([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], score, int(cell[5:].argmax())))
    assert match.family == "fastestdet"
    assert_same(found, rows)


@pytest.mark.parametrize("together", [False, True])
def test_nanodet_sides_are_expected_bins(together: bool) -> None:
    levels = [(8, 20, 12), (16, 10, 6), (32, 5, 3)]
    cells = [sparse(w * h) for _, w, h in levels]
    sides = [uniform(w * h, 32, low=-3, high=3) for _, w, h in levels]
    if together:  # NanoDet-Plus: one table, and places are corners of cells
        tables = [np.concatenate(pair, 1) for pair in zip(cells, sides, strict=True)]
        outputs = {"output": np.concatenate(tables)[None]}
    else:
        outputs = {f"cls{s}": c[None] for (s, *_), c in zip(levels, cells, strict=True)}
        outputs |= {f"reg{s}": r[None] for (s, *_), r in zip(levels, sides, strict=True)}
    match, found = read(outputs)
    rows = []
    for (stride, width, _), scores, bins in zip(levels, cells, sides, strict=True):
        for i in range(len(scores)):
            if scores[i].max() < 0.3:
                continue
            weights = torch.softmax(torch.from_numpy(bins[i].astype(float).reshape(4, 8)), 1)
            left, top, right, bottom = ((weights * torch.arange(8)).sum(1) * stride).tolist()
            shift = 0.0 if together else 0.5
            x, y = (i % width + shift) * stride, (i // width + shift) * stride
            box = [x - left, y - top, x + right, y + bottom]
            rows.append((box, float(scores[i].max()), int(scores[i].argmax())))
    assert match.family == "nanodet"
    assert_same(found, rows)


def nanodet_file(together: bool) -> dict[str, NDArray]:
    """Return outputs of one picture in which the largest cells see nothing."""
    cells = [sparse(240), sparse(60), np.zeros((15, CLASSES), np.float32)]
    sides = [uniform(len(level), 32, low=-3, high=3) for level in cells]
    if together:
        levels = [np.concatenate(pair, 1) for pair in zip(cells, sides, strict=True)]
        return {"output": np.concatenate(levels)[None]}
    return {f"output{i}": table[None] for i, table in enumerate((*cells, *sides))}


@pytest.mark.parametrize("together", [False, True])
def test_a_level_without_any_object_leaves_the_others_valid(together: bool) -> None:
    outputs = nanodet_file(together)
    assert len(read(outputs)[1].boxes) > 3
    assert read(outputs, least=1.0)[1].boxes.shape == (0, 4)


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
def test_a_file_that_gives_no_box_finds_nothing(activation: str) -> None:
    """A file with suppression in it has no row where nothing is in the picture."""
    outputs = {"boxes": np.zeros((1, 0, 4), np.float32), "scores": np.zeros((1, 0, CLASSES), np.float32)}
    parts = {"boxes": "boxes", "scores": "scores"}
    layout = OutputLayout.model_validate({"kind": "separate", "activation": activation, "outputs": parts})
    found = candidates_of(outputs, layout, SIZE, 0.3)
    assert found.boxes.shape == (0, 4)
    assert found.labels.shape == (0,)


def test_detr_has_a_last_class_of_no_object_and_rt_detr_has_none() -> None:
    logits, boxes = uniform(1, 100, 92, low=-4, high=4), uniform(1, 100, 4, low=0.1, high=0.5)
    logits[0, np.arange(100), DRAW.integers(0, 92, 100)] += 6
    match, found = read({"logits": logits, "pred_boxes": boxes}, classes=91)
    shares = torch.softmax(torch.from_numpy(logits[0].astype(float)), 1)[:, :-1].numpy()
    pixels = xyxy(boxes[0]) * [160, 96, 160, 96]
    rows = [(list(pixels[i]), shares[i].max(), int(shares[i].argmax())) for i in range(100)]
    assert match.family == "detr"
    assert_same(found, [row for row in rows if row[1] >= 0.3])
    match, found = read({"logits": logits, "pred_boxes": boxes}, classes=92)
    shares = torch.sigmoid(torch.from_numpy(logits[0].astype(float))).numpy()
    rows = [(list(pixels[i]), shares[i].max(), int(shares[i].argmax())) for i in range(100)]
    assert match.family == "rtdetr"
    assert_same(found, [row for row in rows if row[1] >= 0.3])


def final(count: int = 30) -> tuple[NDArray, NDArray, NDArray]:
    boxes = placed_boxes(count)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, uniform(count), DRAW.integers(0, CLASSES, count)


@pytest.mark.parametrize("batch", [False, True])
def test_torchvision_gives_boxes_scores_and_whole_labels(batch: bool) -> None:
    boxes, scores, labels = final()
    outputs = {"boxes": boxes, "labels": labels, "scores": scores}
    if batch:
        outputs = {name: array[None] for name, array in outputs.items()}
    match, found = read(outputs)
    rows = [(list(b), float(s), int(k)) for b, s, k in zip(boxes, scores, labels, strict=True) if s >= 0.3]
    assert match.family == "torchvision"
    assert_same(found, rows)


def test_rt_detr_with_sizes_gives_final_boxes() -> None:
    boxes, scores, labels = final()
    outputs = {"labels": labels[None], "boxes": boxes[None], "scores": scores[None]}
    match, found = read(outputs, ("images", "orig_target_sizes"))
    assert match.family == "rtdetr_final"
    np.testing.assert_allclose(found.boxes, boxes[scores >= 0.3])


def test_tensorflow_counts_its_detections_and_begins_at_label_one() -> None:
    boxes, scores, labels = final()
    fractions = (boxes / [160, 96, 160, 96])[:, [1, 0, 3, 2]].astype(np.float32)
    outputs = {
        "detection_boxes": fractions[None],
        "detection_classes": (labels + 1).astype(np.float32)[None],
        "detection_scores": scores[None],
        "num_detections": np.array([20.0], np.float32),
    }
    match, found = read(outputs)
    rows = [(list(b), float(s), int(k)) for b, s, k in zip(boxes, scores, labels, strict=True)]
    assert match.family == "efficientdet"
    assert_same(found, [row for row in rows[:20] if row[1] >= 0.3])


def test_final_rows_of_six_are_told_by_metadata_or_by_the_other_inputs() -> None:
    boxes, scores, labels = final()
    rows = [(list(b), float(s), int(k)) for b, s, k in zip(boxes, scores, labels, strict=True) if s >= 0.3]
    ours = np.concatenate([boxes, scores[:, None], labels[:, None]], 1).astype(np.float32)[None]
    assert_same(read({"output0": ours}, metadata={"names": "{}", "stride": "32"})[1], rows)
    paddle = np.concatenate([labels[:, None], scores[:, None], boxes], 1).astype(np.float32)
    assert_same(read({"multiclass_nms3_0": paddle}, ("image", "scale_factor"))[1], rows)
    both = matches(Trial(("images",), {"output": ours}, *SIZE, {}), lambda count: True)
    assert len(both) == 2


def test_scores_by_class_with_background_in_front() -> None:
    boxes = uniform(1, 50, 4, high=0.4)
    boxes[..., 2:] += boxes[..., :2]
    scores = torch.softmax(torch.from_numpy(uniform(50, 1 + CLASSES, low=-2, high=9)), 1).numpy()
    match, _ = read({"boxes": boxes, "scores": scores[None]})
    rows = [
        (list(boxes[0, i] * [160, 96, 160, 96]), float(scores[i, 1:].max()), int(scores[i, 1:].argmax()))
        for i in range(50)
        if scores[i, 1:].max() >= 0.02
    ]
    assert match.output["background"] == "first"
    layout = OutputLayout(kind="separate", unit="fraction", background="first")
    outputs = {"boxes": boxes, "scores": scores[None]}
    assert_same(candidates_of(outputs, named_parts(layout, outputs), SIZE, 0.02), rows)


def test_suppression_is_torchvisions() -> None:
    from torchvision.ops import batched_nms

    for seed in range(5):
        draw = np.random.default_rng(seed)
        boxes = np.concatenate([draw.uniform(0, 60, (200, 2)), draw.uniform(5, 40, (200, 2))], 1)
        boxes[:, 2:] += boxes[:, :2]
        scores, labels = draw.uniform(0.05, 1, 200), draw.integers(0, 3, 200)
        found = suppress(Candidates(boxes, scores, labels), 0.5, 300)
        kept = batched_nms(*map(torch.from_numpy, (boxes, scores, labels)), 0.5).numpy()
        np.testing.assert_array_equal(found.boxes, boxes[kept])
        np.testing.assert_array_equal(found.labels, labels[kept])
        assert (
            suppress(Candidates(boxes, scores, labels), 0.5, 7).scores.tolist() == scores[kept[:7]].tolist()
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_an_error(bad: float) -> None:
    table = np.concatenate([placed_boxes(CELLS), sparse(CELLS)], 1).T[None]
    layout = OutputLayout(kind="rows", boxes="cxcywh", transposed=True, outputs={"rows": "output0"})
    for column in (0, 10):
        wrong = table.copy()
        wrong[0, column, 5] = bad
        wrong[0, 4:, 5] = np.maximum(wrong[0, 4:, 5], 0.5) if column == 0 else wrong[0, 4:, 5]
        with pytest.raises(WrongOutput, match="not finite"):
            candidates_of({"output0": wrong}, layout, SIZE, 0.3)


def test_outputs_of_another_shape_are_an_error_that_names_them() -> None:
    layout = OutputLayout(kind="rows", outputs={"rows": "output0"})
    with pytest.raises(WrongOutput, match=r"layout rows.*output0 \[3\]"):
        candidates_of({"output0": np.zeros(3)}, layout, SIZE, 0.3)


def refused(outputs: dict[str, NDArray]) -> str:
    text = raw_head(Trial(("images",), outputs, *SIZE, {}))
    assert matches(Trial(("images",), outputs, *SIZE, {}), lambda count: True) == []
    return text or ""


def test_heads_without_their_decoding_are_named_with_the_cure() -> None:
    sides = [(12, 20), (6, 10), (3, 5)]
    five = {f"o{h}": uniform(1, 3, h, w, 85) for h, w in sides}
    assert "YOLOv3, v4, v5 or v7 with 3 anchors and 80 classes" in refused(five)
    flat = {f"o{h}": uniform(1, 3 * 85, h, w) for h, w in sides}
    assert "3 anchors and 80 classes" in refused(flat)
    assert "export.py --include onnx" in refused(flat)
    assert "3 anchors and 80 classes" in refused({f"o{h}": uniform(1, h, w, 255) for h, w in sides})
    eight = {f"o{h}": uniform(1, 64 + 80, h, w) for h, w in sides}
    eight |= {f"p{h}": uniform(1, 80, h, w) for h, w in sides}
    assert "maps of a head without its decoding" in refused(eight)
    ssd = {"loc": uniform(1, 500, 4, low=-1), "conf": uniform(1, 500, 21)}
    assert "loc [1, 500, 4] are offsets from prior boxes" in refused(ssd)


def test_a_table_beside_maps_is_read_alone() -> None:
    """YOLOv5 before 6.1 gives its raw maps too, and models of instances their masks."""
    boxes, scores = placed_boxes(CELLS), sparse(CELLS)
    rows = [
        (list(xyxy(boxes[i : i + 1])[0]), float(scores[i].max()), int(scores[i].argmax()))
        for i in range(CELLS)
        if scores[i].max() >= 0.3
    ]
    table = np.concatenate([boxes, scores, uniform(CELLS, 32, low=-1)], 1).T[None]
    match, found = read({"output0": table, "output1": uniform(1, 32, 24, 40)})
    assert (match.family, match.classes) == ("yolov8", CLASSES)
    assert "beside output1, which hold no boxes" in match.reason
    assert_same(found, rows)
    ones = np.ones((3 * CELLS, 1), np.float32)
    table = np.concatenate([np.tile(boxes, (3, 1)), ones, np.tile(scores, (3, 1))], 1)[None]
    raw = {f"o{h}": uniform(1, 3, h, w, 85) for h, w in ((12, 20), (6, 10), (3, 5))}
    match, found = read({"output": table, **raw})
    assert match.family == "yolov5"
    assert_same(found, rows * 3)


def test_boxes_in_fractions_of_the_input_are_told_by_their_size() -> None:
    boxes, scores = placed_boxes(CELLS) / np.array([160, 96, 160, 96], np.float32), sparse(CELLS)
    boxes[:, 2:] = uniform(CELLS, 2, low=0.02, high=0.4)
    match, found = read({"output0": np.concatenate([boxes, scores], 1).T[None]})
    assert match.output == {"unit": "fraction"}
    pixels = xyxy(boxes) * [160, 96, 160, 96]
    rows = [
        (
            list(pixels[i]),
            float(scores[i].max()),
            int(scores[i].argmax()),
        )
        for i in range(CELLS)
        if scores[i].max() >= 0.3
    ]
    assert_same(found, rows)
    ones = np.ones((CELLS, 1), np.float32)
    match, found = read({"output": np.concatenate([boxes, ones, scores], 1)[None]})
    assert (match.family, match.output) == ("yolov6", {"unit": "fraction"})
    assert_same(found, rows)


def test_outputs_of_16_bits_lose_no_more_than_their_rounding() -> None:
    table = np.concatenate([placed_boxes(CELLS), sparse(CELLS)], 1).T[None].astype(np.float16)
    layout = OutputLayout(kind="rows", boxes="cxcywh", transposed=True, outputs={"rows": "output0"})
    half, whole = (
        candidates_of({"output0": t}, layout, SIZE, 0.3) for t in (table, table.astype(np.float32))
    )
    np.testing.assert_array_equal(half.boxes, whole.boxes)


def test_logits_where_scores_are_expected_are_an_error_with_the_cure() -> None:
    for low, high in ((-4, 0.9), (0, 3)):
        table = np.concatenate([placed_boxes(CELLS), uniform(CELLS, 8, low=low, high=high)], 1).T[None]
        layout = OutputLayout(kind="rows", boxes="cxcywh", transposed=True, outputs={"rows": "output0"})
        with pytest.raises(WrongOutput, match=r"logits\? give output\.activation: sigmoid"):
            candidates_of({"output0": table}, layout, SIZE, -1e9)
    padded = np.array([[1, 1, 9, 9, 0.8, 0], [-1] * 6], np.float32)
    columns = ("x1", "y1", "x2", "y2", "score", "label")
    layout = OutputLayout(kind="list", columns=columns, outputs={"rows": "output0"})
    assert len(candidates_of({"output0": padded}, layout, SIZE, -1e9).scores) == 2
