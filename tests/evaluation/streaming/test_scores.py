"""The single worker against one that goes millisecond by millisecond, and scores that count its latency."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.autoconfig import complete_config
from perception.evaluation import EvaluateOptions, Evaluation, OutputStore, Streaming, truths_of, work
from perception.evaluation.metrics import Rules
from perception.evaluation.streaming.scores import without_details
from perception.evaluation.streaming.worker import newest
from perception.logs import Query, open_log
from perception.logs.perception_proto import SCHEMAS, encode_truth
from perception.pipeline.log_source import Span
from perception.sinks import read_outputs
from perception.types import (
    Control,
    ControlChannel,
    Detection,
    Detections,
    Output,
    Tick,
    TruthBox,
    invalid_output,
)
from tests.evaluation.oracle import Oracle, Truth
from tests.small_logs import START_NS, SmallLog

RULES = Rules(min_support=5)
ARRIVALS = st.lists(st.integers(0, 60), min_size=0, max_size=14).map(sorted)


def slowly(arrivals: list[int], latency: int) -> tuple[list[int], list[int]]:
    """The same worker, moment by moment: what is done, what begins, what arrives."""
    taken: list[int] = []
    exists: list[int] = []
    done_at, waiting = None, None
    for now in range(max(arrivals, default=0) + (latency + 1) * (len(arrivals) + 1)):
        if done_at is not None and done_at <= now:
            done_at = None
        if done_at is None and waiting is not None:
            taken.append(waiting)
            exists.append(now + latency)
            done_at, waiting = now + latency, None
        for index in (i for i, arrival in enumerate(arrivals) if arrival == now):
            if done_at is None or done_at <= now:
                taken.append(index)
                exists.append(now + latency)
                done_at = now + latency
            else:
                waiting = index
    return taken, exists


@given(arrivals=ARRIVALS, latency=st.integers(1, 40))
def test_the_worker_is_that_of_the_slow_reference(arrivals: list[int], latency: int) -> None:
    found = work(arrivals, latency)
    assert (found.taken.tolist(), found.exists_ns.tolist()) == slowly(arrivals, latency)


@given(arrivals=ARRIVALS, latency=st.integers(0, 40))
def test_what_a_worker_must_obey(arrivals: list[int], latency: int) -> None:
    taken, exists = work(arrivals, latency)
    assert list(taken) == sorted(set(taken))
    assert all(b - a >= latency for a, b in pairwise(exists.tolist()))
    assert all(e >= arrivals[i] + latency for i, e in zip(taken.tolist(), exists.tolist(), strict=True))
    if arrivals:  # the newest is never skipped
        assert taken[-1] == len(arrivals) - 1
    gaps = all(b - a >= latency for a, b in pairwise(arrivals))
    if gaps or latency == 0:  # nobody ever waits: each output exists at its arrival plus the latency
        assert taken.tolist() == list(range(len(arrivals)))
        assert exists.tolist() == [a + latency for a in arrivals]


@given(arrivals=ARRIVALS, at=st.integers(-1, 120), latency=st.integers(0, 40))
def test_the_newest_output_is_the_last_that_exists_by_then(
    arrivals: list[int], at: int, latency: int
) -> None:
    exists = work(arrivals, latency).exists_ns
    by_hand = [place for place, moment in enumerate(exists.tolist()) if moment <= at]
    assert newest(exists, at) == (by_hand[-1] if by_hand else -1)


def test_a_busy_worker_keeps_only_the_newest_tick() -> None:
    #              0 taken; 10, 20 skipped; 30 waits until 35; 40, 50, 60 skipped; 65 waits until 70
    found = work([0, 10, 20, 30, 40, 50, 60, 65], 35)
    assert found.taken.tolist() == [0, 3, 7]
    assert found.exists_ns.tolist() == [35, 70, 105]


def test_a_store_gives_back_what_it_was_given() -> None:
    store = OutputStore()
    box = Detection("car", 1 / 3, (0.1, 0.2, 3.3, 4.4), (0.1, 0.2, 0.3, 0.4), 12.3, 0.7, 1.0, "7")
    outputs = [
        Output(Tick(0, "reference", 5, 9), Detections(True, ("camera",), items=(box,)), None),
        Output(
            Tick(1, "substitute", 6, 10),
            None,
            Control(True, ("status",), channels=(ControlChannel("curvature", "1/m", 1 / 7, 0.1),)),
        ),
        invalid_output(Tick(2, "reference", 7, 11), ("class", "control"), "no sensor"),
        Output(Tick(3, "reference", 8, 12), None, None),
    ]
    for output in outputs:
        store.add(output)
    assert [store.get(i) for i in (3, 0, 2, 1)] == [outputs[i] for i in (3, 0, 2, 1)]
    assert store.arrivals_ns == [9, 10, 11, 12]
    store.close()


@pytest.fixture(scope="module")
def kept(street: Path, truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of an oracle, stored."""
    path = tmp_path_factory.mktemp("kept") / "kept.mcap"
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    with open_log(street) as log:
        evaluation.replay(log, complete_config(log).config, lambda: Oracle(truth), path)
    return path


