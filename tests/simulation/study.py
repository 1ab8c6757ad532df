"""Measure how well boosted trees on one sensor alone predict each head, scored on unseen logs.

    perception synthesize /tmp/study --seed 1000 --count 14
    python -m tests.simulation.study /tmp/study/*.mcap

The last third of the logs is kept for scoring. Not a test: it takes minutes. Needs scikit-learn.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import balanced_accuracy_score

from perception.geometry import TransformTree, project, transform_points
from perception.logs import decode, open_log
from perception.logs.perception_proto import decode_control
from perception.types import (
    CameraFrame,
    CameraInfo,
    FrameTransforms,
    RangeScan,
    StatusReading,
    TruthBoxes,
)

CLASSES = ("person", "vehicle", "cyclist", "cone", "barrel")
STATUS_LAGS_S = (0.0, 0.1, 0.2, 0.4, 0.8)
SECTORS = 60
CELLS = (32, 12)


@dataclass
class Rows:
    """Features and targets: one row per frame for control, one row per box for the others."""

    status: np.ndarray  # [F, lags * channels]
    scan: np.ndarray  # [F, SECTORS] nearest return of each sector, m
    image: np.ndarray  # [F, cells] how much of the route's paint each cell of the lower image shows, and grey
    control: np.ndarray  # [F, 2]
    boxes: np.ndarray  # [D, 4]
    geometry: np.ndarray  # [D, 6] box corners, width, height, px
    returns: (
        np.ndarray
    )  # [D, 5] nearest, median and spread of range in the box's columns, count, returns inside
    labels: np.ndarray  # [D]
    distances: np.ndarray  # [D]


def read(path: Path) -> Rows:
    """Return the features and targets of one log."""
    calibration, tree = None, TransformTree()
    scans: list[RangeScan] = []
    status: list[StatusReading] = []
    truth: list[TruthBoxes] = []
    control: dict[int, list[float]] = {}
    images: dict[int, np.ndarray] = {}
    with open_log(path) as log:
        for message in log.messages():
            if message.topic == "/truth/control":
                stamp, found = decode_control(message.data)
                control[stamp] = [c.value for c in found.channels]
                continue
            decoded = decode(message)
            if isinstance(decoded, CameraInfo):
                calibration = decoded
            elif isinstance(decoded, FrameTransforms):
                tree = tree.updated(decoded.edges)
            elif isinstance(decoded, CameraFrame):
                images[decoded.stamp_ns] = thumbnail(bytes(decoded.data))
            elif isinstance(decoded, RangeScan):
                scans.append(decoded)
            elif isinstance(decoded, StatusReading):
                status.append(decoded)
            elif isinstance(decoded, TruthBoxes):
                truth.append(decoded)
    assert calibration is not None
    camera_from_lidar = tree.target_from_source(calibration.frame_id, "lidar")
    assert camera_from_lidar is not None
    names = sorted(status[0].values)
    stamps = np.array([s.stamp_ns for s in status])
    values = np.array([[s.values[n] for n in names] for s in status])
    scan_stamps = np.array([s.stamp_ns for s in scans])
    per_frame, per_box = [], []
    for frame in truth:
        past = [
            np.searchsorted(stamps, frame.stamp_ns - int(lag * 1e9), "right") - 1 for lag in STATUS_LAGS_S
        ]
        scan = scans[int(np.argmin(np.abs(scan_stamps - frame.stamp_ns)))]
        ranges = np.linalg.norm(scan.points_m, axis=1)
        ranges = np.where(np.isfinite(ranges), ranges, 30.0)
        sectors = [part.min() for part in np.array_split(ranges, SECTORS)]
        row = (values[np.maximum(past, 0)].ravel(), sectors, images[frame.stamp_ns], control[frame.stamp_ns])
        per_frame.append(row)
        points = transform_points(camera_from_lidar, scan.points_m[np.isfinite(scan.points_m).all(axis=1)])
        pixels = project(points, calibration.intrinsics)
        reach = np.linalg.norm(points, axis=1)
        for box in frame.items:
            x1, y1, x2, y2 = box.xyxy
            column = (pixels[:, 0] > x1) & (pixels[:, 0] < x2)
            inside = column & (pixels[:, 1] > y1) & (pixels[:, 1] < y2)
            met = reach[column] if column.any() else np.array([np.nan])
            row = (np.min(met), np.median(met), np.ptp(met), column.sum(), inside.sum())
            geometry = (x1, y1, x2, y2, x2 - x1, y2 - y1)
            per_box.append((box.xyxy, geometry, row, CLASSES.index(box.label), box.distance_m))
    frame_parts = [np.array(part, float) for part in zip(*per_frame, strict=True)]
    box_parts = [np.array(part, float) for part in zip(*per_box, strict=True)]
    return Rows(*frame_parts, *box_parts)


def thumbnail(jpeg: bytes) -> np.ndarray:
    """Return the lower two thirds of a frame in a few cells: yellowness (the paint of the route) and grey."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[85:].astype(np.float32)
    yellow = np.minimum(image[..., 1], image[..., 2]) - image[..., 0]
    planes = (np.clip(yellow - 20, 0, 120), image.mean(axis=2))
    return np.concatenate(
        [cv2.resize(plane, CELLS, interpolation=cv2.INTER_AREA).ravel() for plane in planes]
    )


