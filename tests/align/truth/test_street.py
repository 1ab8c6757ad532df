"""Truth on a real street: cuboids annotated in 3D, against the images and the lidar of the same log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from perception.align.truth import TruthJoiner
from perception.config import TruthConfig
from perception.logs import decode, open_log
from perception.models.preprocess import InputSpec, returns_array
from perception.types import (
    CameraFrame,
    CameraInfo,
    FrameTransforms,
    Input,
    RangeScan,
    Rig,
    Sample,
    Tick,
)
from tests.align.truth.build import sample as empty_sample

pytestmark = pytest.mark.shared
CONFIG = TruthConfig(boxes="/annotations/cuboids", control="/vehicle/control", classes={"Car": "vehicle"})
ROLES = {"/annotations/cuboids": "truth_boxes", "/vehicle/control": "truth_control"}


@pytest.fixture(scope="module")
def joined(shared: Path) -> list[tuple[Sample, object]]:
    """Every image with the sweep before it, the rig known by then, and its truth."""
    joiner = TruthJoiner(CONFIG)
    return [(pair.sample, pair.truth) for pair in joiner.pairs(samples(shared, joiner))]


def samples(shared: Path, joiner: TruthJoiner) -> Iterator[Sample]:
    rig, scan, index = Rig(), None, 0
    with open_log(shared / "pandaset_002_front.mcap") as log:
        for message in log.messages():
            decoded = decode(message, ROLES.get(message.topic))  # type: ignore[arg-type]
            joiner.push(decoded)
            if isinstance(decoded, CameraInfo):
                rig = Rig(decoded, rig.transforms)
            elif isinstance(decoded, FrameTransforms):
                rig = Rig(rig.calibration, rig.transforms.updated(decoded.edges))
            elif isinstance(decoded, RangeScan):
                scan = decoded
            elif isinstance(decoded, CameraFrame):
                tick = Tick(index, "reference", decoded.stamp_ns, decoded.log_time_ns)
                base = empty_sample(index, decoded.stamp_ns)
                index += 1
                swept = Input("range", "/lidar/points", scan)
                yield Sample(tick, Input("camera", decoded.topic, decoded), swept, base.status, rig)


def test_every_image_has_truth(joined: list) -> None:
    assert len(joined) == 80
    assert sum(truth.boxes is not None for _, truth in joined) >= 79  # of the first image no rig is known
    assert all(truth.control is not None for _, truth in joined)
    assert all(set(truth.control) == {"curvature", "acceleration"} for _, truth in joined)
    assert sum(truth.measured is not None for _, truth in joined) == 74  # all but the first half second


def test_boxes_lie_in_the_image(joined: list) -> None:
    boxes = [box for _, truth in joined for box in truth.boxes or ()]
    assert len(boxes) > 500
    assert {box.label for box in boxes} == {"vehicle"}
    for box in boxes:
        x1, y1, x2, y2 = box.xyxy
        assert 0 <= x1 < x2 <= 1920
        assert 0 <= y1 < y2 <= 1080
        assert 0.1 <= box.visible <= 1


def test_the_lidar_sees_the_cars_in_their_boxes_at_their_distance(joined: list) -> None:
    """Nearest returns in the middle of each clearly visible box: at the car's near face."""
    spec = InputSpec(width=1920, height=1080, returns=24_000, max_range_m=80)
    off = []
    for sample, truth in joined[10::7]:
        assert sample.range.value is not None
        rows, valid = returns_array(sample.range.value, sample.rig, spec)
        seen = rows[(valid > 0) & (rows[:, 7] > 0)]
        for box in truth.boxes or ():
            x1, y1, x2, y2 = box.xyxy
            if box.visible < 0.95 or box.distance_m > 40 or x1 < 5 or x2 > 1915:
                continue
            cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
            inside = seen[(abs(seen[:, 0] - cx) < 0.25 * w) & (abs(seen[:, 1] - cy) < 0.25 * h)]
            if len(inside) >= 3:
                off.append(box.distance_m - np.median(inside[:, 4]))
    assert len(off) >= 15
    # The returns lie on the car's surface: from its centre to half its length nearer than the centre.
    assert -0.5 < np.median(off) < 3.0
    assert np.mean(np.abs(np.array(off) - 1.25) < 3.0) > 0.85
