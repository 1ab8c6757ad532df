"""A plain client of the Foxglove WebSocket protocol: RFC 6455 over a socket, and none of the SDK's code."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from typing import Any, NamedTuple

SUBPROTOCOL = "foxglove.sdk.v1"
MESSAGE_DATA, TIME, PLAYBACK_STATE = 1, 2, 5
PLAYBACK_CONTROL = 3
STATUS = ("playing", "paused", "buffering", "ended")


class Received(NamedTuple):
    """One message of a channel."""

    topic: str
    log_time_ns: int
    data: bytes


class PlaybackStateMessage(NamedTuple):
    """Where the server says that playing stands."""

    status: str
    now_ns: int
    speed: float
    did_seek: bool
    request_id: str


class WebsocketClient:
    """Connects, subscribes, asks for playback, and keeps all that comes."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=20)
        self._buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET / HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._socket.recv(4096)
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        assert b" 101 " in head.split(b"\r\n")[0] + b" ", head
        self.info: dict[str, Any] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.messages: list[Received] = []
        self.states: list[PlaybackStateMessage] = []
        self.times_ns: list[int] = []
        self.statuses: dict[str, str] = {}
        self._topics: dict[int, str] = {}

    def subscribe(self, topics: list[str] | None = None) -> None:
        """Subscribe to topics; None: to all that are advertised."""
        wanted = list(self.channels) if topics is None else topics
        rows = []
        for number, topic in enumerate(wanted, len(self._topics)):
            self._topics[number] = topic
            rows.append({"id": number, "channelId": self.channels[topic]["id"]})
        self._send(1, json.dumps({"op": "subscribe", "subscriptions": rows}).encode())

    def ask(self, *, play: bool, speed: float = 1.0, seek_ns: int | None = None, name: str = "r") -> None:
        """Send a request of the playback controls."""
        head = struct.pack("<BBfBQ", PLAYBACK_CONTROL, not play, speed, seek_ns is not None, seek_ns or 0)
        self._send(2, head + struct.pack("<I", len(name)) + name.encode())

    def until(self, done: Any, timeout_s: float = 60.0) -> None:
        """Read until `done()` is true."""
        end_s = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end_s, (self.states[-3:], len(self.messages))
            self._read(end_s - time.monotonic())

    def quiet(self, seconds: float) -> None:
        """Read what comes within a time."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                self._read(left_s)
            except TimeoutError:
                return

    def answer_to(self, name: str) -> PlaybackStateMessage:
        """Wait for the answer to a request, and return it."""
        self.until(lambda: any(state.request_id == name for state in self.states))
        return next(state for state in self.states if state.request_id == name)

    def on(self, topic: str) -> list[Received]:
        return [message for message in self.messages if message.topic == topic]

    def close(self) -> None:
        self._send(8, struct.pack(">H", 1000))
        self._socket.close()

    def _send(self, opcode: int, data: bytes) -> None:
        mask = os.urandom(4)
        size = len(data)
        head = struct.pack(">BB", 0x80 | opcode, 0x80 | min(size, 126)) if size < 126 else b""
        head = head or struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        self._socket.sendall(head + mask + bytes(byte ^ mask[k % 4] for k, byte in enumerate(data)))

    def _take(self, count: int, timeout_s: float) -> bytes:
        self._socket.settimeout(max(timeout_s, 0.01))
        while len(self._buffer) < count:
            piece = self._socket.recv(1 << 18)
            assert piece, "the server closed the connection"
            self._buffer += piece
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _read(self, timeout_s: float) -> None:
        first, size = self._take(2, timeout_s)
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2, 20))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._take(8, 20))
        data = self._take(size, 20)
        if first & 15 == 1:
            self._json(json.loads(data))
        elif first & 15 == 2:
            self._binary(data)
        elif first & 15 == 9:
            self._send(10, data)

    def _json(self, document: dict[str, Any]) -> None:
        if document["op"] == "serverInfo":
            self.info = document
        elif document["op"] == "advertise":
            self.channels |= {channel["topic"]: channel for channel in document["channels"]}
        elif document["op"] == "status":
            self.statuses[document.get("id", "")] = document["message"]

    def _binary(self, data: bytes) -> None:
        if data[0] == MESSAGE_DATA:
            number, at_ns = struct.unpack_from("<IQ", data, 1)
            self.messages.append(Received(self._topics[number], at_ns, data[13:]))
        elif data[0] == TIME:
            self.times_ns.append(struct.unpack_from("<Q", data, 1)[0])
        elif data[0] == PLAYBACK_STATE:
            status, now_ns, speed, sought, size = struct.unpack_from("<BQfBI", data, 1)
            name = data[19 : 19 + size].decode()
            self.states.append(PlaybackStateMessage(STATUS[status], now_ns, speed, bool(sought), name))
