"""A run as a video that plays in a browser, one frame for each tick.

The OpenCV wheel has no H.264 encoder. Of what it has, browsers play VP9 in MP4 and VP8 in WebM. It has no
way to the speed settings of either (`OPENCV_FFMPEG_WRITER_OPTIONS` chooses hardware encoders and nothing
else, OpenCV issue 24570): street scenes of 1280 x 816 take 0.37 s a frame in VP9, 0.10 s in VP8.
So frames are encoded in a thread beside the host; WebM or a smaller `max_width` is the way to more speed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from queue import Queue
from threading import Lock, Thread
from typing import Any

import cv2
import numpy as np

from perception.errors import OutputError
from perception.models.preprocess import InputSpec, image_pixels
from perception.models.preprocess.pixels import UnusableImage
from perception.sinks.annotations import image_size
from perception.sinks.base import RunInfo, refuse_input
from perception.sinks.draw import Canvas
from perception.sinks.render import Layout, layout_for, picture_size, render
from perception.types import Output, Sample, TruthFrame

_DEFAULT_RATE_HZ = 10.0
_CODES = {".mp4": "vp09", ".webm": "VP80"}
_STDERR = Lock()  # one at a time, or the second would keep the first's /dev/null
_ENOUGH = 8  # frames that tell the rate, where the run does not
_WAITING = 4  # frames between the host and the encoder


class VideoSink:
    """Draws every output and encodes the frames. An MP4 is playable only once it is closed.

    Args:
        path: The file to make, `.mp4` (smaller) or `.webm` (faster); one that exists is replaced.
        max_width: The widest a frame may be, px. Smaller encodes faster.
        min_score: Detections below it are not drawn.

    Raises:
        OutputError: From every method: another suffix, a place that cannot be written, an OpenCV
            without the encoder, or a file that did not take all frames.
    """

    def __init__(self, path: str | Path, *, max_width: int = 1280, min_score: float = 0.3) -> None:
        self.path = Path(path)
        self._max_width = max_width
        self._min_score = min_score
        self._run = RunInfo()
        self._layout: Layout | None = None
        self._first: list[tuple[int, Canvas]] = []
        self._encoder: _Encoder | None = None
        self._open = False

    def open(self, run: RunInfo) -> None:
        if self.path.suffix.lower() not in _CODES:
            wanted = " or ".join(_CODES)
            raise OutputError(f"expected the name of a video to end in {wanted}: {self.path}")
        refuse_input(self.path, run)
        try:
            self.path.open("wb").close()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot make a video here: {reason}: {self.path}") from error
        _open_writer(self.path, _DEFAULT_RATE_HZ, (64, 64)).release()  # tells now whether it can encode
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
        if self._layout is None:
            self._layout = layout_for(image_size(sample), self._max_width)
        sample, picture = picture_of(sample, self._layout)
        frame = render(picture, self._layout, sample, output, self._run, truth, self._min_score)
        if self._encoder is None:
            self._first.append((output.tick.stamp_ns, frame))
            if self._run.reference_rate_hz is not None or len(self._first) == _ENOUGH:
                self._start()
        else:
            self._encoder.put(frame)

    def _start(self) -> None:
        """Begin to encode, with the frames so far."""
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
        if self._first:  # a run too short to have started
            self._start()
        if self._encoder is None:  # no output came: an empty file would only puzzle
            self.path.unlink(missing_ok=True)
            return
        encoder, self._encoder = self._encoder, None
        encoder.close()


def rate_of(stamps_ns: Sequence[int]) -> float:
    """The rate (Hz) at which ticks with these stamps came: by their median step; 10 where there is none."""
    steps = sorted(b - a for a, b in pairwise(stamps_ns) if b > a)
    return round(1e9 / steps[len(steps) // 2], 2) if steps else _DEFAULT_RATE_HZ


def picture_of(sample: Sample, layout: Layout) -> tuple[Sample, Canvas | None]:
    """The sample's image at the size `render` wants, uint8 RGB [h, w, 3].

    An image that does not decode is None, and absent in the sample, with the reason. Images of 16 bits,
    such as depth, are stretched to the brightness they span.
    """
    frame = sample.camera.value
    if frame is None:
        return sample, None
    width, height = picture_size(layout, (frame.width, frame.height))
    try:
        pixels = image_pixels(frame, InputSpec(width=width, height=height))
    except UnusableImage as error:
        return sample.with_absent({"camera": str(error)}), None
    if frame.format.lower() == "mono16":
        low, high = int(pixels.min()), int(pixels.max())
        pixels = ((pixels.astype(np.float32) - low) * (255.0 / max(1, high - low))).astype(np.uint8)
    return sample, np.ascontiguousarray(pixels.transpose(1, 2, 0))


class _Encoder:
    """Encodes frames in a thread, in order, and makes sure at the end that the file holds them all."""

    def __init__(self, path: Path, rate_hz: float, size: tuple[int, int]) -> None:
        self._path = path
        self._writer = _open_writer(path, rate_hz, size)
        self._queue: Queue[Canvas | None] = Queue(_WAITING)
        self._fault: Exception | None = None
        self._count = 0
        self._thread = Thread(target=self._encode, name="video encoder", daemon=True)
        self._thread.start()

    def put(self, frame: Canvas) -> None:
        self._raise_fault()
        self._queue.put(frame)
        self._count += 1

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._raise_fault()
        found = _frames_in(self._path)
        if found != self._count:
            raise OutputError(
                f"the video holds {found} of {self._count} frames, free some space: {self._path}"
            )

    def _encode(self) -> None:
        while (frame := self._queue.get()) is not None:
            if self._fault is None:  # else keep emptying the queue, so that the host never waits forever
                try:
                    self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
                except Exception as error:
                    self._fault = error
        self._writer.release()

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise OutputError(f"encoding stopped: {self._fault}: {self._path}") from self._fault


def _open_writer(path: Path, rate_hz: float, size: tuple[int, int]) -> Any:
    with _quiet():
        code = cv2.VideoWriter.fourcc(*_CODES[path.suffix.lower()])
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate_hz, size)
    if not writer.isOpened():
        raise OutputError(
            f"OpenCV {cv2.__version__} cannot encode {path.suffix} video, install the wheel "
            f"opencv-python-headless or write an .mcap file instead: {path}"
        )
    return writer


def _frames_in(path: Path) -> int:
    """How many frames a file holds. Walked, not decoded: a header may claim more than was written."""
    count = 0
    with _quiet():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        while capture.isOpened() and capture.grab():
            count += 1
        capture.release()
    return count


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what OpenCV and FFmpeg print, past every log level, from the user's stderr."""
    with _STDERR:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
