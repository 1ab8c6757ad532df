"""One remote file: its size and tag, and its bytes in ranges, each request retried and counted."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from perception.remote.attempts import attempt
from perception.remote.remote_errors import access_error, protocol_error
from perception.remote.span_cache import SpanCache

TAIL_BYTES = 1 << 18
"""What is read of the end at once: summaries lie there."""

SMALLEST = 1 << 16
"""The fewest bytes of a request: a request costs the time of as many."""

_REQUESTS_AT_ONCE = 32
TAGS = ("ETag", "etag", "md5Hash", "Content-MD5", "Last-Modified", "LastModified", "mtime", "created")
_COPY_BYTES = 4 << 20
SILENCE_S = 60.0
"""A server that sends nothing for so long is asked again. A request as a whole may take any time: of a large
file it takes hours, and aiohttp would give up after five minutes."""

T = TypeVar("T")


class RemoteFile:
    """A file behind a URL.

    Attributes:
        url: As the user spells it.
        size: Bytes; None where the server does not say.
        tag: What changes when the content does (an ETag, a time); empty where the server says nothing.
        is_folder: It is a folder, not a file.
        ranged: The server gives parts of the file.
        requests, bytes_read: Counted since it was opened.

    Raises:
        OSError: From every method, in one line: not found, no permission, a package missing, no connection.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.fetched_because = ""
        """Why the whole file was fetched, if it was."""
        self.requests = 0
        self.bytes_read = 0
        self._lock = threading.Lock()
        self._cache = SpanCache()
        self._pool: ThreadPoolExecutor | None = None
        self._fs, self._place = filesystem(url)
        self._fs.invalidate_cache(self._place)  # a listing of earlier may hold another size and tag
        info = self._attempt(lambda: self._fs.info(self._place))
        self.is_folder = info.get("type") == "directory"
        self.size: int | None = info.get("size")
        self.tag = next((str(info[key]) for key in TAGS if info.get(key)), "")
        self.ranged = self.size is not None and bool(info.get("partial", True)) and not self.is_folder
        self._is_http = url.startswith(("http://", "https://"))
        self._probed = not self._is_http

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from an offset; fewer where the file ends. Small reads fetch more."""
        assert self.size is not None
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        self.probe()
        data = self._cache.get(offset, length)
        if data is None:
            whole = self.fetch(offset, max(length, min(SMALLEST, self.size - offset)))
            data = whole[:length]
        return data

    def fetch(self, offset: int, length: int) -> bytes:
        """Return a range by one request, and keep it for later reads."""
        data = self._attempt(lambda: self._range(offset, length))
        self._cache.put(offset, data)
        return data

    def cached(self, offset: int, length: int) -> bytes | None:
        """Return a range that was read before; None where it was not, or is no longer kept."""
        return self._cache.get(offset, length)

    def begin(self, offset: int, length: int) -> Future[bytes]:
        """Begin to fetch a range beside others."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_REQUESTS_AT_ONCE, "remote")
            return self._pool.submit(self.fetch, offset, length)

    def copy_to(self, target: Path, most: int) -> None:
        """Write the whole file to a local one. Raises OSError (EFBIG) where it has more than `most` bytes."""

        def copy() -> int:
            written = 0
            how = {"block_size": 0} if self._is_http else {"cache_type": "none"}  # 0: one stream of all
            with self._fs.open(self._place, "rb", **how) as file, target.open("wb") as out:
                while piece := file.read(_COPY_BYTES):
                    written += len(piece)
                    if written > most:
                        raise OverflowError
                    out.write(piece)
            return written

        try:
            self.bytes_read += self._attempt(copy)
        except OverflowError:
            text = (
                f"expected at most {most >> 20} MiB to fetch, found more; download it and give the local copy"
            )
            raise OSError(errno.EFBIG, text, self.url) from None

    def account(self) -> dict[str, str]:
        """Return what is known of the file and what was fetched of it, as texts."""
        values = {
            "size": "" if self.size is None else str(self.size),
            "tag": self.tag,
            "bytes_fetched": str(self.bytes_read),
            "requests": str(self.requests),
            "fetched_whole": self.fetched_because,
        }
        return {key: value for key, value in values.items() if value}

    def listing(self, most: int) -> list[tuple[str, int]]:
        """Return the paths in a folder, and the sizes, of its files and of those of the folders in it.

        Args:
            most: Files that are listed; one more shows that there are more.
        """

        def listed() -> list[tuple[str, int]]:
            files: list[tuple[str, int]] = []
            root = self._place.rstrip("/")
            for _, _, items in self._fs.walk(root, detail=True):
                for item in items.values():
                    name = str(item["name"]).removeprefix(root).lstrip("/")
                    if name and ".." not in name.split("/"):
                        files.append((name, int(item.get("size") or 0)))
                if len(files) > most:
                    break
            return files[: most + 1]

        return self._attempt(listed)

    def has_changed(self) -> bool:
        """Return whether the server now says another size or tag than when this was opened."""
        now = RemoteFile(self.url)
        return (now.size, now.tag) != (self.size, self.tag)

    def close(self) -> None:
        """Give up what is still being fetched."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def probe(self) -> None:
        """Read the end of a file behind HTTP once: that shows whether the server gives parts (`ranged`)."""
        with self._lock:
            if self._probed:
                return
            self._probed = True
        if not self.ranged or not self.size:
            return
        start, size = max(0, self.size - TAIL_BYTES), self.size

        def tail() -> bytes:
            with self._fs.open(self._place, "rb", cache_type="none", size=size) as file:
                file.seek(start)
                data: bytes = file.read(TAIL_BYTES)
                return data

        try:
            data = self._attempt(tail)
            self.bytes_read += len(data)
            self._cache.put(start, data)
        except ValueError:  # the server sends the whole file, which nothing has read
            self.ranged = False

    def _range(self, offset: int, length: int) -> bytes:
        data: bytes = self._fs.cat_file(self._place, start=offset, end=offset + length)
        with self._lock:
            self.bytes_read += len(data)
        if len(data) != length:
            raise ConnectionError(errno.ECONNABORTED, f"{len(data)} of {length} bytes came", self.url)
        return data

    def _attempt(self, request: Callable[[], T]) -> T:
        """Return the answer to a request, and count the attempts."""

        def count() -> None:
            with self._lock:
                self.requests += 1

        return attempt(self.url, request, count)


def filesystem(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the place in it."""
    from fsspec.core import url_to_fs

    try:
        filesystem, place = url_to_fs(url, **_options(url))
    except (ImportError, ValueError) as error:
        raise protocol_error(url, error) from None
    except Exception as error:
        raise access_error(url, error) from error
    return filesystem, place


def _options(url: str) -> dict[str, Any]:
    """Return the options of a file system: limits of time for HTTP, unless the user has configured some."""
    protocol = url.partition(":")[0]
    if protocol not in ("http", "https"):
        return {}
    from aiohttp import ClientTimeout
    from fsspec.config import conf

    given = {**conf.get("http", {}), **conf.get("https", {})}.get("client_kwargs", {})
    limits = ClientTimeout(total=None, sock_connect=30, sock_read=SILENCE_S)
    return {"client_kwargs": {"timeout": limits, **given}}
