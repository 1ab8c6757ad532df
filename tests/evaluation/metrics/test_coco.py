"""Average precision is COCO's, box by box: against faster-coco-eval, another implementation of it."""

from __future__ import annotations

import numpy as np
import pytest

from perception.evaluation.metrics import MeanAveragePrecision, PrecisionRecall, Rules
from tests.evaluation.metrics.build import CLASSES, Pair, detection, frame, random_frames, truth_box

pytest.importorskip("faster_coco_eval")
from faster_coco_eval import COCO, COCOeval_faster

RULES = Rules(min_support=1)


def coco_precision(frames: list[Pair], rules: Rules) -> np.ndarray:
    """[T, 101, C, A] of the reference, -1 where a class has no truth.

    Ignore regions are crowds. What is too low is put outside every size range by its stated area, which is
    how COCO itself drops a detection that it cannot judge.
    """

    def annotation(xyxy: tuple[float, float, float, float], label: str, image: int) -> dict[str, object]:
        x1, y1, x2, y2 = xyxy
        low = y2 - y1 < rules.min_height_px
        area = 1e9 if low else (x2 - x1) * (y2 - y1)
        box = [x1, y1, x2 - x1, y2 - y1]
        return {"image_id": image, "category_id": CLASSES.index(label) + 1, "bbox": box, "area": area}

    true, predicted = [], []
    for image, (output, truth) in enumerate(frames, 1):
        assert output.detections is not None
        assert truth.boxes is not None
        for box in truth.boxes:
            hidden = box.visible < rules.min_visible or box.xyxy[3] - box.xyxy[1] < rules.min_height_px
            true.append(
                annotation(box.xyxy, box.label, image) | {"iscrowd": int(hidden), "id": len(true) + 1}
            )
        predicted += [
            annotation(d.xyxy, d.label, image) | {"score": d.score} for d in output.detections.items
        ]
    truth_set, said_set = COCO(), COCO()
    images = [{"id": image} for image in range(1, len(frames) + 1)]
    categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES, 1)]
    truth_set.dataset = {"info": {}, "images": images, "categories": categories, "annotations": true}
    numbered = [one | {"id": index, "iscrowd": 0} for index, one in enumerate(predicted, 1)]
    said_set.dataset = {"info": {}, "images": images, "categories": categories, "annotations": numbered}
    truth_set.createIndex()
    said_set.createIndex()
    evaluation = COCOeval_faster(truth_set, said_set, "bbox")
    evaluation.params.maxDets = [100]
    evaluation.params.areaRng = [[0, 1e8], [0, 32**2], [32**2, 96**2], [96**2, 1e8]]
    evaluation.evaluate()
    evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"])[..., 0]


def mean(precision: np.ndarray) -> float | None:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def check_against_coco(frames: list[Pair], rules: Rules = RULES) -> None:
    ours, per_class = MeanAveragePrecision(rules), PrecisionRecall(rules)
    for output, truth in frames:
        ours.update(output, truth)
        per_class.update(output, truth)
    values = ours.compute().values
    found = per_class.compute()
    reference = coco_precision(frames, rules)
    expected = {
        "mAP50": mean(reference[0, :, :, 0]),
        "mAP75": mean(reference[5, :, :, 0]),
        "mAP": mean(reference[..., 0]),
        "mAP/small": mean(reference[..., 1]),
        "mAP/medium": mean(reference[..., 2]),
        "mAP/large": mean(reference[..., 3]),
    }
    assert {name: values[name].value for name in expected} == pytest.approx(expected, abs=1e-9)
    for index, label in enumerate(CLASSES):
        if f"AP/{label}" not in values:
            assert mean(reference[..., index, 0]) is None
            continue
        assert values[f"AP/{label}"].value == pytest.approx(mean(reference[..., index, 0]), abs=1e-9)
        assert found.values[f"AP50/{label}"].value == pytest.approx(mean(reference[0, :, index, 0]), abs=1e-9)
        if label in found.details["curves"]:
            curve = found.details["curves"][label]["precision"]
            assert curve == pytest.approx(reference[0, :, index, 0].tolist(), abs=1e-9)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct scores", "equal scores"])
@pytest.mark.parametrize("seed", range(4))
def test_random_frames_score_as_coco_scores_them(seed: int, ties: bool) -> None:
    check_against_coco(random_frames(np.random.default_rng(seed), 40, ties=ties))


@pytest.mark.parametrize("seed", range(3))
def test_crowded_frames_score_as_coco_scores_them(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    check_against_coco(random_frames(rng, 4, truths=60, detections=150, ties=seed == 0))


@pytest.mark.parametrize("place", [99, 100])
def test_of_each_class_in_a_frame_a_hundred_detections_count(place: int) -> None:
    predicted = [detection((300, 300, 340, 340), 1 - index / 1000) for index in range(120)]
    predicted[place] = detection((0, 0, 40, 40), predicted[place].score)
    check_against_coco(
        [frame([*predicted, detection((9, 9, 50, 50), 0.1, "person")], [truth_box((0, 0, 40, 40))])]
    )


@pytest.mark.parametrize(
    "frames",
    [
        [frame([], [])],
        [frame([detection((0, 0, 20, 20))], [])],
        [frame([], [truth_box((0, 0, 20, 20))])],
        [frame([detection((0, 0, 20, 20))], [truth_box((0, 0, 20, 20))])],
        [frame([detection((0, 0, 20, 20))], [truth_box((0, 0, 20, 20), "person")])],
        [frame([detection((5, 5, 15, 19), s) for s in (0.9, 0.5)], [truth_box((0, 0, 20, 20), visible=0.1)])],
        [frame([detection((0, 0, 20, 20))] * 3, [truth_box((0, 0, 20, 20))] * 2)],
        [frame([detection((0, 0, 20, 9)), detection((50, 0, 70, 11))], [truth_box((0, 0, 20, 9))])],
        [frame([detection((0, 0, 0, 20))], [truth_box((0, 0, 20, 20)), truth_box((3, 3, 3, 30))])],
    ],
    ids=[
        "nothing",
        "no truth",
        "no detection",
        "a single hit",
        "the wrong class",
        "an ignore region",
        "doubles",
        "too low",
        "no area",
    ],
)
def test_degenerate_frames_score_as_coco_scores_them(frames: list[Pair]) -> None:
    check_against_coco(frames)