def join(logs: list[Rows]) -> Rows:
    return Rows(*(np.concatenate([getattr(log, name) for log in logs]) for name in Rows.__dataclass_fields__))


def regress(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    model = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=300, learning_rate=0.06, random_state=0
    )
    return np.asarray(model.fit(x, y).predict(x_test))


def study_control(train: Rows, test: Rows) -> None:
    print("control: mean absolute error (share of the constant's error)")
    squeeze = PCA(40, random_state=0).fit(train.image)
    now = train.status.shape[1] // len(STATUS_LAGS_S)
    seen = [
        {
            "last status": rows.status[:, :now],
            "status, 0.8 s": rows.status,
            "scan": rows.scan,
            "image, 32x12": squeeze.transform(rows.image),
        }
        for rows in (train, test)
    ]
    for part in seen:
        part["all"] = np.hstack([part["status, 0.8 s"], part["scan"], part["image, 32x12"]])
    for k, name in enumerate(("curvature 1/m", "acceleration m/s2")):
        y, answer = train.control[:, k], test.control[:, k]
        guesses = {"constant": np.full(len(answer), np.median(y))}
        guesses |= {what: regress(x, y, seen[1][what]) for what, x in seen[0].items()}
        base = np.abs(guesses["constant"] - answer).mean()
        for what, guess in guesses.items():
            error = np.abs(guess - answer).mean()
            print(f"  {name:18} {what:16} {error:.4f} ({error / base:.0%})")


def study_distance(train: Rows, test: Rows) -> None:
    print("distance: median relative error, share of boxes within 5 %")
    prior = np.array([np.median(train.distances[train.labels == c]) for c in range(len(CLASSES))])
    y = np.log(train.distances)
    labelled, labelled_test = (np.column_stack([r.geometry, r.labels]) for r in (train, test))
    guesses = {
        "class prior": prior[test.labels.astype(int)],
        "box and class": np.exp(regress(labelled, y, labelled_test)),
        "returns in columns": np.exp(regress(train.returns, y, test.returns)),
        "both": np.exp(
            regress(np.hstack([labelled, train.returns]), y, np.hstack([labelled_test, test.returns]))
        ),
    }
    for what, guess in guesses.items():
        error = np.abs(guess - test.distances) / test.distances
        print(f"  {what:20} {np.median(error):.3f} {np.mean(error < 0.05):.0%}")


def study_class(train: Rows, test: Rows) -> None:
    print("class: accuracy, mean over classes")
    counts = np.bincount(train.labels.astype(int), minlength=len(CLASSES))
    print(
        "  shares: " + ", ".join(f"{n} {c / counts.sum():.0%}" for n, c in zip(CLASSES, counts, strict=True))
    )
    print(f"  {'prior':32} {1 / len(CLASSES):.0%}")
    for what, x, x_test in (
        ("returns in its columns", train.returns, test.returns),
        ("its box", train.geometry, test.geometry),
        (
            "its box and returns",
            np.hstack([train.geometry, train.returns]),
            np.hstack([test.geometry, test.returns]),
        ),
    ):
        model = HistGradientBoostingClassifier(max_iter=200, class_weight="balanced", random_state=0)
        guess = model.fit(x, train.labels).predict(x_test)
        print(f"  {what:32} {balanced_accuracy_score(test.labels, guess):.0%}")


def study_box(train: Rows, test: Rows) -> None:
    met = test.returns[:, 4] > 0
    print(f"box: {met.mean():.0%} of the boxes hold a return of the scan")
    columns = np.column_stack([train.geometry[:, [0, 2, 4]], train.returns])
    columns_test = np.column_stack([test.geometry[:, [0, 2, 4]], test.returns])
    top, bottom = (regress(columns, train.boxes[:, k], columns_test) for k in (1, 3))
    overlap = np.minimum(bottom, test.boxes[:, 3]) - np.maximum(top, test.boxes[:, 1])
    union = np.maximum(bottom, test.boxes[:, 3]) - np.minimum(top, test.boxes[:, 1])
    iou = np.maximum(overlap, 0) / union
    for limit in (0.5, 0.75):
        share = np.mean(iou > limit)
        print(f"  its columns given, the scan finds top and bottom to IoU {limit}: {share:.0%}")


def main(paths: list[str]) -> None:
    logs = [read(Path(path)) for path in sorted(paths)]
    cut = max(1, round(len(logs) * 2 / 3))
    train, test = join(logs[:cut]), join(logs[cut:])
    frames, boxes = len(test.control), len(test.labels)
    print(f"{cut} logs to learn from, {len(logs) - cut} to score on: {frames} frames, {boxes} boxes")
    heights = test.geometry[:, 5]
    print(f"boxes a frame {boxes / frames:.1f}; 12 px and higher {np.mean(heights >= 12):.0%}")
    for part in (study_control, study_distance, study_class, study_box):
        part(train, test)


if __name__ == "__main__":
    main(sys.argv[1:])
