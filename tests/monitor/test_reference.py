"""What a monitor reads off outputs, and the statistics of it as they are kept."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from perception.messages import Tick
from perception.monitor import StatsCollector, figures_of, from_plain, to_plain
from perception.monitor.reference import LEVELS
from perception.outputs import Control, ControlChannel, Detection, Detections, Output, invalid_output

TICK = Tick(0, "reference", 0, 0)


def output(*scores: float, std: float = 2.0, control: float = 0.1) -> Output:
    items = tuple(Detection("car", s, (0.0, 0.0, 20.0, 5.0), (std,) * 4, 10.0, 0.5) for s in scores)
    channels = (ControlChannel("curvature", "1/m", 0.0, control),)
    return Output(
        TICK, Detections(True, ("camera",), items=items), Control(True, ("camera",), channels=channels)
    )


def test_figures_by_hand() -> None:
    found = figures_of(output(0.9, 0.5, 0.05, std=3.0))
    assert found["class"] == {"best_score": 0.9, "expected": pytest.approx(1.4)}
    assert found["box"] == {"box_std": pytest.approx(0.3), "distance_std": pytest.approx(0.05)}
    assert found["control"] == {"std/curvature": 0.1}


def test_a_frame_without_objects_says_so_and_has_no_stds() -> None:
    found = figures_of(output(0.05))
    assert found["class"] == {"best_score": 0.0, "expected": 0.0}
    assert all(np.isnan(list(found["box"].values())))


def test_an_invalid_head_has_no_figures() -> None:
    assert figures_of(invalid_output(TICK, ("class", "box", "control"), "no")) == {}


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
