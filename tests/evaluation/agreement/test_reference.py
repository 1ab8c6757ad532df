"""Outputs beside those of another machine: their decisions must agree, not their floats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perception.autoconfig import complete_config
from perception.errors import ConfigError, LogError
from perception.evaluation.agreement.profiles import Decisions
from perception.evaluation.agreement.reference import Reference
from perception.evaluation.agreement.tolerances import DECISIONS, parse_tolerances
from perception.logs import open_log
from perception.pipeline import replay
from perception.sinks import McapSink, RunInfo, read_outputs
from perception.types import Control, ControlChannel, Detection, Detections, Output
from tests.evaluation.metrics.build import tick
from tests.evaluation.oracle import Oracle, Truth
from tests.scripted_scene import START_NS, write_scene


def box(score: float = 0.9, x: float = 0.0, label: str = "vehicle", distance_m: float = 10.0) -> Detection:
    return Detection(label, score, (x, 0.0, x + 100.0, 50.0), (1.0, 1.0, 1.0, 1.0), distance_m, 1.0)


def predicted(*boxes: Detection, steer: float = 0.1, valid: bool = True) -> Output:
    control = Control(valid, channels=(ControlChannel("curvature", "1/m", steer, 0.02),))
    return Output(tick(), Detections(valid, items=boxes), control)


@pytest.mark.parametrize(
    ("output", "head", "words"),
    [
        (predicted(box(0.9001, 0.01), box(0.33, 300), steer=0.1001), None, ""),
        (predicted(box(), box(0.34, 300)), None, ""),
        (predicted(box()), None, ""),  # the other box is near the cut-off
        (
            predicted(box(), box(0.6, 300), box(0.7, 600)),
            "box",
            "score 0.70 at (650, 25)",
        ),
        (predicted(box(0.29, 300)), "box", "only the reference has a vehicle of score 0.90"),
        (predicted(box(x=8.0), box(0.31, 300)), "box", "overlaps that of the reference by 0.85"),
        (predicted(box(distance_m=11.0)), "box", "is 11.00 m away, the reference says 10.00 m"),
        (predicted(box(label="person")), "class", "person, the reference vehicle"),
        (predicted(box(), steer=0.105), "control", "0.25 of its standard deviation"),
        (predicted(box(), steer=float("nan")), "control", "curvature nan"),
        (replace(predicted(box()), control=None), "control", "no such head, the reference valid"),
        (predicted(box(), valid=False), "control", "invalid, the reference valid"),
    ],
)
def test_what_a_robot_would_do_otherwise_is_a_difference(
    output: Output, head: str | None, words: str
) -> None:
    found = Decisions().differences(predicted(box(), box(0.31, 300)), output)
    assert [name for name, what in found.items() if what] == ([] if head is None else [head]) or (
        words.startswith("invalid")
    )
    if head is not None:
        assert words in found[head][0]


def test_tolerances_can_be_given() -> None:
    wide = parse_tolerances("iou=0.5, control=1,distance=0.2")
    assert wide == replace(DECISIONS, iou=0.5, control=1.0, distance=0.2)
    other = predicted(box(x=8.0, distance_m=11.0), steer=0.11)
    assert not any(Decisions(wide).differences(predicted(box()), other).values())
    assert parse_tolerances(None) == DECISIONS
    with pytest.raises(ConfigError, match="found 'io=1'"):
        parse_tolerances("io=1")
    with pytest.raises(ConfigError, match="found 'iou=x'"):
        parse_tolerances("iou=x")


def test_the_first_divergence_of_each_head_is_named(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "drive.mcap", seed=3, duration_s=2.0, image_size=(128, 64))
    truth, kept = Truth(path), tmp_path / "kept.mcap"
    wrong = (START_NS + 1_000_000_000, START_NS + 1_400_000_000)
    with open_log(path) as log:
        config = complete_config(log).config
        replay(log, config, Oracle(truth), [McapSink(kept)])
        with open_log(kept) as stored:
            same, other = Reference(stored, log), Reference(stored, log)
            replay(log, config, Oracle(truth), [same])
            replay(log, config, Oracle(truth, wrong), [other])
            assert [(row.head, row.frames, row.diverged) for row in same.report()] == [
                ("class", 20, 0),
                ("box", 20, 0),
                ("control", 20, 0),
            ]
            rows = {row.head: row for row in other.report(lambda moment: f"see {moment.at_s:.1f}")}
            assert rows["class"].diverged == 0
            for head in ("box", "control"):
                assert rows[head].diverged == 4
                assert rows[head].stamp_ns == wrong[0]
                assert rows[head].command == f"see {rows[head].at_s:.1f}"
            assert "only the reference has" in rows["box"].what
            assert "curvature" in rows["control"].what
            half = Reference(stored, log)
            half.open(RunInfo())
            for item in list(read_outputs(stored))[:15]:
                half.add(item.output)
            half.close()
            assert {row.diverged for row in half.report()} == {5}
            assert half.report()[0].what == "only the reference has this frame"
        with pytest.raises(LogError, match="expected a log of outputs"):
            Reference(log, log).open(RunInfo())