def streamed(street: Path, kept: Path, latency_ms: float) -> object:
    streaming = Streaming()
    with open_log(street) as log, open_log(kept) as stored:
        streaming.add(log, complete_config(log).config, (item.output for item in read_outputs(stored)))
    found = streaming.report(latency_ms, RULES)
    streaming.close()
    return found


def test_every_truth_of_the_log_is_one_moment(street: Path, truth: Truth) -> None:
    with open_log(street) as log:
        found = list(truths_of(log, complete_config(log).config))
    assert [t.stamp_ns for t in found] == sorted(truth.boxes)
    assert [t.boxes for t in found] == [truth.boxes[stamp] for stamp in sorted(truth.boxes)]
    assert all(t.control == truth.control[t.stamp_ns] for t in found)


def test_a_part_of_the_log_is_scored_on_the_truth_of_that_part(
    street: Path, truth: Truth, kept: Path
) -> None:
    """Else what lies outside it would be held against answers that are seconds old."""
    stamps = sorted(truth.boxes)
    with open_log(street) as log:
        config = complete_config(log).config
        arrivals = [m.log_time_ns for m in log.messages(Query(frozenset({config.truth.boxes or ""})))]
        span = Span(arrivals[len(arrivals) // 3], arrivals[len(arrivals) // 2])
        found = list(truths_of(log, config, span))
        assert [t.stamp_ns for t in found] == stamps[len(arrivals) // 3 : len(arrivals) // 2]
        assert [t.boxes for t in found] == [truth.boxes[t.stamp_ns] for t in found]
        streaming = Streaming()
        with open_log(kept) as stored:
            outputs = [item.output for item in read_outputs(stored)]
        within = [output for output in outputs if span.holds(output.tick.log_time_ns)]
        streaming.add(log, config, within, span)
    report = streaming.report(0.0, RULES)
    streaming.close()
    assert report.truths == len(found)
    assert report.age_ms["p99"] < 500


def test_at_latency_0_each_truth_meets_the_output_that_had_arrived_by_then(
    street: Path, truth: Truth, kept: Path
) -> None:
    found = streamed(street, kept, 0.0)
    with open_log(kept) as stored:
        ticks = [item.output.tick for item in read_outputs(stored)]
    stamps = sorted(truth.boxes)
    errors, ages, unanswered = [], [], 0
    for stamp in stamps:
        arrived = [tick for tick in ticks if tick.log_time_ns <= stamp]
        if not arrived:
            unanswered += 1
            continue
        predicted = min(
            stamps, key=lambda s: abs(s - arrived[-1].stamp_ns)
        )  # the oracle says the truth of then
        errors.append(abs(truth.control[predicted]["acceleration"] - truth.control[stamp]["acceleration"]))
        ages.append((stamp - arrived[-1].stamp_ns) / 1e6)
    assert (found.truths, found.unanswered, found.skipped) == (len(stamps), unanswered, 0)
    assert found.age_ms["p50"] == pytest.approx(np.median(ages))
    values = found.heads["control"]["control_errors"].values
    assert values["MAE/acceleration"].value == pytest.approx(np.mean(errors))
    assert values["MAE/acceleration"].support == len(errors)
    assert found.heads["control"]["control_errors"].frames["invalid"] == unanswered


def test_later_answers_score_no_better_and_the_ordinary_scores_are_an_upper_bound(
    street: Path, kept: Path
) -> None:
    curve = [streamed(street, kept, latency) for latency in (0.0, 150.0, 600.0)]
    errors = [one.heads["control"]["control_errors"].values["MAE/acceleration"].value for one in curve]
    assert 0 < errors[0] < errors[1] < errors[2]
    boxes = [one.scores["box"] for one in curve]
    assert 1 > boxes[0] > boxes[2]
    assert [one.skipped > 0 for one in curve] == [False, True, True]
    slim = without_details(curve[0])
    assert slim.scores == curve[0].scores
    assert all(not metric.details for head in slim.heads.values() for metric in head.values())


def test_a_given_latency_gives_the_same_numbers_from_a_replay_and_from_its_stored_outputs(
    street: Path, truth: Truth, kept: Path
) -> None:
    streaming = Streaming()
    evaluation = Evaluation(EvaluateOptions(rules=RULES))
    with open_log(street) as log:
        config = complete_config(log).config
        beside = [streaming.collector(log, config)]
        evaluation.replay(log, config, lambda: Oracle(truth), beside=beside)
    assert streaming.report(137.5, RULES) == streamed(street, kept, 137.5)


@pytest.mark.parametrize("latency_ms", [-1.0, float("nan"), float("inf")])
def test_a_latency_that_is_none_is_refused(latency_ms: float) -> None:
    with pytest.raises(ValueError, match="from 0 ms"):
        Streaming().report(latency_ms, RULES)


def test_each_camera_of_a_rig_is_scored(tmp_path: Path) -> None:
    log = SmallLog().image("/a/image", frame="one").image("/b/image", frame="two")
    boxes = {"one": (10.0, 10.0, 30.0, 30.0), "two": (20.0, 5.0, 60.0, 45.0)}
    for frame, xyxy in boxes.items():
        held = [TruthBox("car", xyxy, 5.0, 1.0, "1")]
        log.stream(
            f"/truth/{frame}",
            SCHEMAS["perception.Detections"],
            "protobuf",
            lambda i, stamp, frame=frame, held=held: encode_truth(stamp, frame, held),  # type: ignore[misc]
        )
    path = log.write(tmp_path / "rig.mcap")
    with open_log(path) as opened:
        config = complete_config(opened).config
        assert set(config.truth.camera_boxes) == {"a", "b"}
        for right, expected in ((True, (40, 40)), (False, (40, 20))):
            parts = {
                name: Detections(True, (name,), items=(Detection("car", 0.9, xyxy, (1.0,) * 4, 5.0, 1.0),))
                for name, xyxy in zip("ab", boxes.values() if right else [boxes["one"]] * 2, strict=True)
            }
            ticks = [
                Tick(k, "reference", START_NS + k * 100_000_000, START_NS + k * 100_000_000)
                for k in range(20)
            ]
            outputs = [Output(tick, parts["a"], None, cameras=parts) for tick in ticks]
            streaming = Streaming()
            streaming.add(opened, config, outputs)
            found = streaming.report(0, RULES)
            streaming.close()
            values = found.heads["box"]["box_errors"].values
            matched = next(value.support for name, value in values.items() if name.startswith("IoU"))
            assert (found.truths, matched) == (20, expected[1])
