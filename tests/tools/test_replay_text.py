"""The printed summary of a replay: numbers stay whole on a narrow terminal, and what is invalid says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perception.autoconfig.unused_topics import UnusedTopic
from perception.logs import Damage
from perception.pipeline import Summary
from perception.pipeline.tally import Tally
from perception.types import Control, Detections, Output, Tick, absent_sample
from perception_tools.replay.text import show

TICK = Tick(0, "reference", 1, 1)
STAGES = ("read", "align", "prepare", "infer", "step", "sink", "total")
SUMMARY = Summary(
    status="clean",
    frames=4,
    substitutes=0,
    dropped=0,
    errors=0,
    first_error="",
    outputs={"class": {"valid": 3, "invalid": 1}, "box": {"valid": 3, "invalid": 1}},
    inputs={"camera": {"present": 4, "absent": 0}},
    latency_ms={stage: {"p50": 123.4, "p99": 567.8} for stage in STAGES},
    lateness_ms={"p50": 0.01, "p99": 1288.0},
    deadline={},
    ledger={"/camera/image": {"used": 4}},
    damage=(),
    warnings=(),
)


@pytest.mark.parametrize("columns", [50, 60, 80])
def test_latencies_are_whole_numbers_however_narrow_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show(SUMMARY, [])
    lines = capsys.readouterr().out.splitlines()
    shown = [word for line in lines if line.split()[:1] in (["p50"], ["p99"]) for word in line.split()[1:]]
    assert sorted(shown) == sorted([*["123.4"] * 7, *["567.8"] * 7, "0.01", "1288.0"])
    assert max(map(len, lines)) <= columns


def test_no_word_of_heads_and_inputs_is_broken_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show(SUMMARY, [])
    words = capsys.readouterr().out.split()
    assert {"class", "valid", "invalid", "input", "camera", "present", "absent"} <= set(words)


def test_an_invalid_head_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    sample = absent_sample(TICK, "a test")
    tally.add(
        sample, Output(TICK, Detections(False, error="no such layout"), Control(False, error="no scan"))
    )
    tally.add(sample, Output(TICK, Detections(False, error="another"), Control(False, error="no scan")))
    assert tally.first_invalid == {"class": "no such layout", "box": "no such layout", "control": "no scan"}
    show(replace(SUMMARY, first_invalid={"class": "no such layout", "box": "no such layout"}), [])
    assert "invalid: class 1, box 1; the first: no such layout\n" in capsys.readouterr().out


def test_a_warning_of_some_samples_says_of_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    tally, sample = Tally(), absent_sample(TICK, "a test")
    plain = Output(TICK, Detections(False, error="none"), Control(False, error="none"))
    for warnings in ({"dark": "the picture is black"}, {}, {}):
        tally.add(sample, replace(plain, warnings=warnings))
    tally.warn("log", "the log is cut off")
    show(replace(SUMMARY, frames=tally.frames, warnings=tuple(tally.warnings.values())), [])
    said = capsys.readouterr().out
    assert "warning: the picture is black (1 of 3 frames)\n" in said
    assert "warning: the log is cut off\n" in said


def test_of_several_cameras_each_says_it_for_itself() -> None:
    tally, seen = Tally(), Detections(True, ("left",))
    sample = absent_sample(TICK, "a test", cameras=("left", "right"))
    cameras = {"left": seen, "right": Detections(False, error="no picture")}
    tally.add(sample, Output(TICK, seen, None, cameras=cameras))
    assert tally.first_invalid == {"right/class": "no picture", "right/box": "no picture"}


def test_of_many_unused_topics_a_few_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    many = [UnusedTopic(f"/option/{i}", "no_known_field", "") for i in range(9)]
    show(replace(SUMMARY, unused=(*many, UnusedTopic("/rosout", "housekeeping", ""))), [])
    first = ", ".join(f"/option/{i}" for i in range(6))
    assert f"not used: {first} and 3 more (no known field); /rosout (housekeeping)" in capsys.readouterr().out


def test_losses_are_timed_from_the_start_of_the_log_as_info_does(capsys: pytest.CaptureFixture[str]) -> None:
    start_ns = 1_557_539_956_000_000_000
    damage = Damage(start_ns + 1_500_000_000, start_ns + 3_250_000_000, 10, 7, "the chunk is damaged")
    show(replace(SUMMARY, damage=(damage,), monitor={"start_ns": start_ns}), [])
    said = "lost: 7 messages from 1.50 s to 3.25 s, 10 bytes: the chunk is damaged"
    assert said in capsys.readouterr().out
