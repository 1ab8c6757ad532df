"""The videos play, and seek, in a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from perception.sinks import RunInfo
from perception.sinks.video import VideoSink
from tests.sinks.build import output_of, sample_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

PAGE = """<!doctype html><video id=v muted src="/video"></video><canvas id=c></canvas><script>
const v = document.getElementById("v"), c = document.getElementById("c");
const say = body => fetch("/result", {method: "POST", body: JSON.stringify(body)});
const once = name => new Promise(done => v.addEventListener(name, done, {once: true}));
v.onerror = () => say({error: v.error.message});
async function grey(before) {  // of the picture, away from everything that is drawn
  for (let tries = 0; ; tries++) {  // a picture that was sought is painted a little later on a busy machine
    c.width = v.videoWidth; c.height = v.videoHeight;
    const g = c.getContext("2d"); g.drawImage(v, 0, 0);
    const pixel = Array.from(g.getImageData(500, 420, 1, 1).data);
    if ((pixel[3] == 255 && pixel[0] != before) || tries == 50) return pixel;
    await new Promise(done => setTimeout(done, 100));
  }
}
(async () => {
  await once("canplay");
  v.currentTime = 0.05;  // a picture that was not asked for may not be painted yet
  await once("seeked");
  const first = {width: v.videoWidth, height: v.videoHeight, duration: v.duration, grey: await grey(-1)};
  v.currentTime = 1.25;
  await once("seeked");
  const sought = {time: v.currentTime, ready: v.readyState, grey: await grey(first.grey[0])};
  const moved = once("timeupdate");
  await v.play(); await moved;
  await new Promise(done => setTimeout(done, 300));
  say({...first, sought, played: v.currentTime, dropped: v.getVideoPlaybackQuality().droppedVideoFrames});
})();
</script>"""


class _Handler(BaseHTTPRequestHandler):
    video: bytes
    kind: str
    results: Queue[dict[str, Any]]

    def do_GET(self) -> None:
        body, kind = (self.video, self.kind) if self.path == "/video" else (PAGE.encode(), "text/html")
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").split("-")[0] or 0) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(body[start:])

    def do_POST(self) -> None:
        self.results.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing: the test says what went wrong."""


@pytest.fixture(params=["mp4", "webm"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two seconds at 10 Hz."""
    path = tmp_path / f"run.{request.param}"
    sink = VideoSink(path)
    sink.open(RunInfo(reference_rate_hz=10.0))
    for index in range(20):
        sink.write(sample_of(index), output_of(index))
    sink.close()
    return path


@pytest.fixture
def results(video: Path, tmp_path: Path) -> Iterator[Queue[dict[str, Any]]]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    found: Queue[dict[str, Any]] = Queue()
    kind = {".mp4": "video/mp4", ".webm": "video/webm"}[video.suffix]
    handler = type("Handler", (_Handler,), {"video": video.read_bytes(), "kind": kind, "results": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--autoplay-policy=no-user-gesture-required"]
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    log = (tmp_path / "browser.log").open("wb")
    browser = subprocess.Popen([CHROMIUM, *flags, address], stdout=log, stderr=log)
    yield found
    browser.terminate()
    browser.wait(20)
    server.shutdown()
    server.server_close()
    log.close()


@pytest.mark.browser
def test_video_plays_and_seeks_in_chromium(results: Queue[dict[str, Any]]) -> None:
    try:
        found = results.get(timeout=60)
    except Empty:
        pytest.fail("the browser reported nothing within 60 s")
    assert "error" not in found, found
    assert (found["width"], found["height"]) == (640, 540)
    assert found["duration"] == pytest.approx(2.0, abs=0.11)
    assert found["sought"]["ready"] >= 2
    assert found["sought"]["time"] == pytest.approx(1.25, abs=0.01)
    assert found["played"] > 1.25
    # build.jpeg_of: frame k is grey 40 + 10 k; at 1.25 s that is frame 12
    assert found["grey"][:3] == pytest.approx([40, 40, 40], abs=6)
    assert found["sought"]["grey"][:3] == pytest.approx([160, 160, 160], abs=6)
