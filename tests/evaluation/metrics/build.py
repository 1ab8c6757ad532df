"""Random frames for the tests of metrics: imperfect detections of random truth."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from perception.types import (
    Control,
    ControlChannel,
    Detection,
    Detections,
    Output,
    Tick,
    TruthBox,
    TruthFrame,
)

Pair = tuple[Output, TruthFrame]
CLASSES = ("vehicle", "person", "cyclist")


def tick(stamp_ns: int = 0) -> Tick:
    return Tick(0, "reference", stamp_ns, stamp_ns)


def detection(
    xyxy: Iterable[float],
    score: float = 0.9,
    label: str = "vehicle",
    distance_m: float = 10.0,
    distance_std_m: float = 1.0,
    std: float = 2.0,
) -> Detection:
    x1, y1, x2, y2 = xyxy
    return Detection(label, score, (x1, y1, x2, y2), (std, std, std, std), distance_m, distance_std_m)


def truth_box(
    xyxy: Iterable[float], label: str = "vehicle", distance_m: float = 10.0, visible: float = 1.0
) -> TruthBox:
    x1, y1, x2, y2 = xyxy
    return TruthBox(label, (x1, y1, x2, y2), distance_m, visible, "")


def frame(predicted: Iterable[Detection], true: Iterable[TruthBox] | None, stamp_ns: int = 0) -> Pair:
    """Detections beside truth boxes (None: nothing is known)."""
    boxes = None if true is None else tuple(true)
    return Output(tick(stamp_ns), Detections(True, items=tuple(predicted)), None), TruthFrame(stamp_ns, boxes)


def control_frame(
    predicted: float, true: float, std: float = 1.0, measured: float | None = None, stamp_ns: int = 0
) -> Pair:
    head = Control(True, channels=(ControlChannel("curvature", "1/m", predicted, std),))
    known = None if measured is None else {"curvature": measured}
    return Output(tick(stamp_ns), None, head), TruthFrame(stamp_ns, None, {"curvature": true}, known)


def random_frames(
    rng: np.random.Generator, count: int, *, truths: int = 6, detections: int = 9, ties: bool = False
) -> list[Pair]:
    """Frames in which some truth is small, hidden, missed or doubled, some labels and boxes are wrong, some
    frames are empty; with `ties` scores are one of three values."""
    frames = []
    for index in range(count):
        corner = rng.uniform(0, 300, (rng.integers(truths + 1), 2))
        size = np.exp(rng.uniform(np.log(6), np.log(180), corner.shape))
        true = [
            truth_box(
                (*c, *(c + s)), CLASSES[rng.integers(len(CLASSES))], rng.uniform(2, 50), rng.uniform(0, 1)
            )
            for c, s in zip(corner, size, strict=True)
        ]
        predicted = []
        for _ in range(rng.integers(detections + 1)):
            if true and rng.uniform() < 0.8:
                like = true[rng.integers(len(true))]
                x1, y1, x2, y2 = np.array(like.xyxy)
                noise = rng.normal(0, 0.08, 4) * np.array([x2 - x1, y2 - y1] * 2)
                box = np.array([x1, y1, x2, y2]) + noise * rng.integers(2)
                label = like.label if rng.uniform() < 0.85 else CLASSES[rng.integers(len(CLASSES))]
                distance = like.distance_m * rng.normal(1, 0.1)
            else:
                corner_of = rng.uniform(0, 300, 2)
                box = np.concatenate([corner_of, corner_of + rng.uniform(5, 120, 2)])
                label, distance = CLASSES[rng.integers(len(CLASSES))], rng.uniform(2, 50)
            box = np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])
            score = float(rng.integers(1, 4) / 4) if ties else float(rng.uniform(0.01, 1))
            predicted.append(
                detection(box, score, label, distance, rng.uniform(0.1, 3), std=float(rng.uniform(0.5, 8)))
            )
        frames.append(frame(predicted, true, stamp_ns=index * 100_000_000))
    return frames
