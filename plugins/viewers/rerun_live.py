"""A run in the Rerun viewer while it goes on: in a window, or for a browser where there is no display."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from urllib.parse import quote

import numpy as np
import rerun as rr

from perception.errors import OutputError
from perception.sinks import Level, RunInfo
from perception.types import Output, Sample, TruthFrame
from perception_plugins.viewers.rerun_rows import ARRIVAL
from perception_plugins.viewers.rerun_sink import RerunSink

LOOPBACK = "127.0.0.1"
_STARTS_S = 60.0
_GOES_S = 10.0


class RerunViewer:
    """A viewer in a process of its own, which runs may stream to one after the other.

    A window stays when this program ends; a server for browsers ends with `close`, or with this program. Both
    listen on 127.0.0.1.

    Args:
        window: Open a window; None: where there is a display, else serve the web viewer.

    Raises:
        OutputError: The viewer does not start.
    """

    def __init__(self, window: bool | None = None) -> None:
        self.is_window = has_display() if window is None else window
        self._port, web_port = _free_port(), _free_port()
        self.url = f"rerun+http://{LOOPBACK}:{self._port}/proxy"
        self.address = (
            "" if self.is_window else f"http://{LOOPBACK}:{web_port}/?url={quote(self.url, safe='')}"
        )
        command = [_program(), "--bind", LOOPBACK, "--port", str(self._port)]
        if self.is_window:
            command += ["--expect-data-soon"]
        else:
            command += ["--serve-web", "--web-viewer-port", str(web_port), "--server-memory-limit", "50%"]
        # a pipe that nobody reads would stop the viewer once it is full
        self._said = TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
            env={**os.environ, "RERUN_APP_ONLY": "true"},
        )
        if not self.is_window:
            atexit.register(self.close)  # a notebook calls no `close`
        self._wait_for_port()

    def _wait_for_port(self) -> None:
        end_s = time.monotonic() + _STARTS_S
        while time.monotonic() < end_s and self._process.poll() is None:
            try:
                socket.create_connection((LOOPBACK, self._port), timeout=1.0).close()
                return
            except OSError:
                time.sleep(0.1)
        self.close()
        self._said.seek(0)
        last = self._said.read().decode(errors="replace").strip().splitlines()[-1:] or ["it does not answer"]
        raise OutputError(f"the Rerun viewer does not start: {last[0]}; write a file with --rerun instead")

    @property
    def is_alive(self) -> bool:
        """Return whether the process still runs: the user may have closed the window."""
        return self._process.poll() is None

    def sink(self) -> RerunViewerSink:
        """Return a sink that streams a run to this viewer."""
        return RerunViewerSink(self)

    def play_from(self, arrival_ns: int) -> None:
        """Make a window play from a moment of the recording that it shows.

        A layout can state a loop, and no time to begin at: the viewer would play up to the loop first. A
        browser cannot be told, and Rerun calls this interface experimental: without it, it does so.
        """
        if not self.is_window:
            return
        try:
            from rerun.experimental import ViewerClient
        except ImportError:
            return
        end_s = time.monotonic() + _GOES_S
        while time.monotonic() < end_s:
            with suppress(AttributeError, TypeError, OSError, RuntimeError):
                client = ViewerClient.connect(self.url)
                begin = np.datetime64(arrival_ns, "ns")
                client.set_time(ARRIVAL, timestamp=begin, play_state="playing")
                if any((shown.current_time or 0) >= arrival_ns for shown in client.get_state().recordings):
                    return
            time.sleep(0.2)  # the last rows are on their way

    def _repr_html_(self) -> str:
        """Return the web viewer as a frame, for a notebook; of a window, where it is."""
        if not self.address:
            return f"a window of the Rerun viewer shows the run ({self.url})"
        link = f'<a href="{self.address}" target="_blank">open in a tab</a>'
        return f'<iframe src="{self.address}" width="100%" height="640" style="border: 0"></iframe><br>{link}'

    def wait(self) -> None:
        """Wait until the process ends."""
        self._process.wait()

    def close(self) -> None:
        """End the process."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()


class RerunViewerSink(RerunSink):
    """Streams a run to a viewer. Once that is closed the run goes on without it."""

    def __init__(self, viewer: RerunViewer) -> None:
        super().__init__("the Rerun viewer")
        self._viewer = viewer

    def _connect(self, stream: rr.RecordingStream, run: RunInfo) -> None:
        stream.connect_grpc(self._viewer.url)

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        if self._viewer.is_alive:
            super().write(sample, output, truth, timing_ms)

    def add_values(self, topic: str, output: Output, rows: Sequence[tuple[str, str, float]]) -> None:
        if self._viewer.is_alive:
            super().add_values(topic, output, rows)

    def add_remark(self, level: Level, subject: str, text: str, log_time_ns: int, stamp_ns: int) -> None:
        if self._viewer.is_alive:
            super().add_remark(level, subject, text, log_time_ns, stamp_ns)

    def close(self) -> None:
        """Send what is left. Sending to a viewer that has gone may never end: it is left to a thread then."""
        failures: list[OutputError] = []

        def send() -> None:
            try:
                super(RerunViewerSink, self).close()
            except OutputError as error:
                failures.append(error)

        sending = Thread(target=send, name="end of the Rerun viewer", daemon=True)
        sending.start()
        while sending.is_alive() and self._viewer.is_alive:
            sending.join(0.1)
        if failures and self._viewer.is_alive:
            raise failures[0]

    def _finish(self, stream: rr.RecordingStream, begin_ns: int | None) -> None:
        stream.disconnect()
        if begin_ns is not None:
            self._viewer.play_from(begin_ns)


def has_display() -> bool:
    """Return whether a window can be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _program() -> str:
    """Return the path of the viewer that comes with the package; it need not be on PATH."""
    spec = find_spec("rerun_cli")
    folder = str(Path(spec.origin).parent) if spec is not None and spec.origin else ""
    program = shutil.which("rerun", path=folder) or shutil.which("rerun")
    if program is None:
        raise OutputError("the Rerun viewer is not installed beside its Python package; use --rerun FILE.rrd")
    return program


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
