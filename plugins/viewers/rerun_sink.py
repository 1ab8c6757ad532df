"""A run as a Rerun recording: a sink for files (`.rrd`), and the base of the one that shows it live."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from perception.config import parse_config
from perception.config.safe_yaml import parse_yaml
from perception.errors import ConfigError, MissingExtraError, OutputError
from perception.path_guard import marked
from perception.sinks import Level, RunInfo
from perception.sinks.mcap_sink import HEALTH as HEALTH_TOPIC
from perception.sinks.protocol import refuse_input
from perception.types import Output, Sample, TruthFrame, camera_views

try:
    import rerun as rr

    from perception_plugins.viewers import rerun_blueprint as layout
    from perception_plugins.viewers.remarks import RemarksOfRun
    from perception_plugins.viewers.rerun_camera import CameraRows
    from perception_plugins.viewers.rerun_rows import RecordingRows, When, path_part
    from perception_plugins.viewers.rerun_series import SeriesRows
    from perception_plugins.viewers.rerun_space import SpaceRows, camera_path
except ModuleNotFoundError as error:
    if error.name not in ("rerun", "rerun_bindings"):
        raise
    raise MissingExtraError("a Rerun recording", "rerun") from error

APPLICATION = "perception-replay"
"""How the names of our applications begin. A viewer has one layout for each application that it knows."""
_END = b"RRF2FOOT"
_AROUND_NS = 1_000_000_000
_LEVELS: Mapping[Level, str] = {"info": "INFO", "warning": "WARN", "error": "ERROR"}


class RerunRows:
    """Writes the outputs of one run to a recording stream: the part that files and live viewers share.

    Args:
        stream: Where the rows go.
        run: The record of the run.
        min_score: Detections below it are not shown.
    """

    def __init__(self, stream: rr.RecordingStream, run: RunInfo, min_score: float) -> None:
        self._rows, self._run, self._min_score = RecordingRows(stream), run, min_score
        self._cameras: dict[str, CameraRows] = {}
        self._series, self._remarks = SeriesRows(self._rows), RemarksOfRun()
        self._space = SpaceRows(self._rows, _base_frame(run), run.classes, min_score)
        self._scored = self._watched = False
        self._shown: layout.Shown | None = None
        self._opened = False
        self._span_ns: tuple[int, int] | None = None
        stream.send_recording_name(run.input.name if run.input is not None else "replay")
        facts = {key: text for key, text in run.to_metadata().items() if key != "config"}
        stream.send_property("run", rr.DynamicArchetype("perception.Run", components=facts))

    def add(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None,
        timing_ms: Mapping[str, float] | None,
    ) -> None:
        """Add one output with its sample."""
        when, views = When.of(output.tick), list(camera_views(sample, output, truth))
        first_ns, last_ns = self._span_ns or (when.arrival_ns, when.arrival_ns)
        self._span_ns = min(first_ns, when.arrival_ns), max(last_ns, when.arrival_ns)
        self._open(when)
        for view in views:
            if view.camera not in self._cameras:
                entity, classes = camera_path(view.camera), self._run.classes
                self._cameras[view.camera] = CameraRows(self._rows, entity, classes, self._min_score)
            if problem := self._cameras[view.camera].add(when, view):
                self.remark("warning", view.camera, f"the picture cannot be shown: {problem}", when)
        for text in self._space.add(when, sample, views):
            self.remark("warning", "scene", text, when)
        self._series.add(when, sample, output, truth, timing_ms)
        for level, subject, text in self._remarks.of(sample, output, truth):
            self.remark(level, subject, text, when)
        self._lay_out()
        self._rows.settle()

    def add_values(self, topic: str, output: Output, rows: Sequence[tuple[str, str, float]]) -> None:
        """Add values beside an output: of the monitor, or errors of an evaluation."""
        watched = topic == HEALTH_TOPIC
        self._watched, self._scored = self._watched or watched, self._scored or not watched
        parts = [part for part in topic.split("/") if part not in ("", "perception", "metrics")]
        root = layout.HEALTH if watched else "/".join([layout.ERRORS, *map(path_part, parts)])
        self._series.add_values(When.of(output.tick), root, rows)

    def remark(self, level: Level, subject: str, text: str, when: When) -> None:
        """Add a line of the text log."""
        self._rows.text(f"{layout.TEXTS}/{path_part(subject)}", when, f"{subject}: {text}", _LEVELS[level])

    def settle(self, moments: Sequence[tuple[int, int, str]] = ()) -> int | None:
        """Send all rows, and a layout whose loop is around the first of the moments.

        Returns:
            Where on the arrival clock a viewer is to begin; None: anywhere.
        """
        for number, (arrival_ns, stamp_ns, text) in enumerate(moments, 1):
            self.remark("warning", "worst moments", f"{number}: {text}", When(arrival_ns, stamp_ns))
        self._rows.send()
        if moments and self._shown is not None and self._span_ns is not None:
            self._rows.stream.flush()  # a viewer drops a selection in data that it has not got yet
            (first_ns, last_ns), worst_ns = self._span_ns, moments[0][0]
            around_ns = max(first_ns, worst_ns - _AROUND_NS), min(last_ns, worst_ns + _AROUND_NS)
            self._rows.stream.send_blueprint(layout.blueprint(self._shown, around_ns))
            return around_ns[0]
        return None

    def _open(self, when: When) -> None:
        if not self._opened:
            self._opened = True
            for level, subject, text in self._remarks.opening(self._run):
                self.remark(level, subject, text, when)

    def _lay_out(self) -> None:
        """Send the layout, again where there is more to show than before."""
        shown = layout.Shown(
            tuple(self._cameras),
            frozenset(self._space.cameras),
            self._space.frame is not None,
            self._series.channels,
            self._scored,
            self._watched,
        )
        if shown != self._shown:
            self._shown = shown
            self._rows.stream.send_blueprint(layout.blueprint(shown))


class RerunSink:
    """Writes a run to a Rerun recording (`.rrd`).

    Args:
        path: The file; one that exists is replaced.
        min_score: Detections below it are not shown.

    Raises:
        MissingExtraError: Rerun is not installed (on import).
        OutputError: From every method, where the file cannot be written; names the path.
    """

    is_ours = staticmethod(marked(b"RRF2", within=APPLICATION.encode()))

    def __init__(self, path: str | Path, *, min_score: float = 0.3) -> None:
        self.path = Path(path)
        self._min_score = min_score
        self._stream: rr.RecordingStream | None = None
        self._run: RerunRows | None = None
        self._moments: Callable[[], Sequence[tuple[int, int, str]]] | None = None

    def show_moments(self, moments: Callable[[], Sequence[tuple[int, int, str]]]) -> None:
        """Begin at the worst of moments, and name them all in the log."""
        self._moments = moments

    def open(self, run: RunInfo) -> None:
        recording = uuid.uuid4()
        own = str(recording)[:8] if self._moments is not None else ""  # another run's would begin elsewhere
        name = _application(run, own)
        self._stream = rr.RecordingStream(name, recording_id=recording, send_properties=False)
        self._connect(self._stream, run)
        self._run = RerunRows(self._stream, run, self._min_score)

    def _connect(self, stream: rr.RecordingStream, run: RunInfo) -> None:
        """Say where the recording goes."""
        refuse_input(self.path, run)
        try:
            self.path.open("wb").close()
            stream.save(self.path)
        except (OSError, RuntimeError) as error:
            raise self._failed(error) from error

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        self._opened().add(sample, output, truth, timing_ms)

    def add_values(self, topic: str, output: Output, rows: Sequence[tuple[str, str, float]]) -> None:
        """Show named values beside an output."""
        self._opened().add_values(topic, output, rows)

    def add_remark(self, level: Level, subject: str, text: str, log_time_ns: int, stamp_ns: int) -> None:
        """Show a line of text about a moment."""
        self._opened().remark(level, subject, text, When(log_time_ns, stamp_ns))

    def close(self) -> None:
        stream, run = self._stream, self._run
        self._stream = self._run = None
        if stream is None:
            return
        try:
            moments = self._moments() if self._moments is not None else ()
            begin_ns = run.settle(moments) if run is not None else None
            stream.flush()
            self._finish(stream, begin_ns)
        except (OSError, RuntimeError) as error:
            raise self._failed(error) from error

    def _finish(self, stream: rr.RecordingStream, begin_ns: int | None) -> None:
        """End the recording, and check that it is whole."""
        stream.disconnect()
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - 64))
            if _END not in file.read():
                raise OSError("the file has no end, free some space")

    def _opened(self) -> RerunRows:
        if self._run is None:
            raise OutputError(f"this sink is not open: {self.path}")
        return self._run

    def _failed(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(f"cannot write the recording: {reason.lower()}: {self.path}")


def _application(run: RunInfo, own: str) -> str:
    """Return the name of the application of a run, in characters that Rerun takes; its layout is its own."""
    log = "" if run.input is None else re.sub(r"[^A-Za-z0-9_-]+", "-", run.input.stem)[:60]
    return " ".join(part for part in (APPLICATION, log, own) if part)


def _base_frame(run: RunInfo) -> str:
    """Return the frame of positions; empty where the configuration has none."""
    try:
        return parse_config(parse_yaml(run.config)).base_frame or "" if run.config else ""
    except (ValueError, ConfigError):
        return ""
