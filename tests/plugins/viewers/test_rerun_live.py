"""The Rerun viewer: an evaluation that opens at its worst moment, a served viewer, and `result.show()`."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perception
from perception.errors import OutputError
from perception.evaluation import EvaluateOptions, evaluate_logs
from perception.plugin import discovery
from perception.sinks import make_sink
from perception_plugins.viewers import rerun_live
from perception_plugins.viewers.rerun_live import RerunViewer
from perception_tools.cli import run
from perception_tools.replay.viewing import Viewing
from tests.forked_python import ForkedPython
from tests.pipeline.memory_plugin import MANIFEST, MemoryPlugin
from tests.plugins.viewers.recording import Recording
from tests.plugins.viewers.test_rerun_sink import RUN, rows_of
from tests.scripted_scene import write_scene
from tests.small_logs import SmallLog


@pytest.fixture(autouse=True)
def _memory_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_registered", {"memory": (MANIFEST, MemoryPlugin)})


def test_an_evaluation_shows_truth_and_errors_and_begins_at_the_worst_moment(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "scene.mcap", duration_s=2.0)
    recording = tmp_path / "a.rrd"
    options = EvaluateOptions(moments=3, sinks=lambda log: [make_sink(recording)])
    config = tmp_path / "config.yaml"
    config.write_text("version: 1\nplugin: {name: memory}\n")
    report = evaluate_logs([path], config, options)
    worst = report.to_json()["moments"]
    kept = Recording(recording)
    assert any(kept.values("space/camera/truth", "Boxes2D:centers"))
    errors = kept.values("errors/boxes/error", "Scalars:scalars")
    assert len(errors) == report.to_json()["logs"][0]["frames"]
    assert 0 < np.mean(errors) <= 1
    lines = [text for _, text in kept.texts() if text.startswith("worst moments: ")]
    assert len(lines) == len(worst) > 0
    first = kept.rows["log/worst\\ moments", "TextLog:text"]
    assert (worst[0]["log_time_ns"], f"worst moments: 1: {worst[0]['what']}") in [
        (when, texts[0]) for when, texts in first
    ]
    ranges = [row for row in blueprint_ranges(recording) if row]
    assert ranges[-1][0] <= worst[0]["log_time_ns"] <= ranges[-1][1]


def blueprint_ranges(path: Path) -> list[list[int]]:
    """Return the time selections of the layouts of a recording, in order."""
    from rerun.chunk import RrdReader

    reader = RrdReader(path)
    found = []
    for entry in reader.blueprints():
        for chunk in reader.stream(store=entry):
            batch = chunk.to_record_batch()
            for name in batch.schema.names:
                if name.endswith("time_selection"):
                    values = [value for row in batch.column(name).to_pylist() for value in row or ()]
                    found += [[value["min"], value["max"]] for value in values]
    return found


@pytest.fixture(scope="module")
def viewer() -> Any:
    viewer = RerunViewer(window=False)
    yield viewer
    viewer.close()


def test_without_a_display_a_browser_on_this_machine_can_watch(viewer: RerunViewer, tmp_path: Path) -> None:
    result = perception.replay(SmallLog().sound().write(tmp_path / "a.mcap"), plugin="memory")
    result.write_to(viewer.sink())
    page = re.fullmatch(r"(http://127\.0\.0\.1:(\d+)/)\?url=(.*)", viewer.address)
    assert page
    with urllib.request.urlopen(page[1], timeout=60) as answer:
        assert answer.status == 200
        assert b"rerun" in answer.read().lower()
    ports = {f"{int(port):04X}" for port in (page[2], re.search(r":(\d+)/proxy", viewer.url)[1])}  # type: ignore[index]
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = {row[1] for row in listening if row[3] == "0A" and row[1].split(":")[1] in ports}
    assert places == {f"0100007F:{port}" for port in ports}
    assert viewer.address in viewer._repr_html_()


def test_a_result_writes_its_outputs_with_the_samples_of_its_log(tmp_path: Path) -> None:
    path = SmallLog().sound().write(tmp_path / "a.mcap")
    result = perception.replay(path, plugin="memory", start=0.5, end=1.5)
    result.write_to(make_sink(tmp_path / "again.rrd"))
    perception.replay(path, plugin="memory", start=0.5, end=1.5, write=tmp_path / "first.rrd")
    again, first = Recording(tmp_path / "again.rrd"), Recording(tmp_path / "first.rrd")
    assert len(again.values("space/camera/picture", "EncodedImage:blob")) == len(result.outputs) > 5
    for place in ("space/camera/picture", "EncodedImage:blob"), ("space/camera/boxes", "Boxes2D:centers"):
        assert again.rows[place] == first.rows[place]
    with pytest.raises(ValueError, match="does not know its log"):
        type(result)(result.summary, result.outputs).write_to(make_sink(tmp_path / "b.rrd"))


def test_show_starts_a_viewer_and_streams_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = perception.replay(SmallLog().sound().write(tmp_path / "a.mcap"), plugin="memory")

    class Stand:
        def __init__(self, window: bool | None) -> None:
            self.window = window

        def sink(self) -> Any:
            return make_sink(tmp_path / "shown.rrd")

    monkeypatch.setattr(rerun_live, "RerunViewer", Stand)
    assert result.show(window=True).window is True
    shown = Recording(tmp_path / "shown.rrd")
    assert len(shown.values("space/camera/picture", "EncodedImage:blob")) == len(result.outputs)


def test_a_viewer_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerun_live, "_program", lambda: "/bin/false")
    with pytest.raises(OutputError, match=r"the Rerun viewer does not start: .*--rerun"):
        RerunViewer(window=False)


def test_a_viewer_that_is_closed_ends_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Sending to it fails then, or never ends; what the run wrote elsewhere stays."""
    viewer, rows = RerunViewer(window=False), rows_of(6)
    sink = viewer.sink()
    sink.open(RUN)
    for row in rows[:3]:
        sink.write(*row)
    sink._stream.flush(timeout_sec=30)
    assert viewer.is_alive
    viewer._process.kill()
    viewer._process.wait()
    for row in rows[3:]:
        sink.write(*row)
    sink.add_remark("warning", "camera", "silent", 0, 0)
    sink.close()
    Viewing(viewer).hold()
    assert "the viewer was closed" in capsys.readouterr().err


def test_a_served_viewer_ends_with_the_program_that_started_it(forked_python: ForkedPython) -> None:
    program = (
        "from perception_plugins.viewers.rerun_live import RerunViewer as V; print(V(False)._process.pid)"
    )
    done = forked_python.run(program=program)
    assert not Path(f"/proc/{int(done.stdout)}").exists(), done.stderr


def test_evaluate_refuses_a_viewer_without_a_replay(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "a.mcap", "--outputs", "b.mcap", "--view"]) == 2
    assert "--view: needs a replay" in capsys.readouterr().err
