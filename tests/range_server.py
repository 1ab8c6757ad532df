"""A server of files over HTTP for tests: it counts requests and bytes, can be slow, refuse, or break off."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class RangeServer:
    """What the server does, and what was asked of it.

    Attributes:
        latency_s: Before each answer.
        ranges: Whether parts are given; else every answer is the whole file.
        status: The status of every answer, where it is not 200.
        secret: What the query of every request must hold; others are answered with 403.
        pause_s: Before each megabyte of an answer.
        tags: Whether answers have a tag.
        broken: Offsets of ranges that break off in the middle, and how often each still does.
    """

    folder: Path
    latency_s: float = 0.0
    ranges: bool = True
    status: int = 0
    secret: str = ""
    pause_s: float = 0.0
    tags: bool = True
    broken: dict[int, int] = field(default_factory=dict)
    address: str = ""
    requests: int = 0
    bytes_sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    def reset(self) -> None:
        self.requests = self.bytes_sent = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: RangeServer

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        state = self.state
        with state.lock:
            state.requests += 1
        time.sleep(state.latency_s)
        path = state.folder / self.path.partition("?")[0].lstrip("/")
        status = 403 if state.secret not in self.path else state.status
        if status or not path.is_file():
            self.send_error(status or 404)
            return
        size = path.stat().st_size
        start, end = 0, size
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if state.ranges else None
        if match:
            start, end = int(match[1]), min(int(match[2] or size - 1) + 1, size)
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(end - start))
        if state.tags:
            self.send_header("ETag", f'"{path.stat().st_mtime_ns:x}"')
        if match:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if with_body:
            self._send(path, start, end)

    def _send(self, path: Path, start: int, end: int) -> None:
        hit = next((at for at, times in self.state.broken.items() if times and start <= at < end), None)
        with path.open("rb") as file:
            file.seek(start)
            while start < end and (data := file.read(min(1 << 20, end - start))):
                if hit is not None:
                    self.state.broken[hit] -= 1
                    self.wfile.write(data[: len(data) // 2])
                    self.close_connection = True
                    return
                time.sleep(self.state.pause_s)
                try:
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True
                    return
                start += len(data)
                with self.state.lock:
                    self.state.bytes_sent += len(data)

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def serving(folder: Path, **how: object) -> Iterator[RangeServer]:
    """Serve the files of a folder."""
    state = RangeServer(folder, **how)  # type: ignore[arg-type]
    handler = type("_BoundHandler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
