"""The alignment is simulated by the aligner itself, and what to wait for follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align import align
from perception.autoconfig import complete_config
from perception.autoconfig.alignment import AlignmentSimulation
from perception.autoconfig.alignment_advice import absence_problems
from perception.config import Config, parse_config
from perception.logs import open_log
from tests.small_logs import SmallLog

SECONDS = 5.0


def drive(delay_s: float, hz: float = 10.0, scan_start_s: float = 0.0) -> SmallLog:
    log = SmallLog().image(seconds=SECONDS).calibration(seconds=SECONDS).transforms(seconds=SECONDS)
    log = log.status(hz=50.0, seconds=SECONDS)
    return log.scan(hz=hz, seconds=SECONDS, delay_s=delay_s, start_s=scan_start_s)


def explicit(**values: object) -> Config:
    sensors = {"camera": {"topic": "/camera/image"}, "range": {"topic": "/scan"}}
    return parse_config({"version": 1, "reference_rate_hz": 10.0, "sensors": sensors, **values})


def absent_in_replay(path: Path, config: Config) -> int:
    with open_log(path) as log:
        samples = [s for s in align(log.messages(), config) if s.tick.kind == "reference"]
        return sum(not sample.range.present for sample in samples)


@pytest.mark.parametrize(("delay_s", "wait_ms"), [(0.0, 1.0), (0.035, 40.0), (0.091, 105.0), (0.1, 115.0)])
def test_the_wait_for_a_late_sensor_is_chosen(tmp_path: Path, delay_s: float, wait_ms: float) -> None:
    path = drive(delay_s).write(tmp_path / "log.mcap")
    with open_log(path) as log:
        choice = complete_config(log)
    assert choice.config.wait_ms == wait_ms
    (reason,) = [text for text in choice.reasons if text.startswith("wait_ms")]
    assert f"range {delay_s * 1000:.0f} ms" in reason
    assert "range in 50 of 50" in reason
    assert f"every answer comes {wait_ms:g} ms later" in reason
    assert absent_in_replay(path, choice.config) == 0
    assert absent_in_replay(path, choice.config.model_copy(update={"wait_ms": 0.0})) == 50


def test_a_sensor_that_is_in_time_costs_nothing(tmp_path: Path) -> None:
    with open_log(drive(0.02, scan_start_s=-0.05).write(tmp_path / "log.mcap")) as log:
        choice = complete_config(log)
    assert choice.config.wait_ms == 0
    assert not [text for text in choice.reasons if text.startswith("wait_ms")]


@pytest.mark.parametrize(("delay_s", "wait_ms"), [(0.0, 1.0), (0.003, 4.0), (0.02, 0.0)])
def test_a_camera_recorded_right_behind_the_other_is_of_the_same_moment(
    tmp_path: Path, delay_s: float, wait_ms: float
) -> None:
    """At 20 Hz the picture before would be near enough to be taken, 50 ms older."""
    log = SmallLog().image("/left/image", "left", hz=20.0, seconds=SECONDS)
    log.image("/right/image", "right", hz=20.0, seconds=SECONDS, delay_s=delay_s)
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        choice = complete_config(opened)
        samples = [s for s in align(opened.messages(), choice.config) if s.tick.kind == "reference"]
    assert choice.config.wait_ms == wait_ms
    reasons = [text for text in choice.reasons if "right behind their tick" in text]
    assert bool(reasons) == bool(wait_ms)
    if wait_ms:
        assert "right by 50 ms older" in reasons[0]
        assert all(s.cameras["right"].age_ms == 0 for s in samples)


def test_short_episodes_with_a_pause_between_them_tell_what_to_wait_for(tmp_path: Path) -> None:
    log = SmallLog()
    for start_s in (0.0, 20.0):
        log = log.image(seconds=1.2, start_s=start_s).scan(seconds=1.2, start_s=start_s, delay_s=0.035)
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        choice = complete_config(opened)
    assert choice.config.wait_ms == 40.0
    (reason,) = [text for text in choice.reasons if text.startswith("wait_ms")]
    assert "range in 12 of 12" in reason


def test_a_configured_wait_holds(tmp_path: Path) -> None:
    with open_log(drive(0.035).write(tmp_path / "log.mcap")) as log:
        assert complete_config(log, parse_config({"version": 1, "wait_ms": 7})).config.wait_ms == 7
        assert complete_config(log, explicit()).config.wait_ms == 0


def test_no_wait_is_chosen_that_would_be_of_another_scene(tmp_path: Path) -> None:
    with open_log(drive(0.8).write(tmp_path / "log.mcap")) as log:
        config = complete_config(log).config
        assert config.wait_ms == 0
        (problem,) = absence_problems(AlignmentSimulation(log, config), config)
    assert problem.code == "range_mostly_absent"
    assert "too late by 800 ms, or its clock is behind; set wait_ms: " in problem.text


@pytest.mark.parametrize("topic", ["/camera/image", "/scan"])
def test_no_tolerance_cures_a_clock_that_jumps_midway(tmp_path: Path, topic: str) -> None:
    log = SmallLog()
    for begin_s, ahead_s in ((0.0, 0.0), (2.0, 30.0)):
        for make, name in ((log.image, "/camera/image"), (log.scan, "/scan")):
            ahead = ahead_s if name == topic else 0.0
            early = 0.01 if name == "/scan" else 0.0
            make(name, start_s=begin_s + ahead - early, delay_s=-ahead, seconds=2.0 + begin_s)
    with open_log(log.calibration().write(tmp_path / "log.mcap")) as opened:
        (problem,) = absence_problems(AlignmentSimulation(opened, explicit()), explicit())
    assert problem.sensor == "range"
    assert f"stamps on {topic} jump or stand still: correct them" in problem.text


def test_a_tolerance_is_named_also_for_a_log_that_was_played_slowly_and_recorded_again(
    tmp_path: Path,
) -> None:
    log = SmallLog().image(seconds=6.0).scan(start_s=0.3, delay_s=-0.3, hz=1.0, seconds=6.0).calibration()
    first_ns = min(row[0] for row in log.rows)
    log.rows = [(first_ns + 2 * (row[0] - first_ns), *row[1:]) for row in log.rows]
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        (problem,) = absence_problems(AlignmentSimulation(opened, explicit()), explicit())
    assert "jump" not in problem.text
    assert "tolerance_ms" in problem.text


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 400), st.sampled_from([5.0, 10.0, 20.0]), st.integers(0, 99))
def test_the_named_cure_cures(
    tmp_path_factory: pytest.TempPathFactory, delay_ms: int, hz: float, phase_ms: int
) -> None:
    path = drive(delay_ms / 1000, hz, phase_ms / 1000).write(tmp_path_factory.mktemp("cure") / "log.mcap")
    with open_log(path) as log:
        problems = absence_problems(AlignmentSimulation(log, explicit()), explicit())
    before = absent_in_replay(path, explicit())
    assert bool(problems) == (before > 25)
    for problem in problems:
        if "set wait_ms: " in problem.text:
            wait_ms = float(problem.text.rpartition("set wait_ms: ")[2])
            assert absent_in_replay(path, explicit(wait_ms=wait_ms)) < before


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_the_simulation_counts_what_the_aligner_does(
    tmp_path_factory: pytest.TempPathFactory, delay_ms: int, wait_ms: int
) -> None:
    path = drive(delay_ms / 1000).write(tmp_path_factory.mktemp("same") / "log.mcap")
    config = explicit(wait_ms=wait_ms)
    with open_log(path) as log:
        report = AlignmentSimulation(log, config).run(config)
    assert report.ticks == 50
    assert report.ticks - report.sensors["range"].present == absent_in_replay(path, config)
    assert sum(report.sensors["range"].absences.values()) == absent_in_replay(path, config)


def test_a_clock_that_differs_is_named_with_the_distance(tmp_path: Path) -> None:
    log = drive(0.0).scan("/old", hz=10.0, seconds=SECONDS, start_s=-0.9, delay_s=0.9)
    config = explicit(
        wait_ms=1000.0,
        sensors={"camera": {"topic": "/camera/image"}, "range": {"topic": "/old"}},
    )
    log.rows = [row for row in log.rows if row[1] != "/old" or row[0] < 1_700_000_000_500_000_000]
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        (problem,) = absence_problems(AlignmentSimulation(opened, config), config)
    assert "sensors.range.tolerance_ms and max_age_ms" in problem.text


def test_a_long_log_is_simulated_in_bounded_parts(tmp_path: Path) -> None:
    log = SmallLog().scan(hz=10, seconds=120).status(hz=10, seconds=120, delay_s=0.0)
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        config = complete_config(opened).config
        ticks = AlignmentSimulation(opened, config).run(config).ticks
    assert 200 < ticks < 320


# --- how far --------------------------------------------------------------------------------------------


def test_the_share_of_returns_beyond_the_range_is_said(tmp_path: Path) -> None:
    log = SmallLog().image().scan(ranges=lambda i: [5.0] * 6 + [50.0] * 2)
    with open_log(log.write(tmp_path / "log.mcap")) as opened:
        choice = complete_config(opened)
    (reason,) = [text for text in choice.reasons if "max_range_m" in text]
    assert "25% of the returns lie beyond it, up to 50 m" in reason
    assert choice.config.sensors.range is not None
    assert choice.config.sensors.range.max_range_m == 30.0


def test_a_first_tick_without_a_status_is_no_reason_to_wait(tmp_path: Path) -> None:
    with open_log(
        SmallLog().scan(seconds=0.6).status(hz=50.0, seconds=0.6).write(tmp_path / "log.mcap")
    ) as log:
        assert complete_config(log).config.wait_ms == 0


def test_depth_images_take_part_as_the_ranges_that_they_become(tmp_path: Path) -> None:
    log = SmallLog().image().calibration().raw_image("/depth", "16UC1", frame="depth", delay_s=0.035)
    path = log.calibration("/depth/info", frame="depth", start_s=-0.1).write(tmp_path / "log.mcap")
    depth = {"topic": "/depth", "calibration": "/depth/info"}
    config = explicit(sensors={"camera": {"topic": "/camera/image"}, "range": depth})
    with open_log(path) as opened:
        assert AlignmentSimulation(opened, config).run(config).sensors["range"].present == 0
        waiting = config.model_copy(update={"wait_ms": 40.0})
        assert AlignmentSimulation(opened, waiting).run(waiting).sensors["range"].present == 20
