"""A run as a video that plays in a browser, one frame for each tick.

Frames are encoded in a thread beside the host. `perception.sinks.video_writers` says with what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import FileIO
from itertools import pairwise
from pathlib import Path
from queue import Queue
from threading import Thread

from perception.align.repeats import Repeats
from perception.errors import OutputError
from perception.files import make_file, write_problem
from perception.path_guard import marked
from perception.sinks.annotations import image_size
from perception.sinks.canvas import Canvas
from perception.sinks.protocol import refuse_input
from perception.sinks.render import FrameLayout, layout_for, picture_of, render
from perception.sinks.run_info import RunInfo
from perception.sinks.video_writers import MARK, SUFFIXES, open_writer
from perception.types import SENSORS, Output, Sample, TruthFrame, camera_views

_DEFAULT_RATE_HZ = 10.0
_ENOUGH = 8  # frames that tell the rate, where the run does not
_WAITING = 4  # frames between the host and the encoder


class VideoSink:
    """Draws every output and encodes the frames.

    With the extra `video` an MP4 holds H.264 in fragments of a second: one that is cut off plays up to there.
    Without it, and WebM, are playable only once closed.

    Args:
        path: The file, `.mp4` (smaller) or `.webm` (faster); one that exists is replaced.
        max_width: The widest a frame may be, px. Smaller encodes faster.
        min_score: Detections below it are not drawn.

    Raises:
        OutputError: From every method: another suffix, a place that cannot be written, an OpenCV
            without the encoder, or a file that did not take all frames.
    """

    is_ours = staticmethod(marked(within=MARK))

    def __init__(self, path: str | Path, *, max_width: int = 1280, min_score: float = 0.3) -> None:
        self.path = Path(path)
        self._camera = ""
        self._max_width = max_width
        self._min_score = min_score
        self._run = RunInfo()
        self._layout: FrameLayout | None = None
        self._first: list[tuple[int, Canvas]] = []
        self._encoder: _Encoder | None = None
        self._open = False
        self._claimed: FileIO | None = None
        self._repeats = {name: Repeats() for name in SENSORS}

    def show_camera(self, name: str) -> None:
        """Show the picture of another camera than the reference camera."""
        self._camera = name

    def open(self, run: RunInfo) -> None:
        if self.path.suffix.lower() not in SUFFIXES:
            wanted = " or ".join(SUFFIXES)
            raise OutputError(f"expected the name of a video to end in {wanted}: {self.path}")
        refuse_input(self.path, run)
        try:
            self._claimed = make_file(self.path)  # until the end: encoders open the file by its name
        except OSError as error:
            problem = write_problem(self.path, error)
            raise OutputError(f"cannot make a video here: {problem}: {self.path}") from error
        try:
            open_writer(self.path, _DEFAULT_RATE_HZ, (64, 64)).close()  # tells now whether it can encode
        except BaseException:
            self._claimed.close()
            raise
        self._run, self._open = run, True

    def write(
        self,
        sample: Sample,
        output: Output,
        truth: TruthFrame | None = None,
        timing_ms: Mapping[str, float] | None = None,
    ) -> None:
        if not self._open:
            raise OutputError(f"this sink is not open: {self.path}")
        rows = {row.camera: row for row in camera_views(sample, output, truth)}
        row = rows.get(self._camera or sample.camera.name, rows[sample.camera.name])
        sample, truth = row.sample, row.truth
        output = replace(row.output, control=output.control, extra=output.extra)  # of the whole tick
        if self._layout is None:
            self._layout = layout_for(image_size(sample), self._max_width)
        for given in sample.inputs:
            self._repeats[given.kind].update(given)
        frozen_s = {name: repeats.frozen_s() for name, repeats in self._repeats.items()}
        sample, picture = picture_of(sample, self._layout)
        frame = render(picture, self._layout, sample, output, self._run, truth, self._min_score, frozen_s)
        if self._encoder is None:
            self._first.append((output.tick.stamp_ns, frame))
            if self._run.reference_rate_hz is not None or len(self._first) == _ENOUGH:
                self._start()
        else:
            self._encoder.put(frame)

    def _start(self) -> None:
        """Start the encoder with the frames so far."""
        rate_hz = self._run.reference_rate_hz or rate_of([stamp_ns for stamp_ns, _ in self._first])
        height, width, _ = self._first[0][1].shape
        self._encoder = _Encoder(self.path, min(max(rate_hz, 0.1), 240.0), (width, height))
        for _, frame in self._first:
            self._encoder.put(frame)
        self._first.clear()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            if self._first:  # a run too short to have started
                self._start()
            if self._encoder is None:  # no output came: an empty file would only puzzle
                self.path.unlink(missing_ok=True)
                return
            encoder, self._encoder = self._encoder, None
            encoder.close()
        finally:
            if self._claimed is not None:
                self._claimed.close()


def rate_of(stamps_ns: Sequence[int]) -> float:
    """Return the rate of ticks (Hz) by the median step of their stamps; 10 where there is none."""
    steps = sorted(b - a for a, b in pairwise(stamps_ns) if b > a)
    return round(1e9 / steps[len(steps) // 2], 2) if steps else _DEFAULT_RATE_HZ


class _Encoder:
    """Encodes frames in a thread, in order, and checks at the end that the file holds them all."""

    def __init__(self, path: Path, rate_hz: float, size: tuple[int, int]) -> None:
        self._path = path
        self._writer = open_writer(path, rate_hz, size)
        self._queue: Queue[Canvas | None] = Queue(_WAITING)
        self._error: Exception | None = None
        self._count = 0
        self._thread = Thread(target=self._encode, name="video encoder", daemon=True)
        self._thread.start()

    def put(self, frame: Canvas) -> None:
        self._raise_error()
        self._queue.put(frame)
        self._count += 1

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._raise_error()
        count = self._writer.frames_written()
        if count != self._count:
            raise OutputError(
                f"the video holds {count} of {self._count} frames, free some space: {self._path}"
            )

    def _encode(self) -> None:
        while (frame := self._queue.get()) is not None:
            if self._error is None:  # else keep emptying the queue, so that the host never waits forever
                try:
                    self._writer.write(frame)
                except Exception as error:
                    self._error = error
        try:
            self._writer.close()
        except Exception as error:
            self._error = self._error or error

    def _raise_error(self) -> None:
        if self._error is not None:
            reason = getattr(self._error, "strerror", None) or self._error
            raise OutputError(f"encoding stopped: {reason}: {self._path}") from self._error
