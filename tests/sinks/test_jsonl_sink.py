"""JSON lines: one object a tick, always valid JSON, on the disk at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import OutputError
from perception.sinks import JsonlSink, RunInfo
from perception.sinks.jsonl_sink import as_row
from perception.types import Control, ControlChannel, Detection, Detections, Output, invalid_output
from tests.forked_python import ROOT, ForkedPython
from tests.sinks.build import output_of, sample_of, tick_of

GOLDEN = (
    '{"tick": {"index": 2, "kind": "substitute", "stamp_ns": 1700000000323456789, '
    '"log_time_ns": 1700000000330456789}, "detections": {"valid": true, "based_on": ["range", "status"], '
    '"error": "", "position_frame": "", '
    '"items": [{"label": "car", "score": 0.9, "xyxy": [40.0, 60.0, 120.0, 160.0], '
    '"box_std": [1.0, 2.0, 3.0, 4.0], "distance_m": 14.5, "distance_std_m": 0.75, "visible": 0.8, '
    '"track_id": "t1", "position_m": null, "position_cov_m2": null, "position_unknown": "not_stated"}]}, '
    '"control": null, "inputs": {"camera": {"topic": "/camera/image", "present": false, '
    '"stamp_ns": null, "age_ms": null, "absence": "silent", "reason": "silent for 150 ms"}, "range": '
    '{"topic": "/scan", "present": true, "stamp_ns": 1700000000311456789, "age_ms": 12.0, '
    '"absence": null, "reason": ""}, "status": '
    '{"topic": "/vehicle/state", "present": true, "stamp_ns": 1700000000323456789, "age_ms": 0.0, '
    '"absence": null, "reason": ""}}, "warnings": {"input_range": "far"}}\n'
)


def test_golden_line(tmp_path: Path) -> None:
    output = output_of(2, "substitute")
    assert output.detections is not None
    one = replace(
        output, detections=replace(output.detections, items=output.detections.items[:1]), control=None
    )
    sink = JsonlSink(tmp_path / "out.jsonl")
    sink.open(RunInfo())
    sink.write(sample_of(2, "substitute"), one, None, {"step": 3.0})
    sink.close()
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == GOLDEN


def test_timing_is_kept_only_when_asked_for(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "out.jsonl", timing=True)
    sink.open(RunInfo())
    sink.write(sample_of(0), output_of(0), None, {"decode": 1.25, "step": float("nan")})
    sink.close()
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row["timing_ms"] == {"decode": 1.25, "step": None}


numbers = st.floats(width=32)
labels = st.text(max_size=8)
detections = st.builds(
    Detection,
    labels,
    numbers,
    st.tuples(*[numbers] * 4),
    st.tuples(*[numbers] * 4),
    numbers,
    numbers,
    numbers,
)
outputs = st.builds(
    Output,
    st.just(tick_of(0)),
    st.none() | st.builds(Detections, st.booleans(), items=st.lists(detections, max_size=3).map(tuple)),
    st.none()
    | st.builds(
        Control,
        st.booleans(),
        error=labels,
        channels=st.lists(st.builds(ControlChannel, labels, labels, numbers, numbers), max_size=2).map(tuple),
    ),
)


@given(outputs)
def test_any_output_is_strict_json_on_one_line(output: Output) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    text = json.dumps(as_row(sample_of(0), output), allow_nan=False)
    assert "\n" not in text
    row = json.loads(text, parse_constant=refuse)
    assert list(row) == ["tick", "detections", "control", "inputs", "warnings"]
    for found, item in zip(
        (row["detections"] or {"items": []})["items"], getattr(output.detections, "items", ()), strict=True
    ):
        kept = item.distance_m if abs(item.distance_m) < float("inf") else None
        assert found["distance_m"] == kept


def test_invalid_heads_carry_their_error() -> None:
    row = as_row(sample_of(0), invalid_output(tick_of(0), ("control",), "KeyError: 'x'"))
    assert row["detections"] is None
    assert row["control"] == {"valid": False, "based_on": [], "error": "KeyError: 'x'", "channels": {}}


def test_equal_outputs_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        sink = JsonlSink(tmp_path / name)
        sink.open(RunInfo())
        for index in range(5):
            sink.write(sample_of(index), output_of(index), None, {"step": index + ord(name)})
        sink.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


KILLED = """
import sys
from perception.sinks import JsonlSink, RunInfo
from tests.sinks.build import output_of, sample_of
sink = JsonlSink(sys.argv[1])
sink.open(RunInfo())
for index in range(1000000):
    sink.write(sample_of(0), output_of(0))
    print(index + 1, flush=True)
"""


def test_killed_writer_keeps_every_line(tmp_path: Path, forked_python: ForkedPython) -> None:
    path = tmp_path / "out.jsonl"
    process = forked_python.start(path, program=KILLED, cwd=ROOT)
    assert process.stdout is not None
    said = 0
    for line in process.stdout:
        said = int(line)
        if said == 200:
            break
    process.kill()
    lines = path.read_text(encoding="utf-8").split("\n")
    assert len(lines) - 1 >= said
    assert all(json.loads(line)["tick"]["index"] == 0 for line in lines[:-1])


def test_faults_are_one_line_and_name_the_path(tmp_path: Path) -> None:
    source = tmp_path / "in.mcap"
    source.write_bytes(b"precious")
    for path, words in (
        (tmp_path / "no" / "x", "make it first"),
        (tmp_path, "folder"),
        (source, "being read"),
    ):
        with pytest.raises(OutputError, match=words) as caught:
            JsonlSink(path).open(RunInfo(input=source))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert source.read_bytes() == b"precious"
    with pytest.raises(OutputError, match="not open"):
        JsonlSink(tmp_path / "x").write(sample_of(0), output_of(0))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_an_output_error() -> None:
    sink = JsonlSink("/dev/full")
    sink.open(RunInfo())
    with pytest.raises(OutputError, match=r"no space left.*: /dev/full$"):
        sink.write(sample_of(0), output_of(0))
    sink.close()
    sink.close()
