"""The statistics of outputs, and the baseline that is made of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from perception.diagnosis.monitor import (
    StatisticsReader,
    StatsCollector,
    from_plain,
    to_plain,
)
from perception.diagnosis.monitor.baseline_stats import LEVELS
from perception.types import Control, ControlChannel, Detection, Detections, Output, Tick, invalid_output

TICK = Tick(0, "reference", 0, 0)


def output(*scores: float, std: float = 2.0, control: float = 0.1) -> Output:
    items = tuple(Detection("car", s, (0.0, 0.0, 20.0, 5.0), (std,) * 4, 10.0, 0.5) for s in scores)
    channels = (ControlChannel("curvature", "1/m", 0.0, control),)
    return Output(
        TICK, Detections(True, ("camera",), items=items), Control(True, ("camera",), channels=channels)
    )


def test_output_statistics_by_hand() -> None:
    found = StatisticsReader().read(output(0.9, 0.5, 0.05, std=3.0))
    sureness = (0.81 + 0.25) / 1.4
    assert found["class"] == pytest.approx({"best_score": 0.9, "expected": 1.4, "sureness": sureness})
    assert found["box"] == {"box_std": pytest.approx(0.3), "distance_std": pytest.approx(0.05)}
    assert found["control"] == {"std/curvature": 0.1}


def test_a_frame_without_objects_says_so_and_has_no_stds() -> None:
    found = StatisticsReader().read(output(0.05))
    assert (found["class"]["best_score"], found["class"]["expected"]) == (0.0, 0.0)
    assert np.isnan(found["class"]["sureness"])
    assert all(np.isnan(list(found["box"].values())))


def test_jumps_are_changes_of_the_same_object_in_deviations() -> None:
    def at(ms: int, top: float, distance: float, curvature: float) -> Output:
        car = Detection("car", 0.9, (0.0, top, 20.0, 10.0), (1.0, 2.0, 1.0, 2.0), distance, 3.0)
        dog = Detection("dog", 0.9, (0.0, top, 20.0, 10.0), (1.0,) * 4, 50.0 * distance, 3.0)
        channels = (ControlChannel("curvature", "1/m", curvature, 0.3),)
        said = Detections(True, items=(car,) if ms else (dog, car))
        return Output(Tick(0, "reference", ms * 1_000_000, 0), said, Control(True, channels=channels))

    reader = StatisticsReader()
    assert "jump/height" not in reader.read(at(0, 0.0, 10.0, 0.1))["box"]
    found = reader.read(at(100, 2.0, 15.0, 0.4))
    assert found["box"]["jump/height"] == pytest.approx(2.0 / 4.0)
    assert found["box"]["jump/distance"] == pytest.approx(5.0 / np.hypot(3.0, 3.0))
    assert found["control"]["jump/curvature"] == pytest.approx(0.3 / np.hypot(0.3, 0.3))
    assert "jump/height" not in reader.read(at(900, 2.0, 15.0, 0.4))["box"]  # too long ago
    assert "jump/height" not in reader.read(at(950, 9.0, 15.0, 0.4))["box"]  # another object


def test_statistics_of_before_have_no_inputs_and_load() -> None:
    collector = StatsCollector()
    for k in range(40):
        collector.add(output(0.9), {"status": {"still": k / 100}})
    plain = to_plain({"camera": collector.stats()})
    assert from_plain(plain)["camera"].inputs["status"]["still"][3] == pytest.approx(0.195)
    del plain["subsets"]["camera"]["inputs"]
    assert from_plain(plain)["camera"].inputs == {}


def test_an_invalid_head_has_no_statistics() -> None:
    assert StatisticsReader().read(invalid_output(TICK, ("class", "box", "control"), "no")) == {}


def test_statistics_are_the_quantiles_and_read_back() -> None:
    collector, rng = StatsCollector(), np.random.default_rng(0)
    stds = rng.uniform(0.1, 1.0, 400)
    for std in stds:
        collector.add(output(0.9, control=float(std)))
    for _ in range(100):
        collector.add(invalid_output(TICK, ("class", "box", "control"), "no"))
    found = collector.stats()
    assert found.frames == 500
    assert found.valid == {"class": 0.8, "box": 0.8, "control": 0.8}
    assert found.quantiles["control"]["std/curvature"] == pytest.approx(np.quantile(stds, LEVELS))
    back = from_plain(json.loads(json.dumps(to_plain({"camera": found}))))
    assert back["camera"].frames == 500
    assert back["camera"].quantiles["control"]["std/curvature"] == pytest.approx(
        np.quantile(stds, LEVELS), rel=1e-4
    )


def test_few_frames_make_no_quantiles() -> None:
    collector = StatsCollector()
    for _ in range(29):
        collector.add(output(0.9))
    assert collector.stats().quantiles["class"] == {}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda p: p.pop("levels"), "levels"),
        (lambda p: p.update(subsets=3), "subsets"),
        (lambda p: p["subsets"]["camera"].update(frames=-1), "frames"),
        (lambda p: p["subsets"]["camera"]["valid"].update({"class": "x"}), "valid.class"),
        (lambda p: p["subsets"]["camera"]["quantiles"]["class"].update(best_score=[1]), "best_score"),
        (
            lambda p: p["subsets"]["camera"]["quantiles"]["class"].update(best_score=[1, 2, 3, 4, 5, 6, 0]),
            "rising",
        ),
    ],
)
def test_wrong_statistics_are_refused_naming_the_place(change: Any, where: str) -> None:
    collector = StatsCollector()
    for _ in range(40):
        collector.add(output(0.9))
    plain = to_plain({"camera": collector.stats()})
    change(plain)
    with pytest.raises(ValueError, match=where):
        from_plain(plain)
