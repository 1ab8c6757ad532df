"""The public door of the sinks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import perception.sinks
from perception.sinks import JsonlSink, McapSink, RunInfo, Sink, VideoSink
from tests.sinks.build import output_of, sample_of, truth_of


def test_every_promised_name_is_there() -> None:
    assert all(getattr(perception.sinks, name) is not None for name in perception.sinks.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = perception.sinks.Nothing


def test_writing_a_log_needs_neither_opencv_nor_torch() -> None:
    """A converter or a small robot has neither in memory."""
    code = "import sys, perception.sinks; print(sorted({'cv2', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("kind", "suffix"), [(McapSink, "mcap"), (JsonlSink, "jsonl"), (VideoSink, "webm")])
def test_every_sink_keeps_the_protocol(tmp_path: Path, kind: type, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    path.write_bytes(b"what was there before")
    sink: Sink = kind(path)
    sink.close()  # without open
    sink.open(RunInfo())
    sink.write(sample_of(0), output_of(0))
    sink.write(sample_of(1), output_of(1), truth_of(1), {"step": 1.0})
    sink.close()
    sink.close()
    content = path.read_bytes()
    assert len(content) > 300
    assert b"what was there before" not in content
