"""The bytes of one remote file, read in ranges: what a reading will need is fetched ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

from perception.errors import LogError
from perception.logs.mcap.records import Malformed
from perception.logs.mcap.source import Source
from perception.remote.remote_file import RemoteFile

_GAP = 1 << 16  # ranges so near to each other are fetched by one request
_LARGEST_REQUEST = 4 << 20
_FIRST_REQUEST = 1 << 18  # requests grow from here: a reading may end after its first messages
_AHEAD_BYTES = 16 << 20

Span = tuple[int, int]  # offset, length


class RemoteSource(Source):
    """A remote file of fixed size, read at offsets by any number of threads."""

    is_remote = True

    def __init__(self, path: Path, file: RemoteFile) -> None:
        assert file.size is not None
        super().__init__(path, None, file.size)
        self._remote = file
        self._is_closed = False

    @property
    def bytes_read(self) -> int:  # type: ignore[override]
        """The bytes that were fetched so far."""
        return self._remote.bytes_read

    def fetched_after(self, offset: int, length: int) -> int:
        """Return what will have been fetched after a range is read: no more where it is kept."""
        is_kept = self._remote.cached(offset, length) is not None
        return self._remote.bytes_read + (0 if is_kept else length)

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes from `offset`; fewer where the file ends.

        Raises:
            LogError: the log has been closed.
            Malformed: the server cannot be read from.
        """
        if self._is_closed:
            raise LogError(f"the log is closed; read it inside `with open_log(...)`: {self.path}")
        try:
            return self._remote.read(offset, length)
        except OSError as error:
            raise Malformed(f"cannot be read from the server ({error.strerror or error})") from error

    def ahead(self, spans: Sequence[Span]) -> Source:
        """Return a source for one reading of these ranges, in this order, which fetches ahead."""
        return _AheadSource(self.path, self._remote, spans)

    def fetch_all(self, spans: Iterable[Span]) -> None:
        """Fetch several ranges at once, for reads that follow."""
        pending = [self._remote.begin(*span) for span in _joined(spans) if self._remote.cached(*span) is None]
        for future in pending:
            try:
                future.result()
            except OSError:
                continue  # the read that follows reports it

    def close(self) -> None:
        self._is_closed = True
        self._remote.close()


class _AheadSource(RemoteSource):
    """The source of one reading: a read of a planned range starts requests for those behind it."""

    def __init__(self, path: Path, file: RemoteFile, spans: Sequence[Span]) -> None:
        super().__init__(path, file)
        self._waiting = deque(spans)
        self._running: deque[tuple[int, int, Future[bytes]]] = deque()
        self._request = _FIRST_REQUEST

    def read(self, offset: int, length: int) -> bytes:
        if self._remote.cached(offset, length) is None:
            self._start_up_to(offset)
            while self._running and not self._covers(offset, length):
                self._take()
            if self._running:
                self._take()
        self._fill()
        return super().read(offset, length)

    def _covers(self, offset: int, length: int) -> bool:
        start, size, _ = self._running[0]
        return start <= offset and offset + length <= start + size

    def _take(self) -> None:
        """Wait for the first running request; more are made at once after each."""
        _, _, future = self._running.popleft()
        try:
            future.result()
        except OSError:
            return  # the read itself reports it
        self._request = min(2 * self._request, _LARGEST_REQUEST)

    def _start_up_to(self, offset: int) -> None:
        """Start the request with the range at an offset, if it is planned."""
        if any(start <= offset < start + size for start, size, _ in self._running):
            return
        for place, (start, _) in enumerate(self._waiting):
            if start == offset:
                for _ in range(place):
                    self._waiting.popleft()
                self._begin_one()
                return

    def _fill(self) -> None:
        """Keep requests running, more of them the longer the reading goes on."""
        if self._request < 4 * _FIRST_REQUEST:
            return
        most = min(_AHEAD_BYTES, 4 * self._request)
        while self._waiting and sum(size for _, size, _ in self._running) < most:
            self._begin_one()

    def _begin_one(self) -> None:
        """Start one request for the next ranges that lie together."""
        start, size = self._waiting.popleft()
        while self._waiting:
            offset, length = self._waiting[0]
            end = max(start + size, offset + length)
            if not start <= offset <= start + size + _GAP or end - start > self._request:
                break
            self._waiting.popleft()
            size = end - start
        if self._remote.cached(start, size) is None:
            self._running.append((start, size, self._remote.begin(start, size)))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return ranges in the order of the file, near ones as one."""
    joined: list[Span] = []
    for offset, length in sorted(spans):
        if joined and offset <= sum(joined[-1]) + _GAP:
            start = joined[-1][0]
            joined[-1] = (start, max(sum(joined[-1]), offset + length) - start)
        else:
            joined.append((offset, length))
    return joined
