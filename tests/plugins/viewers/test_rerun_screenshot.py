"""What the Rerun viewer shows of a recording, without a display: its views, and the pixels that it paints."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="needs the extra 'rerun'")
from rerun.experimental import ViewerClient
from rerun.experimental._viewer_client import ViewerState

from perception.sinks import make_sink
from perception.sinks.palette import GREEN, RGB, SKY, VERMILION, WHITE, YELLOW
from perception_plugins.viewers.rerun_live import LOOPBACK, RerunViewer, _free_port, _program
from tests.plugins.viewers.test_rerun_sink import RUN, rows_of
from tests.sinks.build import tick_of, truth_of

T = TypeVar("T")
TIMEOUT_S = 180.0


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerClient]:
    """A viewer that paints into memory. It needs Vulkan, if only the one that computes on the processor."""
    port, said = _free_port(), tmp_path_factory.mktemp("viewer") / "said.txt"
    command = [_program(), "--headless", "--bind", LOOPBACK, "--port", str(port), "--window-size", "1280x800"]
    with said.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield until(lambda: connected(port, process, said))
    finally:
        process.kill()
        process.wait()


def connected(port: int, process: subprocess.Popen[bytes], said: Path) -> ViewerClient | None:
    """Return a client once the viewer answers; skip where it cannot paint."""
    if process.poll() is not None:
        words = said.read_text(errors="replace")
        assert "graphics adapter" in words or "render context" in words, words
        pytest.skip("needs Vulkan: apt-get install mesa-vulkan-drivers")
    try:
        viewer = ViewerClient.connect(f"rerun+http://{LOOPBACK}:{port}/proxy")
        viewer.take_screenshot(max_size=64)
    except (ConnectionError, RuntimeError, OSError):
        return None
    return viewer


def until(result: Callable[[], T | None]) -> T:
    """Return a result once there is one. On a busy machine the viewer may not answer in its 15 s."""
    end_s = time.monotonic() + TIMEOUT_S
    while True:
        with suppress(TimeoutError):
            if value := result():
                return value
        assert time.monotonic() < end_s
        time.sleep(0.1)


def opened(viewer: ViewerClient, path: Path) -> ViewerState:
    """Open a recording alone, and return the state of the viewer once it is shown without a complaint."""
    until(lambda: viewer.close("all") is not None)
    until(lambda: viewer.open(os.fspath(path)))

    def shown() -> ViewerState | None:
        viewer.take_screenshot(max_size=64)  # so that every view was painted
        state = viewer.get_state()
        complaints = [report for view in state.views for report in view.reports]
        begun = bool(state.recordings) and state.recordings[0].current_time is not None
        return state if begun and state.views and not state.loading and not complaints else None

    return until(shown)


def painted(viewer: ViewerClient, view_id: str | None = None) -> np.ndarray:
    """Return a screenshot as [H, W, 3] RGB."""
    data = np.frombuffer(until(lambda: viewer.take_screenshot(view_id)), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def darker(colour: RGB) -> RGB:
    red, green, blue = (round(0.785 * value) for value in colour)
    return red, green, blue


def share(picture: np.ndarray, colour: RGB) -> float:
    """Return the share of the pixels that have a colour."""
    return float((np.abs(picture.astype(int) - colour).max(axis=2) <= 8).mean())


def test_a_recording_is_laid_out_and_painted(viewer: ViewerClient, tmp_path: Path) -> None:
    path = tmp_path / "a.rrd"
    sink = make_sink(path)
    sink.open(RUN)
    for index, (sample, output) in enumerate(rows_of(6, silent=(3,))):
        sink.write(sample, output, truth_of(index), {"infer": 9.5})
    sink.close()
    state = opened(viewer, path)
    views = {view.name: view for view in state.views}
    assert {name: view.view_class for name, view in views.items()} == {
        "camera": "2D",
        "Scene": "3D",
        "curvature (1/m)": "TimeSeries",
        "acceleration (m/s2)": "TimeSeries",
        "Latency": "TimeSeries",
        "Inputs": "StateTimeline",
        "Age of inputs": "TimeSeries",
        "Log": "TextLog",
    }
    at = np.datetime64(tick_of(5).log_time_ns, "ns")
    until(lambda: viewer.set_time("arrival", timestamp=at, play_state="paused") is None)
    whole = painted(viewer)
    assert whole.shape == (800, 1280, 3)
    bars = painted(viewer, views["Inputs"].view_id)  # the viewer paints them darker
    assert share(bars, darker(GREEN)) > 0.2
    assert share(bars, darker(VERMILION)) > 0.01
    camera = painted(viewer, views["camera"].view_id)
    for colour in (SKY, YELLOW, WHITE):  # a car, a person, and the box of truth
        assert 1e-3 < share(camera, colour) < 0.1
    grey = [int(camera[camera.shape[0] // 2 + 20, camera.shape[1] // 2, k]) for k in range(3)]
    assert np.ptp(grey) <= 2
    assert grey[0] == pytest.approx(40 + 10 * 5, abs=3)  # the last picture
    scene = painted(viewer, views["Scene"].view_id)
    assert len(np.unique(scene.reshape(-1, 3), axis=0)) > 20  # a grid, returns, the frustum with its picture


class RunningWindow(RerunViewer):
    """The window of a viewer that somebody else started."""

    is_alive = True

    def __init__(self, url: str) -> None:
        self.url, self.is_window = url, True


def test_a_window_begins_at_the_worst_moment(viewer: ViewerClient) -> None:
    """As `evaluate --view` streams it. By its layout alone, the viewer would begin with the first frame."""
    worst = tick_of(48)
    window = RunningWindow(str(viewer.url))
    until(lambda: viewer.close("all") is not None)
    sink = window.sink()
    sink.show_moments(lambda: [(worst.log_time_ns, worst.stamp_ns, "a miss")])
    sink.open(RUN)
    for sample, output in rows_of(60):
        sink.write(sample, output)
    sink.close()
    viewer.take_screenshot(max_size=64)
    (shown,) = until(lambda: viewer.get_state().recordings)
    assert shown.current_timeline == "arrival"
    assert shown.current_time is not None
    assert abs(shown.current_time - worst.log_time_ns) <= 1_200_000_000
