"""A video decoder in a process of its own: packets go in, pictures and errors come out."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, NamedTuple

from perception.logs.video import decoder_process as process
from perception.logs.video.packet_header import MAX_PIXELS

STUCK_S = 300.0
"""A decoder that says nothing for so long is stopped. Its time of the processor is limited far below; this
is for one that sleeps."""


class DecodedPicture(NamedTuple):
    """A decoded picture: planes of Y, U and V without padding, and its matrix and range."""

    number: int
    width: int
    height: int
    colours: str
    data: bytearray


class PacketFailure(NamedTuple):
    """A packet that does not decode."""

    number: int
    text: str


class Done(NamedTuple):
    """All answers to a request were given."""

    number: int


class Crashed(NamedTuple):
    """The process ended."""

    text: str


Answer = DecodedPicture | PacketFailure | Done | Crashed


def is_installed() -> bool:
    """Return whether video can be decoded here."""
    return find_spec("av") is not None


class DecoderProcess:
    """One running decoder. Requests are answered in order; `answer` waits for the next.

    Args:
        codec: One of `perception.logs.video.packet_header.CODECS`.
    """

    def __init__(self, codec: str) -> None:
        command = [sys.executable, "-E", process.__file__, codec, str(MAX_PIXELS)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(process.__file__).parent,
            bufsize=0,
            start_new_session=True,  # an interrupt is for the run; its end closes the pipe, which ends this
        )
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._reader = Thread(target=self._read, name="video answers", daemon=True)
        self._reader.start()

    def request(self, operation: int, index: int, packet: bytes | memoryview = b"") -> None:
        """Send a request; a process that has ended is seen by `answer`."""
        with suppress(OSError):
            write_all(self._process.stdin, process.REQUEST.pack(operation, index, len(packet)))
            write_all(self._process.stdin, packet)

    def answer(self) -> Answer:
        """Return the next answer. One that never comes ends the process."""
        try:
            return self._answers.get(timeout=STUCK_S)
        except Empty:
            self.close()
            return Crashed(f"no answer for {STUCK_S:g} s")

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            if pipe is self._process.stdout:
                self._process.kill()
                self._process.wait()
                self._reader.join()
            with suppress(OSError):
                pipe.close()

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        while True:
            head = read_all(pipe, process.ANSWER.size)
            if head is None:
                break
            kind, index, width, height, colours, size = process.ANSWER.unpack(head)
            data = read_all(pipe, size)
            if data is None:
                break
            if kind == process.PICTURE:
                self._answers.put(DecodedPicture(index, width, height, process.COLOURS[colours], data))
            elif kind == process.ERROR:
                self._answers.put(PacketFailure(index, data.decode("utf-8", "replace")))
            else:
                self._answers.put(Done(index))
        self._answers.put(Crashed("the process ended"))


def write_all(pipe: IO[bytes] | None, data: bytes | memoryview) -> None:
    assert pipe is not None
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def read_all(pipe: IO[bytes], size: int) -> bytearray | None:
    """Return that many bytes; None where the pipe ends before."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        try:
            count = pipe.readinto(view)  # type: ignore[attr-defined]
        except (OSError, ValueError):
            return None
        if not count:
            return None
        view = view[count:]
    return data
