"""A sink is chosen by the suffix of its file, also one of another package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception.errors import OutputError
from perception.sinks import JsonlSink, McapSink, RunInfo, TakesInputs, VideoSink, draw, make_sink
from tests.sinks.build import output_of, sample_of

SINK = '''
"""Writes the number of detections of each tick as CSV."""
class CsvSink:
    def __init__(self, path):
        self.path = path
    def open(self, run):
        self.file = self.path.open("w")
    def write(self, sample, output, truth=None, timing_ms=None):
        self.file.write(f"{output.tick.index},{len(output.detections.items)}\\n")
    def close(self):
        self.file.close()
'''


def install(folder: Path, value: str) -> None:
    info = folder / "csv_sink-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: csv-sink\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[perception.sinks]\ncsv = {value}\n")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mcap", McapSink),
        ("a.outputs", McapSink),
        ("a", McapSink),
        ("a.jsonl", JsonlSink),
        ("a.MP4", VideoSink),
        ("a.webm", VideoSink),
    ],
)
def test_the_suffix_chooses_the_sink(name: str, kind: type) -> None:
    sink = make_sink(Path(name))
    assert type(sink) is kind
    assert isinstance(sink, TakesInputs) == (kind is McapSink)


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet", "a.avi"])
def test_a_suffix_that_no_sink_has_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(OutputError, match=r"no sink writes \.\w+ files; .*\.jsonl, \.mcap, \.mp4, .*: a"):
        make_sink(Path(name))


def test_a_suffix_can_be_named_in_place_of_the_file_s() -> None:
    assert type(make_sink(Path("/dev/stdout"), "jsonl")) is JsonlSink


def test_a_sink_of_another_package_is_one_file_and_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "csv_sink_code.py").write_text(SINK)
    install(tmp_path, "csv_sink_code:CsvSink")
    monkeypatch.syspath_prepend(tmp_path)
    sink = make_sink(tmp_path / "counts.csv")
    sample, output = sample_of(0), output_of(0)
    assert output.detections is not None
    sink.open(RunInfo())
    sink.write(sample, output)
    sink.close()
    expected = f"{output.tick.index},{len(output.detections.items)}\n"
    assert (tmp_path / "counts.csv").read_text() == expected


def test_a_sink_that_does_not_load_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "no_such_module:Sink")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OutputError, match="the sink 'csv' does not load: no_such_module:Sink"):
        make_sink(tmp_path / "a.csv")


def test_draw_gives_the_recorded_picture_with_the_output_over_it() -> None:
    sample, output = sample_of(0), output_of(0)
    frame = draw(sample, output)
    assert frame.dtype == np.uint8
    assert frame.shape[2] == 3
    assert not np.array_equal(frame, draw(sample, output, min_score=2.0))
