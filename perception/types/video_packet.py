"""A packet of a video: a message whose picture only a decoder with the packets before it can give."""

from __future__ import annotations

from dataclasses import dataclass, field

from perception.types.message_checks import hold_times


@dataclass(frozen=True, slots=True, eq=False)
class VideoPacket:
    """One packet of a camera's video.

    `perception.logs.video.stage.VideoStage` turns packets into camera frames.

    Attributes:
        data: The packet: Annex B with start codes (`h264`, `h265`), a temporal unit (`av1`), a frame (`vp9`).
        codec: `h264`, `h265`, `av1` or `vp9`.
        reorder: How many pictures a decoder holds back to give them in order of their stamps; 0: none, as
            `foxglove.CompressedVideo` demands.
        key: Whether decoding can begin with it.
        size: Width and height, where the packet says them, as those of key frames do; else (0, 0).
    """

    topic: str
    stamp_ns: int
    log_time_ns: int
    frame_id: str
    data: bytes | memoryview
    codec: str
    reorder: int = 0
    size: tuple[int, int] = (0, 0)
    key: bool = False
    source: bytes = field(default=b"", repr=False)
    stamped: bool = True
    stamp_problem: str = ""

    def __post_init__(self) -> None:
        hold_times(self)
