"""What holds for any order, gap, delay and duplicate: hypothesis draws the recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.align import Aligner
from perception.align.ledger import Ledger
from perception.config import Config
from perception.types import Decoded, Sample
from tests.align.build import MS, camera, config, facts, run, scan, status


@st.composite
def recordings(draw: st.DrawFn, wild: bool = False) -> list[Decoded]:
    """Three sensors with jitter, delays, gaps and duplicates, in order of arrival."""
    messages: list[tuple[float, int, Decoded]] = []
    length = draw(st.sampled_from([600, 1500, 4000]))
    for make, period, most in ((camera, 100, 120), (scan, 50, 160), (status, 20, 60)):
        gap_start = draw(st.integers(0, length))
        gap_end = gap_start + draw(st.sampled_from([0, 0, 300, 2000]))
        delays = draw(st.lists(st.integers(0, most), min_size=3, max_size=8))
        repeats = draw(st.sets(st.integers(0, 200), max_size=3))
        offset = draw(st.integers(0, 60))
        for k, t in enumerate(range(offset, length, period)):
            if gap_start <= t < gap_end:
                continue
            arrival = t + delays[k % len(delays)]
            for again in range(1 + (k in repeats)):
                late = arrival + again * draw(st.sampled_from([0, 30, 400]))
                messages.append((late, len(messages), make(t, late)))
    if wild:
        for _ in range(draw(st.integers(0, 4))):
            arrival, stamp = draw(st.integers(0, length)), draw(st.sampled_from([-5000, 0, 700, 10**8]))
            make = draw(st.sampled_from([camera, scan, status]))
            messages.append((arrival, len(messages), make(stamp, arrival, tag=7)))
    return [message for _, _, message in sorted(messages, key=lambda m: (m[0], m[1]))]


setups = st.builds(
    lambda wait, policy, reference: config(reference, wait_ms=wait, range={"policy": policy}),
    st.sampled_from([0, 20, 70]),
    st.sampled_from(["nearest", "latest"]),
    st.sampled_from(["camera", "camera", "range"]),
)


@given(recordings(wild=True), setups)
@settings(max_examples=15, deadline=None)
def test_every_message_is_in_exactly_one_row(messages: list[Decoded], setup: Config) -> None:
    finals: list[tuple[str, int, int, str, str]] = []
    ledger = Ledger(listener=lambda *line: finals.append(line))
    for sample in run(messages, setup, ledger):
        ledger.sample_done(sample, "used")
    ledger.finish()
    counts: dict[str, int] = {}
    for message in messages:
        counts[message.topic] = counts.get(message.topic, 0) + 1
    assert {topic: sum(rows.values()) for topic, rows in ledger.rows().items()} == counts
    assert len(finals) == len(messages)
    by_line: dict[tuple[str, str], int] = {}
    for topic, _, _, row, _ in finals:
        by_line[topic, row] = by_line.get((topic, row), 0) + 1
    assert by_line == {(t, r): n for t, rows in ledger.rows().items() for r, n in rows.items()}


@given(recordings(wild=True), setups)
@settings(max_examples=15, deadline=None)
def test_no_sample_is_built_on_what_had_not_arrived(messages: list[Decoded], setup: Config) -> None:
    for sample in run(messages, setup):
        limit_ns = sample.tick.log_time_ns + round(setup.wait_ms * MS)
        assert all(entry.log_time_ns <= limit_ns for given in sample.inputs for entry in given.entries)


@given(recordings(wild=True), setups, st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_a_timer_and_one_by_one_give_the_same_as_a_batch(
    messages: list[Decoded], setup: Config, period_ms: int
) -> None:
    expected = [facts(s) for s in run(messages, setup)]
    aligner, found = Aligner(setup), []
    clock_ns = messages[0].log_time_ns if messages else 0
    for message in messages:
        while clock_ns + period_ms * MS < message.log_time_ns:
            clock_ns += period_ms * MS
            found += aligner.advance(clock_ns)
        found += aligner.push(message)
    assert [facts(s) for s in found + aligner.flush()] == expected


@given(recordings(), setups, st.integers(0, 4200))
@settings(max_examples=10, deadline=None)
def test_a_seek_equals_that_part_of_the_whole(messages: list[Decoded], setup: Config, start_ms: int) -> None:
    # The recording is placed after 30 s of an ordinary one, so that the seek really leaves something out.
    before: list[Decoded] = [
        m for t in range(-30_000, -100, 50) for m in ([camera(t)] if t % 100 == 0 else []) + [scan(t)]
    ]
    whole, start_ns = before + messages, start_ms * MS
    expected = [facts(s) for s in run(whole, setup) if s.tick.log_time_ns >= start_ns]
    topic = getattr(setup.sensors, setup.reference).topic
    last_ns = max(
        m.log_time_ns for m in whole if m.topic == topic and m.log_time_ns < max(start_ns, -100 * MS)
    )
    read_from_ns = min(start_ns, last_ns) - Aligner(setup).preroll_ns
    part = [m for m in whole if m.log_time_ns >= read_from_ns]
    assert len(part) < len(whole)
    assert [facts(s) for s in run(part, setup) if s.tick.log_time_ns >= start_ns] == expected


@given(recordings(), setups)
@settings(max_examples=15, deadline=None)
def test_policies_agree_with_a_search_over_everything_that_had_arrived(
    messages: list[Decoded], setup: Config
) -> None:
    for sample in run(messages, setup):
        if sample.tick.kind == "reference":
            _compare_with_search(sample, messages, setup)


def _compare_with_search(sample: Sample, messages: list[Decoded], setup: Config) -> None:
    """Choose again, from all messages that arrived before the tick closed, by the words of the policy."""
    stamp_ns, wait_ns = sample.tick.stamp_ns, round(setup.wait_ms * MS)
    own = getattr(setup.sensors, setup.reference).topic
    made = next(
        i for i, m in enumerate(messages)
        if m.topic == own and m.stamp_ns == stamp_ns and m.log_time_ns == sample.tick.log_time_ns
    )  # fmt: skip
    closed = next(
        (
            i
            for i, m in enumerate(messages)
            if i > made and m.log_time_ns >= sample.tick.log_time_ns + wait_ns
        ),
        len(messages),
    )
    arrived = messages[:closed]
    if setup.reference == "camera":
        scans = [m for m in arrived if m.topic == "/scan"]
        assert (sample.range.value.source if sample.range.value else None) == _search_scan(
            scans, stamp_ns, setup
        )
    readings: Any = [m for m in arrived if m.topic == "/status"]
    newest = [m for m in readings if m.stamp_ns <= stamp_ns]
    fresh = bool(newest) and stamp_ns - max(m.stamp_ns for m in newest) <= 100 * MS
    assert sample.status.present == fresh
    if sample.status.value is not None:
        expected = [_search_reading(readings, stamp_ns - (3 - k) * 50 * MS) for k in range(4)]
        np.testing.assert_array_equal(sample.status.value.values[:, 0], expected)


def _search_scan(scans: list[Any], stamp_ns: int, setup: Config) -> bytes | None:
    assert setup.sensors.range is not None
    if setup.sensors.range.policy == "latest":
        within = [m for m in scans if 0 <= stamp_ns - m.stamp_ns <= 200 * MS]
        return max(within, key=lambda m: m.stamp_ns).source if within else None
    within = [m for m in scans if abs(stamp_ns - m.stamp_ns) <= 60 * MS]
    return min(within, key=lambda m: (abs(stamp_ns - m.stamp_ns), m.stamp_ns)).source if within else None


def _search_reading(readings: list[Any], step_ns: int) -> float:
    within = [m for m in readings if 0 <= step_ns - m.stamp_ns <= 100 * MS]
    return float(max(within, key=lambda m: m.stamp_ns).values["v"]) if within else float("nan")
