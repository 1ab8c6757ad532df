"""Facts about a camera's video: codec, size, and how far apart its key frames are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from perception.logs.decoding import decode
from perception.logs.query import Query
from perception.logs.readers import Log
from perception.logs.video.h26x import h265_has_hash
from perception.types import VideoPacket

LOOKED_AT = 300
"""Packets that tell how far apart key frames are, where the whole log is not read."""


@dataclass(slots=True)
class VideoFacts:
    """Counts over the packets of one topic, in order of arrival.

    Attributes:
        first_key: Packets before the first key frame; with no key frame all.
        longest: The most packets from one key frame to the next or to the end, and `longest_ns` their time.
        hashed: Packets with a hash of their picture (H.265), by which the decoder sees every damage.
    """

    codec: str
    size: tuple[int, int] = (0, 0)
    packets: int = 0
    keys: int = 0
    first_key: int = 0
    longest: int = 0
    longest_ns: int = 0
    hashed: int = 0
    _since: int = 0
    _since_ns: int = 0

    def add(self, packet: VideoPacket) -> None:
        """Count the next packet."""
        if any(packet.size):
            self.size = packet.size
        if packet.key:
            self._since, self._since_ns = 0, packet.log_time_ns
        self.keys += packet.key
        self.packets += 1
        self.hashed += packet.codec == "h265" and h265_has_hash(packet.data)
        if not self.keys:
            self.first_key += 1
            return
        self._since += 1
        self.longest = max(self.longest, self._since)
        self.longest_ns = max(self.longest_ns, packet.log_time_ns - self._since_ns)

    @property
    def text(self) -> str:
        """Codec, size, key frames and, of H.265, hashes of the pictures in words."""
        if self.codec != "h265" or not self.packets:
            return self._text
        if self.hashed == self.packets:
            return f"{self._text}, each with a hash that proves it"
        return f"{self._text}, without hashes: a picture of damaged bytes may look sound"

    @property
    def _text(self) -> str:
        size = f", {self.size[0]}x{self.size[1]}" if any(self.size) else ""
        if not self.keys:
            return f"{self.codec}{size}, no key frame in {self.packets} packets"
        if self.keys == 1 and self.packets > 1:
            return f"{self.codec}{size}, one key frame in {self.packets} packets"
        if self.longest == 1:
            return f"{self.codec}{size}, every picture a key frame"
        return f"{self.codec}{size}, a key frame every {self.longest} pictures or sooner"


def video_facts(log: Log, topic: str) -> VideoFacts | None:
    """Return what the first packets of a topic say; None for one that carries no video."""
    facts: VideoFacts | None = None
    for message in islice(log.messages(Query(frozenset({topic}))), LOOKED_AT):
        packet = decode(message)
        if isinstance(packet, VideoPacket):
            facts = facts or VideoFacts(packet.codec)
            facts.add(packet)
        elif facts is None:
            return None
    return facts
