"""Times that a log may say and a clock never shows: up to 2**64 - 1 ns, and gaps of centuries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.evaluation.statistics import Blocks
from perception.evaluation.streaming.worker import newest, work
from perception.evaluation.worst_frames import mean_around, separate_peaks
from perception.logs import open_log
from perception.sinks import read_outputs
from perception_tools.cli import run
from tests.small_logs import SmallLog

LAST_NS = (1 << 64) - 1
times = st.lists(st.integers(0, LAST_NS), min_size=1, max_size=30)


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """Two seconds of a log; the last messages of each topic arrive at the greatest time there is."""
    log = SmallLog().sound()
    newest_of = {topic: max(row[0] for row in log.rows if row[1] == topic) for _, topic, *_ in log.rows}
    log.rows = [(LAST_NS, *row[1:]) if row[0] == newest_of[row[1]] else row for row in log.rows]
    return log.write(tmp_path / "far.mcap")


def test_evaluate_and_compare_answer(
    far: Path, third_party: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(third_party))
    monkeypatch.chdir(far.parent)
    assert run(["replay", str(far), "--plugin", "bright_boxes", "--output", "out.mcap", "--json"]) == 0
    capsys.readouterr()
    with open_log("out.mcap") as stored:
        assert max(item.output.tick.log_time_ns for item in read_outputs(stored)) >= LAST_NS >> 1
    for words in (
        ["evaluate", str(far), "--plugin", "bright_boxes", "--slices", "all", "--latency-ms", "0,100"],
        ["evaluate", str(far), "--outputs", "out.mcap"],
        ["compare", "bright_boxes", "out.mcap", str(far)],
    ):
        ended = run([*words, "--json", "--draws", "100", "--min-support", "1"])
        printed = json.loads(capsys.readouterr().out)
        assert ended == 0, printed
        assert "error" not in printed or not printed["error"]


@given(st.lists(times, min_size=1, max_size=3), st.sampled_from([2.0, 50.0]))
def test_blocks_of_any_times_hold_each_frame_once(logs: list[list[int]], length_s: float) -> None:
    stamps = [np.array([min(t, (1 << 63) - 1) for t in log], np.int64) for log in logs]
    blocks = Blocks(stamps, length_s)
    numbers = [blocks.of(log, part) for log, part in enumerate(stamps)]
    assert sorted(set(np.concatenate(numbers).tolist())) == list(range(len(blocks)))
    for log, (part, own) in enumerate(zip(stamps, numbers, strict=True)):
        assert (blocks.log[own] == log).all()
        same = own[:, None] == own[None, :]
        assert (np.abs(part[:, None] - part[None, :])[same] <= length_s * 1e9 + 2048).all()


@given(times)
def test_means_around_any_times_lie_within_the_values(moments: list[int]) -> None:
    at = np.array(moments, np.uint64)
    values = np.random.default_rng(len(moments)).uniform(0, 1, len(moments))
    means = mean_around(at, values)
    assert ((means >= values.min() - 1e-9) & (means <= values.max() + 1e-9)).all()
    peaks = [moments[place] for place in separate_peaks(at, values, 10)]
    assert all(abs(a - b) >= 2e9 for i, a in enumerate(peaks) for b in peaks[:i])


@given(times.map(sorted), st.integers(0, 10**12))
def test_a_worker_answers_at_any_time(arrivals: list[int], latency_ns: int) -> None:
    done = work(arrivals, latency_ns)
    assert newest(done.exists_ns, LAST_NS) == len(done.taken) - 1
