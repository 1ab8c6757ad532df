"""Lists the packets of video files through a process of its own: what crashes on a file costs that file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.errors import LogError
from perception.logs.video import index_process as process
from perception.logs.video.decoder import is_installed, read_all, write_all
from perception.logs.video.losses import NOT_INSTALLED, loss_text


class PacketIndex(NamedTuple):
    """The packets of the first video in a file, in coded order: what the file says, and where each lies."""

    about: dict[str, Any]
    rows: NDArray[Any]
    spooled: bytes


class VideoIndexer:
    """Asks one process for file after file. A context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def index(self, path: Path) -> PacketIndex:
        """Return the packets of a file.

        Raises:
            LogError: The extra `video` is missing, or the file has no video that can be read.
        """
        if not is_installed():
            raise LogError(f"{loss_text(NOT_INSTALLED)}: {path}")
        name = os.fsencode(path.absolute())
        running = self._running()
        with suppress(OSError):
            write_all(running.stdin, process.LENGTH.pack(len(name)) + name)
        answer = _answer(running.stdout)
        if answer is None:
            self.close()
            raise LogError(f"the reader of video files crashed on it, or took too long; repair it: {path}")
        if error := answer.about.get("error"):
            cut = "; it was not closed or is cut, and has no index" if "Invalid data" in error else ""
            raise LogError(f"expected a video file, found one that cannot be read ({error}{cut}): {path}")
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> VideoIndexer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-E", process.__file__]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(process.__file__).parent,
                bufsize=0,
            )
        return self._process


def _answer(pipe: IO[bytes] | None) -> PacketIndex | None:
    """Return an answer; None where the process ended before."""
    assert pipe is not None
    head = read_all(pipe, process.LENGTH.size)
    text = read_all(pipe, process.LENGTH.unpack(head)[0]) if head is not None else None
    if text is None:
        return None
    about = json.loads(text)
    rows = read_all(pipe, about["packets"] * process.ROW.itemsize)
    spooled = read_all(pipe, about["spooled"]) if rows is not None else None
    if rows is None or spooled is None:
        return None
    return PacketIndex(about, np.frombuffer(rows, process.ROW), bytes(spooled))
