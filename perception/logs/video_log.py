"""A video file alone (MP4, MOV, Matroska, WebM, AVI, raw H.264 and H.265): a log with one camera.

The reader that `perception.logs.open_log` finds. Times count from when the file says it was made, else from
one second after the epoch, since a stamp of zero is none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from perception.logs.damage import Damage
from perception.logs.message_table import MessageTable, TableLog
from perception.logs.readers import Accounting
from perception.logs.video.video_file import VideoFile, open_video

FORMAT = "video"
TOPIC = "/video"
_RAW = frozenset({".h264", ".264", ".avc", ".hevc", ".h265", ".265"})
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp"})
_STARTS = (b"\x1a\x45\xdf\xa3", b"DKIF")
_FIRST_NS = 1_000_000_000


def reads(path: Path) -> bool:
    """Return whether a file starts as a video file does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb", buffering=0) as file:
            head = file.read(16)
    except (OSError, ValueError):
        return False
    if path.suffix.lower() in _RAW:
        return head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01"))
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return head[4:8] in _BOXES or head.startswith(_STARTS) or is_avi


def open(path: Path) -> TableLog:
    """Open a video file.

    Raises:
        LogError: It has no video that can be read, or the extra `video` is missing.
    """
    video = open_video(path)
    start_ns = _start_ns(video.created) - int(video.arrivals_ns[0])
    table = MessageTable(
        channels=[video.channel(0, TOPIC)],
        channel_of=np.zeros(len(video), np.int32),
        time_ns=video.arrivals_ns + start_ns,
        indexed=True,
        profile="video",
        metadata=(("video", _about(video)),),
        notes=(video.note,) if video.note else (),
        size_bytes=path.stat().st_size,
    )
    proof = Accounting("the index of the file", "")
    return TableLog(path, table, proof, lambda: VideoReading(video, start_ns), video.close)


class VideoReading:
    """One pass over the packets of a file."""

    def __init__(self, video: VideoFile, start_ns: int) -> None:
        self.damage: list[Damage] = []
        self._video, self._start_ns = video, start_ns

    def fetch(self, row: int) -> bytes:
        """Return the message of a packet. Raises Unreadable."""
        return self._video.message(row, int(self._video.stamps_ns[row]) + self._start_ns)


def _about(video: VideoFile) -> dict[str, str]:
    width, height = video.size
    about = {"codec": video.codec, "width": str(width), "height": str(height)}
    if video.streams > 1:
        about["not read"] = f"{video.streams - 1} other streams of the file"
    return about


def _start_ns(created: str) -> int:
    try:
        made = datetime.fromisoformat(created)
    except ValueError:
        return _FIRST_NS
    seconds = (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()
    return round(seconds * 1e9) if 0 < seconds < 1 << 32 else _FIRST_NS
