"""Parts of the data against the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perception.autoconfig import complete_config
from perception.errors import ConfigError
from perception.evaluation.log_record import LEAST_SCORE
from perception.evaluation.resampling import Resampler, Resampling
from perception.evaluation.slices.frame_conditions import FrameConditions, frame_conditions
from perception.evaluation.slices.slice_comparison import slices
from perception.evaluation.slices.slice_definitions import parse_slices, slices_of
from perception.logs import open_log
from perception.types import Detection, Detections, TruthFrame
from tests.evaluation.metrics.build import Pair
from tests.evaluation.scored import drive, scored
from tests.scripted_scene import START_NS


def blind_beyond(limit_m: float):
    """Says what is true of what is near, and nothing of what is far."""

    def change(pair: Pair) -> Pair:
        output, truth = pair
        assert truth.boxes is not None
        items = tuple(
            Detection(b.label, 0.9, b.xyxy, (1.0, 1.0, 1.0, 1.0), b.distance_m * 1.01, 1.0)
            for b in truth.boxes
            if b.distance_m < limit_m
        )
        return replace(output, detections=Detections(True, items=items)), truth

    return change


def around(one, **status: np.ndarray) -> list[FrameConditions]:
    count = len(one.records[0].frames)
    return [FrameConditions("", np.linspace(20, 200, count), status, "speed" if "speed" in status else "")]


def test_of_two_parts_one_row_is_said() -> None:
    one = scored([drive(0, 600)])
    resampler = Resampler([one], Resampling(draws=100))
    halves = [FrameConditions("", np.where(np.arange(600) < 300, 20.0, 75.0))]
    found = slices(resampler, one.records, halves, ("light",), 0.5)
    assert {part.part for part in found} == {"dark images"}
    assert len(found) == len({part.metric for part in found})
    thirds = [FrameConditions("", np.repeat([20.0, 75.0, 200.0], 200))]
    found = slices(resampler, one.records, thirds, ("light",), 0.5)
    assert {part.part for part in found} == {"dark images", "dim images", "bright images"}


def test_hits_and_false_alarms_of_low_scores_count_from_the_same_score_on() -> None:
    def unsure(pair: Pair) -> Pair:
        output, truth = pair
        assert output.detections is not None
        items = tuple(replace(item, score=item.score / 10) for item in output.detections.items)
        return replace(output, detections=replace(output.detections, items=items)), truth

    one = scored([drive(0, 200, change=unsure)])
    resampler = Resampler([one], Resampling(draws=100))
    kinds = parse_slices("class")
    low, least = (slices(resampler, one.records, around(one), kinds, cut) for cut in (0.001, LEAST_SCORE))
    assert any(part.metric == "precision" for part in low)
    assert low == least


def test_what_is_surely_worse_comes_first_and_is_the_true_reason() -> None:
    one = scored([drive(0, 600, change=blind_beyond(20.0))])
    resampler = Resampler([one], Resampling(draws=300))
    found = slices(resampler, one.records, around(one), parse_slices("all"), 0.5)
    first = found[0]
    assert (first.by, first.part, first.metric) == ("distance", "20 to 40 m", "recall")
    assert first.difference.verdict == "worse"
    assert first.value == 0.0
    assert first.difference.high < 0
    near = next(s for s in found if s.part == "0 to 10 m" and s.metric == "recall")
    assert (near.value, near.difference.verdict) == (1.0, "better")
    order = ["worse", "cannot tell", "better"]
    ranks = [order.index(s.difference.verdict) for s in found]
    assert ranks == sorted(ranks)
    sure = {s.by for s in found if s.difference.verdict == "worse"}
    assert sure == {"distance"}
    assert all(s.difference.p_corrected >= s.difference.p for s in found)


def test_a_status_field_and_speed_cut_the_frames() -> None:
    """The command is off only while the wheel is turned."""
    turned = np.repeat([0.0, 1.0, 0.0, -1.0, 0.0, 1.0], 100) + np.linspace(0, 0.01, 600)
    frames = [
        (output, TruthFrame(truth.stamp_ns, truth.boxes, {"curvature": 0.0 if turn < 0.5 else 6.0}, None))
        for (output, truth), turn in zip(drive(1, 600), turned, strict=True)
    ]
    one = scored([frames])
    resampler = Resampler([one], Resampling(draws=300))
    here = around(one, wheel=turned, speed=np.full(600, 5.0))
    found = slices(resampler, one.records, here, ("status:wheel", "speed"), 0.5, {"curvature": "1/m"})
    first = found[0]
    assert first.by == "status:wheel"
    assert first.part.startswith("from")
    assert (first.metric, first.unit) == ("MAE/curvature", "1/m")
    assert first.value > first.rest + 3
    assert not [s for s in found if s.by == "speed"]  # all frames are in one part: nothing to hold it against
    with pytest.raises(ConfigError, match=r"called 'weel'; did you mean wheel\? The logs have wheel, speed"):
        slices(resampler, one.records, here, ("status:weel",), 0.5)


def test_every_object_and_frame_is_in_exactly_one_part_of_each_kind() -> None:
    """Of sizes, distances, visible parts, brightness and thirds of a log, edges of the parts among them."""
    record = scored([drive(2, 300)]).records[0]
    count = len(record.objects)
    draw = np.random.default_rng(3)
    edges = {
        "area": (0, 32**2, 96**2, 200**2),
        "distance": (0, 10, 20, 40, 90),
        "visible": (0.1, 0.5, 0.8, 1),
    }
    for column, values in edges.items():
        record.objects[column][:] = np.where(draw.random(count) < 0.5, draw.choice(values, count),
                                             draw.uniform(min(values), max(values), count))  # fmt: skip
    brightness = np.linspace(0, 255, len(record.frames))
    brightness[:3] = (0, 50, 100)
    kinds = ("size", "distance", "visibility", "light", "time")
    parts = list(slices_of([record], [FrameConditions("", brightness)], kinds))
    assert len(parts) == 3 + 4 + 3 + 3 + 3
    for kind in kinds:
        masks = [(part.objects or part.frames)[0] for part in parts if part.by == kind]
        np.testing.assert_array_equal(np.sum(masks, axis=0), 1, err_msg=kind)
        assert all(mask.any() for mask in masks), kind
    area = record.objects["area"]
    medium = next(part for part in parts if part.name == "medium").objects[0]
    np.testing.assert_array_equal(medium, (area >= 1024) & (area < 9216))


def test_by_chance_nothing_is_sure() -> None:
    sure = 0
    for seed in range(4):
        one = scored([drive(10 + seed, 250)])
        resampler = Resampler([one], Resampling(draws=200))
        found = slices(resampler, one.records, around(one), ("time", "light"), 0.5)
        sure += sum(s.difference.verdict != "cannot tell" for s in found)
    assert sure == 0


def test_surroundings_are_read_from_the_log(street: Path) -> None:
    stamps = START_NS + np.arange(10, 50, 10, dtype=np.int64) * 100_000_000
    with open_log(street) as log:
        found = frame_conditions(log, complete_config(log).config, stamps)
    assert found.light == ""
    assert ((found.brightness > 0) & (found.brightness < 255)).all()
    assert found.speed == "speed"
    assert np.isfinite(found.status["speed"]).all()


def test_names_of_slices() -> None:
    assert parse_slices("size, time") == ("size", "time")
    assert "status" not in parse_slices("all")
    assert parse_slices("all,status:yaw_rate")[-1] == "status:yaw_rate"
    with pytest.raises(ConfigError, match="found 'colour'"):
        parse_slices("size,colour")
    with pytest.raises(ConfigError, match="--slices"):
        parse_slices(" , ")
