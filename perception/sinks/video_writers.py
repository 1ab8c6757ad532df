"""Encoders of the frames of a video: PyAV where the extra `video` is installed, else OpenCV.

PyAV writes H.264. The OpenCV wheel has no encoder for it: of its encoders, browsers play VP9 in MP4 and VP8
in WebM, and it gives no access to their speed settings (OpenCV issue 24570): they take six times as long or
more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import cv2

from perception.errors import OutputError
from perception.sinks.canvas import Canvas

SUFFIXES = (".mp4", ".webm")
MARK = b"perception-fusion video"
"""In the file, by which an earlier output is recognised."""
_CODES = {".mp4": "vp09", ".webm": "VP80"}
_STDERR = Lock()  # one at a time, or the second would keep the first's /dev/null
_MARK_BOX = {  # an element at the end of the file that players pass over
    ".mp4": (8 + len(MARK)).to_bytes(4, "big") + b"free" + MARK,
    ".webm": b"\xec" + bytes([0x80 | len(MARK)]) + MARK,
}
_FRAGMENT_S = 1


class VideoWriter(Protocol):
    """Writes frames to one file."""

    def write(self, frame: Canvas) -> None:
        """Encode the next frame, RGB."""

    def close(self) -> None:
        """Write what is left. May be called twice."""

    def frames_written(self) -> int:
        """Return the number of frames in the file, after `close`."""


def open_writer(path: Path, rate_hz: float, size: tuple[int, int]) -> VideoWriter:
    """Return the writer of a file.

    Args:
        path: Ends in one of `SUFFIXES`; an existing file is replaced.
        rate_hz: Frames per second.
        size: Width and height, px, both even.

    Raises:
        OutputError: Nothing here can encode it.
    """
    if path.suffix.lower() == ".mp4" and find_spec("av") is not None:
        return _H264Writer(path, rate_hz, size)
    return _OpenCvWriter(path, rate_hz, size)


class _CheckedFile:
    """A file that keeps the first error of writing: libavformat goes on without a word."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        try:
            while view and self.error is None:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.error = error
        return len(data)

    def check(self) -> None:
        """Raise the first error."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self._file.close()


class _H264Writer:
    """H.264 in a fragmented MP4: what was written of it plays, whenever the run ends."""

    def __init__(self, path: Path, rate_hz: float, size: tuple[int, int]) -> None:
        import av

        av.logging.set_level(av.logging.PANIC)
        rate = Fraction(rate_hz).limit_denominator(1000)
        options = {
            "movflags": "frag_keyframe+empty_moov+default_base_moof+use_metadata_tags",
            "flush_packets": "1",
        }
        self._path = path
        self._frame_type = av.VideoFrame
        self._file = _CheckedFile(path)
        self._container: Any = av.open(self._file, "w", format="mp4", options=options)
        self._container.metadata["comment"] = MARK.decode()
        self._stream: Any = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.gop_size = max(round(rate_hz * _FRAGMENT_S), 1)
        self._stream.codec_context.thread_count = 2
        self._stream.options = {"preset": "veryfast", "crf": "23", "bf": "0", "tune": "zerolatency"}
        self._count = 0

    def write(self, frame: Canvas) -> None:
        picture = self._frame_type.from_ndarray(frame, format="rgb24")
        self._mux(self._stream.encode(picture.reformat(format="yuv420p")))

    def close(self) -> None:
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            packets = self._stream.encode(None)
            container.mux(packets)
            self._count += len(packets)
        finally:
            container.close()
            self._file.close()
        self._file.check()

    def frames_written(self) -> int:
        return self._count

    def _mux(self, packets: list[Any]) -> None:
        self._container.mux(packets)
        self._file.check()
        self._count += len(packets)


class _OpenCvWriter:
    """VP9 in MP4 or VP8 in WebM."""

    def __init__(self, path: Path, rate_hz: float, size: tuple[int, int]) -> None:
        self._path = path
        with _quiet():
            code = cv2.VideoWriter.fourcc(*_CODES[path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate_hz, size)
        if not self._writer.isOpened():
            raise OutputError(
                f"OpenCV {cv2.__version__} cannot encode {path.suffix} video, install the wheel "
                f"opencv-python-headless or write an .mcap file instead: {path}"
            )
        self._closed = False
        self._count = 0

    def write(self, frame: Canvas) -> None:
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._writer.release()
        self._count = _frames_in(self._path)
        with self._path.open("ab") as file:
            file.write(_MARK_BOX[self._path.suffix.lower()])

    def frames_written(self) -> int:
        return self._count


def _frames_in(path: Path) -> int:
    """Return the number of frames in a file, by walking it: its header may claim more than was written."""
    count = 0
    with _quiet():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        while capture.isOpened() and capture.grab():
            count += 1
        capture.release()
    return count


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the output of OpenCV and FFmpeg, which heeds no log level, from the user's stderr."""
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
