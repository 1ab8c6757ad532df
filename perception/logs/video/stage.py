"""The stage between reading and alignment: the packets of cameras become pictures, in order of arrival."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from perception.logs.decoding import decode
from perception.logs.video import losses
from perception.logs.video.camera_video import CameraVideo, Slot
from perception.logs.video.facts import VideoFacts
from perception.types import CameraFrame, Channel, Decoded, Message, Undecodable, VideoPacket
from perception.types.stamp_rule import StampRule

if TYPE_CHECKING:
    from perception.config import Role

Item = Message | Decoded
_PAUSE_NS = 1_000_000_000
"""A video that pauses for longer shows what it held back before the pause."""


class VideoStage:
    """Decodes the videos of the configured cameras; every other message passes as it is.

    A message waits until the pictures of all packets before it are known, so the order of arrival is kept.
    A packet whose picture is lost becomes an `Undecodable` with a code (`perception.logs.video.losses`).

    Args:
        roles: Topic -> its role (`Config.roles`); topics of cameras may carry video.
        stamps: Topic -> how its stamps are read (`Config.stamps`).
        on_parameters: Called with each message of parameter sets alone, which has no picture.

    Attributes:
        losses: (topic, code) -> number of lost pictures, and the text of the first.
        facts: Topic -> what its video is like.
    """

    def __init__(
        self,
        roles: Mapping[str, Role],
        stamps: Mapping[str, StampRule] = MappingProxyType({}),
        on_parameters: Callable[[Message], None] = lambda message: None,
    ) -> None:
        self._roles, self._stamps = roles, stamps
        self._on_parameters = on_parameters
        self._is_video: dict[int, tuple[Channel, bool]] = {}
        self._cameras: dict[str, CameraVideo] = {}
        self._order: dict[str, _Presentation] = {}
        self._waiting: deque[Item | Slot] = deque()
        self._last: dict[str, VideoPacket] = {}
        self.losses: dict[tuple[str, str], tuple[int, str]] = {}
        self.facts: dict[str, VideoFacts] = {}

    def pictures(self, messages: Iterable[Item]) -> Iterator[Item]:
        """Yield the messages with pictures in place of packets. Ends the decoders at the end."""
        try:
            for message in messages:
                yield from self.push(message)
            yield from self.flush()
        finally:
            self.close()

    def push(self, message: Item) -> list[Item]:
        """Add a message in order of arrival; return what is complete by then, in order."""
        if not self._carries_video(message):
            if not self._waiting:
                return [message]
            self._waiting.append(message)
            return self._complete()
        decoded = self._decoded(message)
        if not isinstance(decoded, VideoPacket):
            self._waiting.append(decoded)
        elif self._is_repeated(decoded):
            self._waiting.append(_lost(decoded, decoded.log_time_ns, losses.NO_PICTURE, "it came twice"))
        else:
            self.facts.setdefault(decoded.topic, VideoFacts(decoded.codec)).add(decoded)
            slot = self._cameras.setdefault(decoded.topic, CameraVideo()).submit(decoded)
            if slot is not None:
                self._waiting.append(slot)
            elif isinstance(message, Message):
                self._on_parameters(message)
        return self._complete()

    @property
    def waits(self) -> bool:
        """Return whether a message waits for pictures: `settle` returns it."""
        return bool(self._waiting)

    def settle(self) -> list[Item]:
        """Wait for the decoders, and return what is complete then; further messages may follow."""
        for waiting in self._waiting:
            if isinstance(waiting, Slot):
                self._cameras[waiting.packet.topic].wait(waiting)
        return self._complete()

    def flush(self) -> list[Item]:
        """Return everything that waits: no more messages follow, or none that belong to these."""
        for camera in self._cameras.values():
            camera.drain()
        items = self._complete()
        for topic, order in self._order.items():
            items += self._shown(topic, order.rest())
        return items

    def close(self) -> None:
        """End the decoders."""
        for camera in self._cameras.values():
            camera.close()

    def _decoded(self, message: Item) -> Decoded:
        if not isinstance(message, Message):
            return message
        return decode(message, "camera", self._stamps.get(message.topic))

    def _carries_video(self, message: Item) -> bool:
        """Return whether a message is of a video; of a channel, its first message says."""
        if not isinstance(message, Message):
            return isinstance(message, VideoPacket)
        if self._roles.get(message.topic) != "camera":
            return False
        channel = message.channel
        known = self._is_video.get(id(channel))
        if known is None or known[0] is not channel:
            known = self._is_video[id(channel)] = channel, isinstance(self._decoded(message), VideoPacket)
        return known[1]

    def _is_repeated(self, packet: VideoPacket) -> bool:
        last, self._last[packet.topic] = self._last.get(packet.topic), packet
        return (
            last is not None
            and last.stamp_ns == packet.stamp_ns
            and len(last.source) == len(packet.source)
            and last.source == packet.source
        )

    def _complete(self) -> list[Item]:
        """Return the messages at the head of the line that have their outcome."""
        items: list[Item] = []
        while self._waiting:
            head = self._waiting[0]
            if not isinstance(head, Slot):
                items.append(head)
            elif head.is_done:
                topic = head.packet.topic
                order = self._order.setdefault(topic, _Presentation())
                items += self._shown(topic, order.push(head))
            else:
                break
            self._waiting.popleft()
        return items

    def _shown(self, topic: str, slots: Iterable[tuple[Slot, int]]) -> Iterator[Item]:
        for slot, log_time_ns in slots:
            if slot.loss is None:
                yield _frame(slot, log_time_ns)
                continue
            code, detail = slot.loss
            count, text = self.losses.get((topic, code), (0, losses.loss_text(code, detail)))
            self.losses[topic, code] = count + 1, text
            yield _lost(slot.packet, log_time_ns, code, detail)


class _Presentation:
    """Puts pictures that were coded in another order into the order of their stamps."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Slot]] = []
        self._shown = (0, 0)  # stamp and arrival of the last

    def push(self, slot: Slot) -> Iterator[tuple[Slot, int]]:
        """Add the next slot in coded order; yield those that can be shown, with their arrival."""
        arrival_ns = slot.packet.log_time_ns
        if slot.key and arrival_ns > self._shown[1] + _PAUSE_NS:
            yield from self.rest()
        heapq.heappush(self._heap, (slot.packet.stamp_ns, slot.index, slot))
        while len(self._heap) > slot.packet.reorder:
            yield self._pop(arrival_ns)

    def rest(self) -> Iterator[tuple[Slot, int]]:
        """Yield the pictures left before a pause or the end; their arrivals differ as their stamps do."""
        while self._heap:
            stamp_ns, arrival_ns = self._shown
            yield self._pop(arrival_ns + max(self._heap[0][0] - stamp_ns, 0))

    def _pop(self, arrival_ns: int) -> tuple[Slot, int]:
        _, _, slot = heapq.heappop(self._heap)
        arrival_ns = max(arrival_ns, self._shown[1])
        self._shown = slot.packet.stamp_ns, arrival_ns
        return slot, arrival_ns


def _frame(slot: Slot, log_time_ns: int) -> CameraFrame:
    packet, picture = slot.packet, slot.picture
    assert picture is not None
    return CameraFrame(
        packet.topic,
        packet.stamp_ns,
        log_time_ns,
        packet.frame_id,
        memoryview(picture.data),
        "i420",
        picture.width,
        picture.height,
        picture.width,
        packet.source,
        packet.stamped,
        packet.stamp_problem,
        colours=picture.colours,
    )


def _lost(packet: VideoPacket, log_time_ns: int, code: str, detail: str) -> Undecodable:
    return Undecodable(
        packet.topic,
        packet.stamp_ns,
        log_time_ns,
        losses.loss_text(code, detail),
        packet.source,
        packet.stamped,
        packet.stamp_problem,
        code,
    )
