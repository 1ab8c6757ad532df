"""The source of samples of a host: arriving messages, in place of those of a log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from perception.align import Aligner, ClockReading, feed, with_clock
from perception.align.ledger import Ledger
from perception.config import Config
from perception.logs.video.stage import VideoStage
from perception.types import Decoded, Message, Sample, Undecodable
from perception_plugins.hosts.arrivals import Arrivals

Arriving = Message | Decoded | ClockReading


class LiveSource:
    """The samples of arriving messages, until `Arrivals.stop`.

    They pass the stages of replay (`perception.pipeline.LogSource`): pictures of videos, the aligner. Between
    messages the arrival clock closes ticks; `LogSource` reads it alike from a recording.

    Args:
        config: Complete.
        arrivals: The messages.
        ledger: Gets every message.
        on_message: Called with every message of a configured topic that is taken, in order.

    Raises:
        ConfigError: The reference, or `reference_rate_hz`, is not known.
    """

    def __init__(
        self, config: Config, arrivals: Arrivals, ledger: Ledger, on_message: Callable[[Message], None]
    ) -> None:
        self._arrivals = arrivals
        self._on_message = on_message
        self._roles = config.roles()
        self._aligner = Aligner(config, ledger)
        self._reference = config.sensors.named[config.reference].topic
        self._video = VideoStage(self._roles, config.stamps())
        self._came_s: deque[tuple[int, float]] = deque(maxlen=4096)
        self.undecodable: dict[str, tuple[int, str]] = {}
        """Topic -> number of messages that do not decode, and the reason of the last."""
        self.end_ns: int | None = None
        """The arrival clock when the last tick closed; None: the source has not ended."""

    def samples(self) -> Iterator[Sample]:
        """Yield the samples as they close."""
        try:
            yield from feed(self._aligner, self._arriving(), self._count)
        finally:
            self._video.close()

    def came_s(self, log_time_ns: int) -> float | None:
        """Return when the reference message of a tick came (`time.monotonic`); None at substitute ticks."""
        while self._came_s and self._came_s[0][0] < log_time_ns:
            self._came_s.popleft()
        return self._came_s[0][1] if self._came_s and self._came_s[0][0] == log_time_ns else None

    def _arriving(self) -> Iterator[Arriving]:
        """Yield messages, each with the clock before it, and the clock where a tick is due."""
        while True:
            entry: tuple[Message, float] | ClockReading | None = self._arrivals.take()
            if entry is None and self._video.waits:
                yield from with_clock(self._video.settle())
                continue
            entry = entry or self._arrivals.wait(self._aligner.due_ns())
            if entry is None:
                break
            if isinstance(entry, ClockReading):
                yield entry
                continue
            message, came_s = entry
            if message.topic in self._roles:
                self._on_message(message)
            if message.topic == self._reference:
                self._came_s.append((message.log_time_ns, came_s))
            yield from with_clock(self._video.push(message))
        yield from with_clock(self._video.flush())
        end = self._arrivals.read_clock()
        self.end_ns = end.log_time_ns
        yield end

    def _count(self, message: Decoded) -> None:
        if isinstance(message, Undecodable):
            count, _ = self.undecodable.get(message.topic, (0, ""))
            self.undecodable[message.topic] = count + 1, message.reason
