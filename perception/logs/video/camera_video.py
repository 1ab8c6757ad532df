"""The video of one camera: packets to a decoder, and each packet's picture or the reason why it is lost.

Packets keep their order, and the outcome of each depends on the packets of its group of pictures alone: on
nothing before the key frame, and on no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from perception.logs.video import losses
from perception.logs.video.decoder import (
    Crashed,
    DecodedPicture,
    DecoderProcess,
    Done,
    PacketFailure,
    is_installed,
)
from perception.logs.video.decoder_process import BEGIN, DRAIN, PACKET
from perception.logs.video.packet_header import PacketHeader, read_packet
from perception.types import VideoPacket

IN_FLIGHT = 8
"""Packets that a decoder works on while the run goes on."""
HELD_BACK = 40
"""Pictures that a decoder may hold back; codecs allow sixteen, and their threads none here."""
MOST_CRASHES = 20
"""After so many crashes a camera has no more decoder."""


@dataclass(slots=True, eq=False)
class Slot:
    """A packet on its way through the decoder: its picture, or the code and detail of its loss."""

    packet: VideoPacket
    index: int
    key: bool
    data: bytes = b""
    picture: DecodedPicture | None = None
    loss: tuple[str, str] | None = None

    @property
    def is_done(self) -> bool:
        return self.picture is not None or self.loss is not None


class CameraVideo:
    """Decodes the packets of one topic, in order."""

    def __init__(self) -> None:
        self._decoder: DecoderProcess | None = None
        self._codec = ""
        self._count = 0
        self._loss: tuple[str, str] | None = (losses.NO_KEY_FRAME, "")  # of packets up to the next key frame
        self._sent: deque[tuple[int, Slot | None]] = deque()  # requests without their last answer
        self._open: deque[Slot] = deque()  # packets without an outcome
        self._newest_output = -1
        self._crashes = 0
        self._parameters = b""
        self._header = PacketHeader()
        self._reference_number = 0

    def submit(self, packet: VideoPacket) -> Slot | None:
        """Take the next packet; None for one of parameter sets alone, which has no picture to wait for."""
        data = bytes(packet.data)
        if packet.codec != self._codec:
            self._change_codec(packet.codec)
        header = read_packet(packet.codec, data, self._header.h264)
        if not header.pictures and header.parameters:
            self._parameters += header.parameters
            self._header = header
            self._loss = (losses.NO_KEY_FRAME, "parameter sets came without one")
            return None
        slot = Slot(packet, self._count, header.key)
        self._count += 1
        if not is_installed():
            slot.loss = (losses.NOT_INSTALLED, "")
            return slot
        if header.key and not header.clean:
            while self._sent:  # whether the decoder can go on through it must not depend on its haste
                self._take_answer()
        begins = header.clean or (header.key and self._loss is not None)
        if header.key:
            self._loss = None
            slot.data = data if header.parameters else self._parameters + data
        elif self._loss is None and self._is_gap(header):
            self._loss = (losses.LOST_PACKET, "by the frame numbers")
        self._remember(header)
        if self._loss is not None:
            slot.loss = self._loss
            return slot
        slot.data = slot.data or data
        self._open.append(slot)
        self._send(BEGIN if begins else PACKET, slot)
        while sum(sent is not None for _, sent in self._sent) > IN_FLIGHT:
            self._take_answer()
        while len(self._open) > HELD_BACK:
            self._lose(self._open[0], losses.NO_PICTURE)
            self._open.popleft()
        return slot

    def wait(self, slot: Slot) -> None:
        """Wait until a packet has its outcome, or the decoder needs further packets to give it."""
        while not slot.is_done and self._sent:
            self._take_answer()

    def drain(self) -> None:
        """Give every packet its outcome: no more packets follow, or none that belong to these."""
        if self._open or self._sent:
            self._send(DRAIN, None)
            while self._sent:
                self._take_answer()
        self._lose_open(self._count)
        self._loss = self._loss or (losses.NO_KEY_FRAME, "")

    def close(self) -> None:
        """End the decoder."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    # --- packets ---------------------------------------------------------------------------------

    def _change_codec(self, codec: str) -> None:
        if self._codec:
            self.drain()
            self._loss = (losses.OTHER_CODEC, f"{self._codec} to {codec}")
        self.close()
        self._codec, self._parameters, self._header = codec, b"", PacketHeader()

    def _is_gap(self, header: PacketHeader) -> bool:
        """Return whether a packet that later ones refer to is missing, by the frame numbers of H.264."""
        if header.slice is None or header.h264 is None or not header.h264.frame_numbers:
            return False
        following = (self._reference_number + 1) % header.h264.frame_numbers
        return header.slice.frame_number not in (self._reference_number, following)

    def _remember(self, header: PacketHeader) -> None:
        if header.parameters:
            self._parameters = header.parameters
        self._header = PacketHeader(h264=header.h264 or self._header.h264)
        if header.slice is not None and header.slice.reference:
            self._reference_number = header.slice.frame_number

    def _send(self, operation: int, slot: Slot | None) -> None:
        if self._decoder is None:
            self._decoder = DecoderProcess(self._codec)
        self._sent.append((operation, slot))
        self._decoder.request(operation, slot.index if slot else -1, slot.data if slot else b"")

    # --- answers ---------------------------------------------------------------------------------

    def _take_answer(self) -> None:
        assert self._decoder is not None
        answer = self._decoder.answer()
        if isinstance(answer, DecodedPicture):
            self._take_picture(answer)
        elif isinstance(answer, PacketFailure):
            self._lose_group(answer.number, losses.DAMAGED_PACKET, answer.text)
        elif isinstance(answer, Done):
            operation, slot = self._sent.popleft()
            if slot is not None:
                slot.data = b""
                if operation == BEGIN:
                    self._lose_open(slot.index)
        else:
            self._restart(answer)

    def _take_picture(self, picture: DecodedPicture) -> None:
        slot = next((slot for slot in self._open if slot.index == picture.number), None)
        if slot is None:
            if picture.number < self._newest_output:
                self._lose_group(picture.number, losses.B_FRAMES, "")
            return
        if slot.packet.reorder:
            self._newest_output = -1
            missed = [other for other in self._open if other.packet.stamp_ns < slot.packet.stamp_ns]
        else:
            self._newest_output = picture.number
            missed = [other for other in self._open if other.index < slot.index]
        for other in missed:  # pictures come in the order in which they are shown
            self._lose(other, losses.NO_PICTURE)
            self._open.remove(other)
        slot.picture = picture
        self._open.remove(slot)

    def _lose_open(self, before: int) -> None:
        """Lose the open packets before an index: the decoder gave no picture for them."""
        while self._open and self._open[0].index < before:
            self._lose(self._open.popleft(), losses.NO_PICTURE)

    def _lose(self, slot: Slot, code: str, detail: str = "") -> None:
        slot.loss = slot.loss or (code, detail)

    def _lose_group(self, index: int, code: str, detail: str) -> None:
        """Lose a packet and those after it, up to the next key frame."""
        for slot in list(self._open):
            if slot.index > index and slot.key:
                return
            if slot.index >= index:
                self._lose(slot, code, detail)
                self._open.remove(slot)
        if not any(slot.key and slot.index > index for _, slot in self._sent if slot is not None):
            self._loss = (code, detail)

    def _restart(self, crash: Crashed) -> None:
        """Begin again, at the next key frame, with another decoder."""
        self.close()
        self._crashes += 1
        sent = [slot for _, slot in self._sent if slot is not None]
        is_draining = any(slot is None for _, slot in self._sent)
        self._sent.clear()
        first = sent[0].index if sent else self._count
        self._lose_group(first, losses.DECODER_CRASHED, crash.text)
        self._lose_open(first)
        keys = [slot.index for slot in sent[1:] if slot.key]
        again = [slot for slot in sent if keys and slot.index >= keys[0] and not slot.is_done]
        if self._crashes >= MOST_CRASHES:
            for slot in again:
                self._lose_group(slot.index, losses.DECODER_CRASHED, crash.text)
            again = []
        for slot in again:
            self._send(BEGIN if slot.key else PACKET, slot)
        if is_draining and again:
            self._send(DRAIN, None)
