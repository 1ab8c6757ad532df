"""torchvision's own detectors, exported, give its boxes; real files on real pictures."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perception.plugin import Context, load_plugin
from perception.types import CameraFrame, Input, Rig, Sample, Tick
from tests.extras import needs

needs("export", "onnx")

HEIGHT, WIDTH = 64, 96


class Backbone(nn.Module):
    def __init__(self, channels: int | list[int]) -> None:
        super().__init__()
        self.out_channels = channels
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
        self.second = nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        maps = self.first(images)
        return OrderedDict([("0", maps), ("1", self.second(maps))])


def documented() -> dict[str, Any]:
    """The names that the first code of the page about detectors defines."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "Exported" in block)
    names: dict[str, Any] = {}
    exec(compile(code, "detectors.md", "exec"), names)
    return names


def make_ssd() -> nn.Module:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD

    boxes = DefaultBoxGenerator([[2], [2]])
    return SSD(Backbone([8, 8]), boxes, (HEIGHT, WIDTH), 4, score_thresh=0.05, detections_per_img=20)


def make_retina() -> nn.Module:
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    anchors = AnchorGenerator(((16,), (32,)), ((0.5, 1.0, 2.0),) * 2)
    sizes = {"min_size": HEIGHT, "max_size": WIDTH, "detections_per_img": 20}
    model = RetinaNet(Backbone(8), 4, anchor_generator=anchors, score_thresh=0.05, **sizes)
    for weight in model.parameters():
        if weight.dim() > 1:  # torchvision's own are so small that all scores are equal
            nn.init.kaiming_normal_(weight)
    return model


@pytest.mark.parametrize("make", [make_ssd, pytest.param(make_retina, marks=pytest.mark.slow)])
def test_an_export_gives_torchvisions_boxes(tmp_path: Path, make: type) -> None:
    torch.manual_seed(3)
    model, path = make().eval(), tmp_path / "model.onnx"
    documented()["export"](model, path, WIDTH, HEIGHT)
    pixels = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    with torch.inference_mode():
        (expected,) = model([torch.from_numpy(pixels.transpose(2, 0, 1).copy()) / 255])
    plugin = load_plugin("detector")
    labels = ["nothing", "car", "person", "dog"]
    plugin.open(Context(options={"model": str(path), "labels": labels, "min_score": 0.05}, threads=1))
    frame = CameraFrame.from_array(pixels)
    sample = Sample(
        Tick(0, "reference", 0, 0),
        Input("camera", "/image", frame, 0, 0.0),
        Input("range", "", None),
        Input("status", "", None),
        Rig(),
    )
    (output,) = plugin.step([plugin.prepare(sample)])
    plugin.close()
    assert output.detections is not None
    items = output.detections.items
    named = [labels[label] for label in expected["labels"].tolist()]
    boxes = expected["boxes"].numpy()
    kept = [i for i, name in enumerate(named) if name and (boxes[i, 2:] > boxes[i, :2]).all()]
    assert len(kept) > 3
    assert [item.score for item in items] == pytest.approx(expected["scores"].numpy()[kept], abs=1e-4)
    found = np.array([item.xyxy for item in items])
    # Scores that are equal to the last bits may change places: the boxes are compared as sets.
    order, other = (np.lexsort(np.round(array, 1).T) for array in (found, boxes[kept]))
    np.testing.assert_allclose(found[order], boxes[kept][other], atol=0.05)
    assert sorted(item.label for item in items) == sorted(named[i] for i in kept)


SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="../shared/models is not there")
def test_fastestdet_on_a_real_picture_is_a_plain_script() -> None:
    """As its authors decode it: cv2 resizes, then one loop over the cells."""
    import onnxruntime

    path = SHARED / "models" / "FastestDet.onnx"
    picture = sorted((SHARED / "train_real" / "images" / "pandaset_002").glob("*.jpg"))[0]
    pixels = cv2.imread(str(picture))
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (352, 352)).astype(np.float32)
    session = onnxruntime.InferenceSession(path)
    (grid,) = session.run(None, {"input.1": small.transpose(2, 0, 1)[None] / 255})
    expected = []
    for y in range(22):
        for x in range(22):
            cell = grid[0, :, y, x]
            score = cell[0] ** 0.6 * cell[5:].max() ** 0.4
            if score > 0.5:
                cx, cy = (np.tanh(cell[1]) + x) / 22 * width, (np.tanh(cell[2]) + y) / 22 * height
                w, h = (1 / (1 + np.exp(-cell[3:5]))) * (width, height)
                expected.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score))
    plugin = load_plugin("detector")
    options = {"model": str(path), "min_score": 0.45, "nms": False}
    plugin.open(Context(options=options, threads=1))
    frame = CameraFrame("/image", 0, 0, "camera", picture.read_bytes(), "jpeg", width, height)
    absent = (Input("range", "", None), Input("status", "", None))
    sample = Sample(Tick(0, "reference", 0, 0), Input("camera", "/image", frame, 0, 0.0), *absent, Rig())
    (output,) = plugin.step([plugin.prepare(sample)])
    plugin.close()
    assert output.detections is not None
    assert len(expected) > 1
    for *box, score in expected:  # the same pixels: as many bits as two runtimes share
        clipped = np.clip(box, 0, [width, height] * 2)
        gaps = [np.abs(clipped - item.xyxy).max() for item in output.detections.items]
        assert min(gaps) < 0.05
        assert output.detections.items[int(np.argmin(gaps))].score == pytest.approx(score, abs=1e-3)
