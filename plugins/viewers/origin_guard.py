"""The guard of a server for viewers: no page of another site may watch or drive a replay.

A page of any site may open a WebSocket to this machine, and the name of its site may be made to point here
(DNS rebinding). The browser says in `Origin` whose page it is (RFC 6455, section 10.2), and in `Host` which
name it asked for. The server itself checks neither; it listens behind this door, where nobody can guess.
"""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import BoundedSemaphore, Lock, Thread
from urllib.parse import urlsplit

from perception.pipeline.viewers import LOOPBACK, is_loopback

SITES = ("https://app.foxglove.dev", "https://studio.foxglove.dev")
"""Sites whose pages are let in, beside those of this machine."""
MOST_CONNECTIONS = 64
HANDSHAKE_S, HANDSHAKE_BYTES = 10.0, 16_384
_PIECE = 1 << 18
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def hidden_host() -> str:
    """Return an address of this machine alone; where it has many, one that cannot be guessed."""
    if not sys.platform.startswith("linux"):
        return LOOPBACK
    return f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


def refusal(headers: Mapping[str, str], only_here: bool) -> str:
    """Return why a handshake is refused; empty: it is not.

    Args:
        headers: Of the request, by names in lower case.
        only_here: The server is for this machine alone: it has no other name.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if only_here and not _is_here(urlsplit(f"//{host}").hostname or ""):
        return f"it was asked for as {host!r}, which is no name of this machine"
    if origin is None or origin in SITES:  # a program sends none
        return ""
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https"):  # of an application, unless nobody says whose page it is
        return "" if parts.scheme else f"a page of {origin!r}"
    return "" if _is_here(parts.hostname or "") else f"a page of {origin!r}"


def _is_here(name: str) -> bool:
    return is_loopback(name) or name.endswith(".localhost")


class OriginGuard:
    """Listens, and passes the connections that may enter on to a server behind it.

    Args:
        host, port: Where to listen; port 0: any free one.
        inner: Host and port of the server.
        refused: Called with a text for each connection that is refused.

    Raises:
        OSError: It cannot listen there.
    """

    def __init__(self, host: str, port: int, inner: tuple[str, int], refused: Callable[[str], None]) -> None:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._listener = socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
        self._listener.settimeout(0.2)
        self.port = int(self._listener.getsockname()[1])
        self._inner, self._refused, self._only_here = inner, refused, is_loopback(host)
        self._slots, self._lock = BoundedSemaphore(MOST_CONNECTIONS), Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._thread = Thread(target=self._accept, name="origin guard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections, and listen no longer."""
        with self._lock:
            self._closed = True
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self._slots.acquire(blocking=False):
                Thread(target=self._serve, args=(client,), name="viewer", daemon=True).start()
            else:
                client.close()

    def _serve(self, client: socket.socket) -> None:
        """Check the handshake of a connection, and carry its bytes until either side ends it."""
        try:
            with client, suppress(OSError, ValueError):
                client.settimeout(HANDSHAKE_S)
                begun = _handshake(client)
                reason = refusal(_headers(begun), self._only_here)
                if reason:
                    self._refused(reason)
                    client.sendall(_FORBIDDEN)
                    return
                with socket.create_connection(self._inner, HANDSHAKE_S) as server:
                    server.sendall(begun)
                    self._carry(client, server)
        finally:
            self._slots.release()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            if self._closed:
                return
            self._open |= {client, server}
        for each in (client, server):
            each.settimeout(None)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = Thread(target=_pump, args=(server, client), name="to viewer", daemon=True)
        back.start()
        _pump(client, server)
        back.join()
        with self._lock:
            self._open -= {client, server}


def _handshake(client: socket.socket) -> bytes:
    """Return what a client sent first, up to the end of its headers at least."""
    begun = b""
    while b"\r\n\r\n" not in begun:
        piece = client.recv(4096)
        if not piece or len(begun) > HANDSHAKE_BYTES:
            raise ValueError("no handshake")
        begun += piece
    return begun


def _headers(begun: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in begun.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if headers.setdefault(name.strip().lower(), value.strip()) != value.strip():
            raise ValueError(f"two headers {name}")
    return headers


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way until the end, and then end both ways."""
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
