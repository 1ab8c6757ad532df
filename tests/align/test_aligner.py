"""Ticks, policies, substitutes and resets, each by a small example."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perception.align import Aligner
from perception.align.ledger import Ledger
from perception.errors import ConfigError
from perception.geometry import pose_matrix
from perception.types import Absent, FrameTransform, FrameTransforms, StatusReading, Undecodable
from tests.align.build import MS, camera, config, facts, run, scan, status


def test_a_tick_closes_at_the_next_message_and_not_before() -> None:
    aligner = Aligner(config())
    assert aligner.push(camera(0)) == []
    assert [s.tick.stamp_ns for s in aligner.push(scan(0))] == [0]


def test_advance_closes_a_tick_as_a_message_does() -> None:
    aligner = Aligner(config())
    aligner.push(camera(100))
    assert aligner.advance(99 * MS) == []
    assert len(aligner.advance(100 * MS)) == 1


def test_the_message_that_closes_a_tick_takes_no_part_in_it() -> None:
    sample = run([scan(0, 0, tag=1), camera(30), scan(30)], config())[0]
    assert sample.range.stamp_ns == 0


def test_wait_ms_lets_slower_sensors_in() -> None:
    sample = run([camera(0), scan(0, 50), camera(100)], config(wait_ms=60))[0]
    assert sample.range.present
    assert sample.range.age_ms == 0


def test_nearest_prefers_the_older_of_two_equally_near() -> None:
    sample = run([scan(80), scan(120, 95), camera(100)], config())[0]
    assert sample.range.stamp_ns == 80 * MS


def test_nearest_may_lie_after_the_tick() -> None:
    sample = run([scan(80), scan(110, 95), camera(100)], config())[0]
    assert sample.range.stamp_ns == 110 * MS
    assert sample.range.age_ms == -10


def test_latest_never_lies_after_the_tick() -> None:
    sample = run([scan(60), scan(110, 95), camera(100)], config(range={"policy": "latest"}))[0]
    assert sample.range.stamp_ns == 60 * MS


def test_the_window_holds_the_newest_reading_at_or_below_each_step() -> None:
    readings = [status(t) for t in range(0, 200, 10)]
    sample = run([*readings, camera(195)], config())[-1]
    assert sample.status.value is not None
    # Steps at 45, 95, 145, 195.
    np.testing.assert_array_equal(sample.status.value.values[:, 0], [40, 90, 140, 190])


def test_window_steps_without_a_recent_reading_are_nan() -> None:
    sample = run([status(180), camera(195)], config())[0]
    assert sample.status.value is not None
    np.testing.assert_array_equal(sample.status.value.values[:, 0], [math.nan, math.nan, math.nan, 180])


@pytest.mark.parametrize(
    ("messages", "name", "reason"),
    [
        ([camera(0)], "range", "silent: nothing received"),
        ([camera(0)], "status", "silent: nothing received"),
        ([scan(0), camera(100)], "range", "out of tolerance: the nearest is 100 ms away, at most 60 ms"),
        ([status(0), camera(150)], "status", "stale: 150 ms old, at most 100 ms"),
        ([status(90, v=math.nan), camera(100)], "status", "invalid: none of v is a finite number (found: v)"),
        ([Undecodable("/scan", 0, 0, "broken"), camera(10)], "range", "undecodable: broken"),
    ],
)
def test_an_absent_input_says_why_and_the_sample_is_still_made(
    messages: list, name: str, reason: str
) -> None:
    sample = run(messages, config())[-1]
    given = getattr(sample, name)
    assert not given.present
    assert given.reason == reason
    assert given.absence.code == reason.partition(":")[0].replace(" ", "_")
    assert sample.camera.present


@pytest.mark.parametrize(
    ("absence", "row"),
    [
        (Absent("undecodable", "a text that says nothing"), "undecodable"),
        ("undecodable: a text alone is no code", "used"),
        (Absent("unusable", "undecodable"), "used"),
    ],
)
def test_the_ledger_counts_the_code_of_an_absence_and_not_its_text(absence: Absent | str, row: str) -> None:
    aligner = Aligner(config())
    aligner.push(camera(0))
    [sample] = aligner.flush()
    aligner.ledger.sample_done(sample.with_absent({"camera": absence}), "used")
    assert aligner.ledger.rows()["/camera"] == {row: 1}


def test_an_undecodable_reference_still_makes_a_tick() -> None:
    samples = run([camera(0), Undecodable("/camera", 100 * MS, 100 * MS, "no image")], config())
    assert [s.camera.present for s in samples] == [True, False]
    assert samples[1].camera.reason == "undecodable: no image"


def test_the_rig_counts_from_the_moment_it_is_known() -> None:
    pose = pose_matrix((1, 2, 3), (0, 0, 0, 1))
    tf = FrameTransforms("/tf", 50 * MS, 50 * MS, (FrameTransform("base", "laser", pose, 50 * MS),))
    first, second = (
        run([camera(0), camera(40), tf, camera(100)], config())[:2],
        run([tf, camera(100)], config())[0],
    )
    assert all(s.rig.transforms.target_from_source("base", "laser") is None for s in first)
    np.testing.assert_array_equal(second.rig.transforms.target_from_source("base", "laser"), pose)


def test_a_silent_camera_is_replaced_by_ticks_on_a_grid() -> None:
    readings = [status(t) for t in range(0, 700, 10)]
    messages = sorted([camera(0), camera(100), *readings], key=lambda m: m.log_time_ns)
    samples = run(messages, config())
    assert [(s.tick.kind, s.tick.log_time_ns // MS) for s in samples] == [
        ("reference", 0),
        ("reference", 100),
        *[("substitute", t) for t in (250, 350, 450, 550, 650)],
    ]
    silent = samples[2]
    assert silent.camera.reason == "silent: nothing for 150 ms"
    assert (silent.camera.stamp_ns, silent.camera.age_ms) == (100 * MS, 150.0)
    assert silent.status.present
    assert silent.status.age_ms == 10  # the reading of 250 ms closed the tick and is not part of it


def test_substitute_stamps_keep_the_delay_of_the_reference() -> None:
    messages = sorted(
        [camera(0, 30), *[status(t, t + 5) for t in range(0, 400, 10)]], key=lambda m: m.log_time_ns
    )
    substitutes = [s for s in run(messages, config()) if s.tick.kind == "substitute"]
    assert [(s.tick.stamp_ns, s.tick.log_time_ns) for s in substitutes][:2] == [
        (150 * MS, 180 * MS),
        (250 * MS, 280 * MS),
    ]


def test_in_full_silence_nothing_is_made() -> None:
    samples = run([camera(0), status(10), camera(5000)], config())
    assert [s.tick.kind for s in samples] == ["reference", "substitute", "reference"]


def test_a_log_whose_camera_never_speaks_ticks_all_the_same() -> None:
    samples = run([status(t) for t in range(0, 500, 10)], config())
    assert [s.tick.log_time_ns // MS for s in samples] == [150, 250, 350, 450]
    assert {s.camera.reason for s in samples} == {"silent: nothing received"}


def test_a_frame_that_was_only_slow_is_not_lost_to_a_substitute() -> None:
    messages = [camera(0), status(10), status(160), camera(100, 170), status(180)]
    kinds = [(s.tick.kind, s.tick.stamp_ns // MS) for s in run(messages, config())]
    assert kinds == [("reference", 0), ("substitute", 150), ("reference", 100)]


@pytest.mark.parametrize("reference", ["range", "status"])
def test_a_log_without_a_camera_ticks_on_another_sensor(reference: str) -> None:
    setup = config(reference, without=["camera"])
    messages = sorted(
        [scan(t) for t in (0, 100, 200)] + [status(t) for t in (0, 100, 200)], key=lambda m: m.log_time_ns
    )
    samples = run(messages, setup)
    assert [s.tick.stamp_ns // MS for s in samples] == [0, 100, 200]
    assert all(s.camera.reason == "not configured" for s in samples)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (camera(5000, 7000), "camera stamp went back by 2.000 s"),
        (camera(18_000, 7100), "camera stamp jumped forward by 11.000 s"),
        (camera(5000, 5000), "arrival time went back by 2.000 s"),
        (camera(18_000, 18_000), "arrival time jumped forward by 11.000 s"),
    ],
)
def test_broken_time_resets_and_the_next_sample_says_so(second: object, reason: str) -> None:
    samples = run([status(6950), camera(7000), second], config())  # type: ignore[list-item]
    assert [s.reset.reason if s.reset else None for s in samples] == [None, reason]
    assert samples[0].status.present
    assert not samples[1].status.present


@pytest.mark.parametrize("hours", [1, 400_000])
def test_a_static_transform_from_long_before_the_sensors_breaks_no_time(hours: int) -> None:
    """As of a recorder that was begun early, or writes what is latched with time 0."""
    start_ms = 3_600_000 * hours
    held = FrameTransforms("/tf", 0, 0, (FrameTransform("base", "cam", np.eye(4), 0),))
    first, broken = run([held, camera(start_ms), camera(start_ms + 20_000)], config())
    assert first.reset is None
    assert broken.reset is not None  # of sensors that have spoken


def test_a_break_is_said_also_where_no_sensor_speaks_before_the_next_one() -> None:
    late = FrameTransforms("/tf", 40_000 * MS, 40_000 * MS, ())
    samples = run([camera(7000), late, camera(80_000)], config())
    assert [sample.reset is not None for sample in samples] == [False, True]


def test_a_short_recording_in_a_loop_is_answered_each_time() -> None:
    """As of `rosbag play --loop`: every message equals one of the round before."""
    ledger = Ledger()
    played = [
        make(t, t + round_ms)
        for round_ms in (0, 3000, 6000)
        for t in range(0, 3000, 50)
        for make in (scan, camera)
        if make is scan or t % 100 == 0
    ]
    samples = run(played, config(), ledger)
    back = [s.reset.reason for s in samples if s.reset]
    assert back == [f"camera stamp went back by {seconds} s" for seconds in ("2.800", "2.900")]
    assert len([s for s in samples if s.camera.present and s.range.present]) >= 86
    ledger.finish()
    assert ledger.rows()["/camera"]["duplicate"] == 1


def test_a_message_of_the_reference_that_is_sent_again_much_later_is_a_duplicate() -> None:
    ledger = Ledger()
    frames = [camera(t) for t in range(0, 4000, 100)]
    samples = run(
        [*frames[:30], camera(0, 2950), *frames[30:35], camera(100, 3450), *frames[35:]], config(), ledger
    )
    assert len(samples) == 40
    assert all(s.reset is None for s in samples)
    assert ledger.rows()["/camera"]["duplicate"] == 2


def test_messages_of_the_reference_that_come_again_in_bursts_are_duplicates() -> None:
    """Over a second path that is slow."""
    ledger = Ledger()
    again = [camera(t, t // 500 * 500 + 2050) for t in range(0, 4000, 100)]
    frames = [camera(t) for t in range(0, 4000, 100)]
    samples = run(sorted([*frames, *again], key=lambda m: m.log_time_ns), config(), ledger)
    assert len(samples) == 40
    assert all(s.reset is None for s in samples)
    assert ledger.rows()["/camera"]["duplicate"] == 40


def test_a_reference_that_speaks_again_after_long_silence_has_not_jumped() -> None:
    readings = [status(t) for t in range(0, 15_000, 50)]
    samples = run(sorted([camera(0), *readings, camera(15_000)], key=lambda m: m.log_time_ns), config())
    assert all(s.reset is None for s in samples)
    assert samples[-1].tick.kind == "reference"


@pytest.mark.parametrize(
    ("messages", "topic", "row"),
    [
        ([camera(100), camera(0, 150)], "/camera", {"used": 1, "late": 1}),
        ([camera(100), camera(100)], "/camera", {"used": 1, "duplicate": 1}),
        ([scan(0), scan(20), camera(30)], "/scan", {"used": 1, "pending_at_end": 1}),
        ([scan(0), scan(20), camera(30), camera(130), camera(230)], "/scan", {"used": 1, "superseded": 1}),
        ([camera(0), scan(80), camera(300), camera(500)], "/scan", {"pending_at_end": 1}),
        ([camera(0), scan(80), scan(490), camera(500), camera(600)], "/scan", {"used": 1, "unmatched": 1}),
        ([camera(200), scan(100, 210), camera(300)], "/scan", {"late": 1}),
        (
            [camera(0), scan(30, 70), camera(100, 140), scan(130, 170), camera(200, 240), camera(300, 340)],
            "/scan",
            {"late": 1, "pending_at_end": 1},
        ),
        ([scan(0), camera(0), status(0, v=1.0)], "/status", {"pending_at_end": 1}),
        (
            [status(0), status(30), status(50), status(100), camera(100), camera(400), camera(800)],
            "/status",
            {"used": 3, "superseded": 1},  # the window takes those of 0, 50 and 100 ms
        ),
        ([Undecodable("/calibration", 0, 0, "broken"), camera(10)], "/calibration", {"undecodable": 1}),
        (
            [Undecodable("/tf", 0, 0, "broken"), FrameTransforms("/tf", 0, 0, ())],
            "/tf",
            {"undecodable": 1, "rig": 1},
        ),
    ],
)
def test_each_message_is_counted_in_its_row(messages: list, topic: str, row: dict[str, int]) -> None:
    ledger = Ledger()
    for sample in run(messages, config(), ledger):
        ledger.sample_done(sample, "used")
    assert ledger.rows()[topic] == row


def test_a_message_is_reported_once_and_as_soon_as_its_row_is_final() -> None:
    lines: list[tuple[int, str]] = []
    ledger = Ledger(listener=lambda topic, arrival_ns, stamp_ns, row, note: lines.append((arrival_ns, row)))
    aligner = Aligner(config(without=("range", "status")), ledger)
    for at_ms in range(0, 600, 100):
        for sample in aligner.push(camera(at_ms)):
            ledger.sample_done(sample, "used")
    assert lines == [(at_ms * MS, "used") for at_ms in range(0, 400, 100)]
    ledger.finish()
    assert [at_ns // MS for at_ns, _ in lines] == list(range(0, 600, 100))


def test_memory_is_bounded_under_garbage_stamps() -> None:
    aligner = Aligner(config())
    for t in range(0, 120_000, 50):
        aligner.push(camera(t)) if t % 100 == 0 else None
        aligner.push(scan(10**9 + t, t, tag=t))  # a clock eleven days ahead
    assert len(aligner._tracks["range"]) < 300


def test_without_a_rate_the_fault_says_where_to_get_one() -> None:
    with pytest.raises(ConfigError, match=r"reference_rate_hz.*info LOG --yaml"):
        Aligner(config(reference_rate_hz=None))


def test_a_timer_changes_nothing() -> None:
    messages = sorted(
        [camera(t) for t in range(0, 500, 100)] + [status(t) for t in range(0, 1500, 10)],
        key=lambda m: m.log_time_ns,
    )
    expected = [facts(s) for s in run(messages, config())]
    aligner, found = Aligner(config()), []
    for message in messages:
        for quarter in range(4):
            found += aligner.advance(message.log_time_ns - (4 - quarter) * MS)
        found += aligner.push(message)
    assert [facts(s) for s in found + aligner.flush()] == expected


def test_a_timer_in_a_stretch_without_messages_moves_no_substitute_tick() -> None:
    messages = [camera(0), status(10), status(1237), status(1300), status(1420)]
    ticks = [sample.tick for sample in run(messages, config())]
    aligner = Aligner(config())
    timed = aligner.push(messages[0]) + aligner.push(messages[1])
    for now_ms in (43, 333, 707, 1101):  # off the grid
        timed += aligner.advance(now_ms * MS)
    for message in messages[2:]:
        timed += aligner.push(message)
    timed += aligner.flush()
    assert [sample.tick for sample in timed] == ticks
    assert {(tick.log_time_ns // MS - 150) % 100 for tick in ticks[1:]} == {0}


def test_a_second_reference_message_of_one_stamp_makes_no_second_tick() -> None:
    ledger = Ledger()
    samples = run([camera(0), camera(0, 5, tag=1), camera(100)], config(), ledger)
    assert [sample.tick.stamp_ns for sample in samples] == [0, 100 * MS]
    assert ledger.rows()["/camera"]["late"] == 1


@pytest.mark.parametrize("arrival_ms", [2**63 / MS, (2**64 - 1) / MS])
def test_times_of_a_tick_fit_64_bits_with_sign(arrival_ms: float) -> None:
    """A log holds times up to 2**64 - 1; scores and caches keep them as int64."""
    samples = run([camera(0), scan(0), camera(100, arrival_ms), scan(100, arrival_ms)], config())
    assert len(samples) == 2
    for sample in samples:
        assert np.int64(sample.tick.log_time_ns) == sample.tick.log_time_ns
        assert np.int64(sample.tick.stamp_ns) == sample.tick.stamp_ns


def test_a_message_without_a_topic_is_an_error() -> None:
    aligner = Aligner(config())
    with pytest.raises(
        ValueError, match=r"topic: expected that of a sensor \(/.*found none; .*StatusReading"
    ):
        aligner.push(StatusReading.of(speed=3.0))
