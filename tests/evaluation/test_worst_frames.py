"""Errors frame by frame, and where a log was worst."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.evaluation.comparison.largest_differences import most_apart
from perception.evaluation.error_series import box_series
from perception.evaluation.log_record import LogRecord, frames_of_both
from perception.evaluation.metrics import Rules, ScoredFrame, ScoredFrames
from perception.evaluation.metrics.frame_columns import columns_of
from perception.evaluation.worst_frames import (
    BoxFrameErrors,
    Moment,
    box_frame_errors,
    box_rows,
    control_rows,
    replay_command,
)
from perception.types import Control, ControlChannel, Output, Tick, TruthFrame, invalid_output
from tests.evaluation.metrics.build import Pair, control_frame, detection, frame, tick, truth_box

BOX, FAR = (0.0, 0.0, 100.0, 100.0), (300.0, 300.0, 400.0, 400.0)
SECOND = 1_000_000_000


def rows_of(*pair) -> dict[str, float]:
    return {name: value for name, _, value in box_rows(ScoredFrame(*pair, Rules()))}


def test_rows_of_a_frame_by_hand() -> None:
    predicted = [
        detection((0, 0, 90, 100), 0.9, distance_m=12.0),
        detection((0, 300, 50, 350), 0.8),
        detection(FAR, 0.2),
    ]
    rows = rows_of(*frame(predicted, [truth_box(BOX), truth_box(FAR)]))
    assert rows == pytest.approx(
        {"missed": 1, "false_alarms": 1, "IoU": 0.9, "distance_abs": 2.0, "error": 1 - 2 / 4}
    )


def test_ignore_regions_are_no_errors() -> None:
    rows = rows_of(*frame([detection(FAR)], [truth_box(FAR, visible=0.1)]))
    assert rows == {"missed": 0, "false_alarms": 0, "error": 0}


def test_frames_that_are_not_scored_have_no_rows_and_invalid_ones_say_so() -> None:
    output, truth = frame([detection(BOX)], [truth_box(BOX)])
    assert rows_of(output, TruthFrame(0)) == {}
    assert rows_of(invalid_output(tick(), ("class", "box"), "x"), truth) == {"invalid": 1, "error": 1}
    assert control_rows(invalid_output(tick(), ("control",), "x"), TruthFrame(0, None, {"a": 1.0})) == [
        ("invalid", "", 1.0)
    ]
    assert control_rows(output, TruthFrame(0, None, {"a": 1.0})) == []


def test_control_rows_are_said_less_true_in_the_channels_unit() -> None:
    assert control_rows(*control_frame(3.0, 1.0)) == [("curvature", "1/m", 2.0)]
    assert control_rows(*control_frame(float("nan"), 1.0)) == []
    head = Control(True, channels=(ControlChannel("unknown", "", 1.0, 1.0),))
    assert control_rows(Output(tick(), None, head), TruthFrame(0, None, {"a": 1.0})) == []


def add(record: LogRecord, *pairs: Pair) -> None:
    frames = ScoredFrames(columns_of(pairs), Rules())
    record.add(frames, box_frame_errors(frames))


def moments_of(errors: np.ndarray, hz: float = 10.0, cameras: int = 1) -> LogRecord:
    """A log whose frames have these box errors; those of several cameras at one time."""
    moments = LogRecord("drive.mcap", start_ns=0)
    stamps = [int(index // cameras / hz * SECOND) for index in range(len(errors))]
    ticks = [Tick(index, "reference", stamp, stamp) for index, stamp in enumerate(stamps)]
    pairs = [(Output(tick, None, None), TruthFrame(tick.stamp_ns)) for tick in ticks]
    none = np.zeros(len(errors), int)
    known = BoxFrameErrors((errors * 3).astype(int), none, errors * np.nan, errors * np.nan, errors)
    moments.add(ScoredFrames(columns_of(pairs), Rules()), known)
    return moments


def test_a_long_failure_is_worse_than_a_flicker() -> None:
    errors = np.zeros(200)
    errors[30] = 1.0
    errors[100:115] = 0.6
    first, second, *none = moments_of(errors).worst()
    assert 10.0 <= first.at_s <= 11.5
    assert abs(second.at_s - 3.0) <= 0.5
    assert first.error == pytest.approx(0.6)
    assert not none  # frames without error are no bad moments


def test_the_frames_of_several_cameras_share_the_time_between_ticks() -> None:
    one, six = (moments_of(np.zeros(60), cameras=cameras) for cameras in (1, 6))
    assert one.period_s == pytest.approx(0.1)
    assert six.period_s == pytest.approx(0.1 * 9 / 59)
    assert moments_of(np.zeros(6), cameras=6).period_s is None


def test_a_comparison_looks_at_every_camera_of_a_rig() -> None:
    """Only the second of two cameras is worse, three seconds in."""
    errors = np.zeros(120)
    worse = errors.copy()
    worse[61::2][:4] = 0.8
    a, b = moments_of(errors, cameras=2), moments_of(worse, cameras=2)
    (moment,) = most_apart([a], [b], 10, lambda moment, side: "")
    assert moment.at_s == pytest.approx(3.0, abs=0.6)
    assert moment.difference > 0.1
    (series,) = box_series([[a], [b]])[0]
    assert series.sum() == pytest.approx(3.2)


@given(st.lists(st.integers(0, 5), max_size=12), st.lists(st.integers(0, 5), max_size=12))
def test_frames_of_both_are_all_that_have_a_partner_of_their_stamp(a: list[int], b: list[int]) -> None:
    records = []
    for stamps in (a, b):
        records.append(LogRecord("drive.mcap"))
        if stamps:
            add(records[-1], *(frame([], [], stamp_ns=stamp) for stamp in stamps))
    at_a, at_b = frames_of_both(*records)
    assert [a[i] for i in at_a] == [b[i] for i in at_b] == sorted((Counter(a) & Counter(b)).elements())
    assert len(set(at_a)) == len(at_a)
    assert len(set(at_b)) == len(at_b)


def test_moments_are_apart_and_no_more_than_asked_for() -> None:
    found = moments_of(np.random.default_rng(0).uniform(0, 1, 600)).worst(10)
    assert len(found) == 10
    assert [moment.error for moment in found] == sorted((m.error for m in found), reverse=True)
    times = sorted(moment.at_s for moment in found)
    assert min(np.diff(times)) >= 2.0


def test_control_counts_against_what_is_usual_for_its_channel() -> None:
    moments = LogRecord("drive.mcap")
    for index in range(100):
        stamp_ns = index * SECOND // 10
        output, truth = control_frame(0.002 if 50 <= index < 60 else 0.0001, 0.0, stamp_ns=stamp_ns)
        output = replace(output, tick=Tick(index, "reference", stamp_ns, stamp_ns))
        add(moments, (output, truth))
    first = moments.worst(1)[0]
    assert 5.0 <= first.at_s < 6.0
    assert first.what == "curvature +0.002"


def test_an_invalid_control_head_is_a_whole_error() -> None:
    moments = LogRecord("drive.mcap")
    for index in range(30):
        output = Output(tick(index * SECOND), None, None)
        if index == 9:
            output = invalid_output(output.tick, ("control",), "x")
        add(moments, (output, TruthFrame(index * SECOND, None, {"a": 1.0})))
    (only,) = moments.worst()
    assert (only.error, only.what) == (1.0, "control invalid")


def test_a_log_without_frames_has_no_moments() -> None:
    assert LogRecord("empty.mcap").worst() == []


def test_the_command_of_a_drive_names_its_files() -> None:
    moment = Moment("a_0.mcap + my a_1.mcap", 3.0, 0, 0, 1.0, "")
    expected = "perception replay a_0.mcap 'my a_1.mcap' --as-one --plugin x --start 2.000 --end 4.500"
    assert replay_command(moment, ["--plugin", "x"], 0.5) == expected
